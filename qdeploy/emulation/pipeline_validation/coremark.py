"""Published CoreMark scores against the pipeline model's cycles for counted iterations."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from qdeploy.emulation.library_machine import LibraryMachine
from qdeploy.emulation.pipeline import cycles_by_cause, mispredicted
from qdeploy.emulation.validation.comparison import Score
from qdeploy.targets import ArmCore
from qdeploy.targets.tables import NonNegative, Table, read_table

__all__ = ["Comparison", "Counted", "compare", "coremark_entry", "fingerprint"]

_Count = Annotated[int, Field(ge=0)]


class Counted(Table):
    """One iteration of CoreMark as a compiler built it.

    Attributes:
        core: what it was built for and scheduled on.
        compiler: what built it.
        optimize: level of optimisation.
        instructions: of the iteration.
        taken_branches: of it.
        mispredicted: branches that the core's predictor would get wrong.
        units: cycles of dispatch, units and latencies.
        branches: cycles of mispredicted branches.
        tables: which tables of the core gave these cycles.
    """

    core: str
    compiler: str
    optimize: str
    instructions: _Count
    taken_branches: _Count
    mispredicted: _Count
    units: NonNegative
    branches: NonNegative
    tables: str

    @property
    def model(self) -> float:
        """The model's cycles."""
        return self.units + self.branches


class _File(Table):
    counted: Annotated[tuple[Counted, ...], Field(strict=False)]
    published: Annotated[tuple[Score, ...], Field(strict=False)]


@dataclass(frozen=True)
class Comparison:
    """A counted iteration, with a published score of the same core or without.

    Attributes:
        counted: the iteration.
        published: the score; None where none was found.
    """

    counted: Counted
    published: Score | None

    @property
    def ratio(self) -> float | None:
        """True cycles over the model's."""
        return self.published.cycles / self.counted.model if self.published else None


@cache
def compare() -> tuple[Comparison, ...]:
    """Every published score against the model, then the cores without a score."""
    file = read_table(Path(__file__).with_name("coremark.toml"), _File)
    counted = {(each.core, each.optimize): each for each in file.counted}
    with_score = [Comparison(counted[each.core, each.optimize], each) for each in file.published]
    scored = {each.core for each in file.published}
    return (
        *with_score,
        *(Comparison(each, None) for each in file.counted if each.core not in scored),
    )


def fingerprint(core: ArmCore) -> str:
    """Twelve digits that change with the figures of the core's pipeline."""
    text = core.pipeline.model_dump_json(exclude={"band", "source"})
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def coremark_entry(library: Path, core: ArmCore, compiler: str, optimize: str) -> str:
    """An entry of `coremark.toml`: the second iteration, so that data have settled.

    Args:
        library: exports ``init`` and ``iterate``.
        core: what it was built for.
        compiler: name and version.
        optimize: level.

    Raises:
        QDeployError: the library cannot be run.
    """
    machine = LibraryMachine(library, core)
    machine.call("init")
    machine.call("iterate")
    counts = machine.count("iterate")
    cycles = cycles_by_cause(counts, core)
    values = {
        "core": core.name,
        "compiler": compiler,
        "optimize": optimize,
        "instructions": counts.instructions,
        "taken_branches": counts.taken_branches,
        "mispredicted": mispredicted(counts, core.pipeline.history),
        "units": cycles.units,
        "branches": cycles.branches,
        "tables": fingerprint(core),
    }
    lines = [
        f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}"
        for name, value in values.items()
    ]
    return "\n".join(["[[counted]]", *lines, ""])
