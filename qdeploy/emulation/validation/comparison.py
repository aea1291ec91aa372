"""Published CoreMark scores against the model's cycles for the counted instructions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from qdeploy.emulation.counting import Counts
from qdeploy.emulation.cycles import core_cycles
from qdeploy.emulation.reads import Reads
from qdeploy.emulation.validation.kernels import KernelCounts
from qdeploy.targets import load_core
from qdeploy.targets.tables import Positive, Table, read_table

__all__ = ["Comparison", "Counted", "Published", "Score", "compare", "kernel_cycles"]

_Count = Annotated[int, Field(ge=0)]


class Counted(Table):
    """One iteration of CoreMark as a compiler built it; the fields are those of `Counts`."""

    core: str
    compiler: str
    optimize: str
    classes: dict[str, _Count]
    registers: _Count
    taken_branches: _Count
    load_uses: _Count
    pipelined_loads: _Count
    address_uses: _Count

    @property
    def counts(self) -> Counts:
        """The counts, with nothing read of flash."""
        nothing = Reads(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
        return Counts(
            instructions=sum(self.classes.values()),
            classes=self.classes,
            registers=self.registers,
            taken_branches=self.taken_branches,
            load_uses=self.load_uses,
            pipelined_loads=self.pipelined_loads,
            address_uses=self.address_uses,
            flash_data_bytes=0,
            stack_bytes=0,
            code_reads=nothing,
            data_reads=nothing,
        )


class Score(Table):
    """A score that others measured.

    Attributes:
        core: the core.
        board: the board, its clock and memory.
        megahertz: the clock; 1 where the score is stated for a megahertz.
        score: iterations a second, of one core.
        optimize: level of the counted build that it is compared to.
        source: where the score stands.
    """

    core: str
    board: str
    megahertz: Positive
    score: Positive
    optimize: str
    source: str

    @property
    def cycles(self) -> float:
        """Cycles of one iteration."""
        return 1e6 * self.megahertz / self.score


class Published(Score):
    """A score of a microcontroller.

    Attributes:
        clean: whether the program ran without waiting for memory.
    """

    clean: bool


class _File(Table):
    counted: Annotated[tuple[Counted, ...], Field(strict=False)]
    published: Annotated[tuple[Published, ...], Field(strict=False)]


@dataclass(frozen=True)
class Comparison:
    """One published score against the model.

    Attributes:
        published: the score.
        counted: the build that it is compared to.
        model: the model's cycles for one iteration of that build.
    """

    published: Published
    counted: Counted
    model: float

    @property
    def ratio(self) -> float:
        """True cycles over the model's."""
        return self.published.cycles / self.model


@cache
def compare() -> tuple[Comparison, ...]:
    """Every published score against the model, in the order of the file."""
    file = read_table(Path(__file__).with_name("coremark.toml"), _File)
    found = []
    for published in file.published:
        # GCC's build where there is one: the published programs were built by GCC.
        counted = min(
            (
                each
                for each in file.counted
                if (each.core, each.optimize) == (published.core, published.optimize)
            ),
            key=lambda each: not each.compiler.startswith("gcc"),
        )
        model = core_cycles(counted.counts, load_core(published.core))
        found.append(Comparison(published, counted, model))
    return tuple(found)


def kernel_cycles(kernels: Sequence[KernelCounts]) -> float:
    """The model's cycles an instruction of kernels that take equal shares of the instructions."""
    each = [
        core_cycles(kernel.counts, load_core(kernel.core)) / kernel.counts.instructions
        for kernel in kernels
    ]
    return sum(each) / len(each)
