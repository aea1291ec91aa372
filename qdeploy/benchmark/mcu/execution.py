"""One implementation on one core: built, linked, run on every row, counted on some of them.

Everybody is built by the same compiler with the same flags and linked for the memories of the same
target; of two levels of optimisation, everybody gets the one that suits better. What an
implementation computes is compared with what it should before anything is counted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.benchmark.rows import Rows, check_outputs, inputs_of
from qdeploy.benchmark.timing import Estimate
from qdeploy.emulation import Counts, Machine
from qdeploy.emulation.cycles import cycles
from qdeploy.firmware import Image, link_plain
from qdeploy.targets import McuTarget, load_core
from qdeploy.toolchains import Toolchain

if TYPE_CHECKING:
    from qdeploy.compiler.families import Goal

__all__ = ["LEVELS", "Execution", "execute"]

ALIGNMENT = 8
"""Of the input and of the scores."""

LEVELS = ("-O2", "-Os")
"""Optimisation of the C compiler: those that the model's own C is compiled at."""


@dataclass(frozen=True, eq=False)
class Execution:
    """What an implementation did.

    Attributes:
        subject: which one.
        level: optimisation of the compiler, the better one for the goal.
        image: its bytes.
        outputs: what it wrote for each row (n, outputs).
        counts: of the counted rows.
        cycles: estimate of each of these.
    """

    subject: McuSubject
    level: str
    image: Image
    outputs: NDArray[Any]
    counts: tuple[Counts, ...]
    cycles: tuple[Estimate, ...]

    @property
    def buffer_bytes(self) -> int:
        """Bytes of one input and its outputs."""
        subject = self.subject
        return (
            subject.inputs * subject.input_dtype.itemsize
            + subject.outputs * subject.output_dtype.itemsize
        )

    @property
    def stack_bytes(self) -> int:
        """Deepest stack of the counted rows."""
        return max(counts.stack_bytes for counts in self.counts)

    @property
    def predictions(self) -> NDArray[Any]:
        """Labels or numbers of every row, from the emulated bits."""
        return self.subject.decode(self.outputs)


def execute(
    subject: McuSubject,
    target: McuTarget,
    toolchain: Toolchain,
    rows: Rows,
    goal: "Goal",
    folder: Path,
) -> Execution:
    """Build, link, choose, run, compare, count.

    Args:
        subject: what to run.
        target: its core and memories.
        toolchain: the compiler and linker of all implementations.
        rows: what to run on.
        goal: what the model was compiled for; by it, the better of the compiler's levels of
            optimisation is chosen for everybody, on one row.
        folder: for sources, objects and images; one of its own.

    Raises:
        QDeployError: it cannot be built or does not fit, it does what the core does not allow, or
            it computes something else than it should.
    """
    core = load_core(target.core)
    x = inputs_of(subject, rows)
    sources = subject.write(folder / "sources")

    def build(level: str) -> "_Call":
        place = folder / level.strip("-")
        objects = toolchain.compile(
            core, sources, place, include=[folder / "sources"], optimize=level
        )
        elf = place / f"{subject.name}.elf"
        parts = [*objects, *subject.objects]
        image = link_plain(core, target.flash, target.ram, parts, elf, toolchain, [subject.entry])
        return _Call(subject, level, image, Machine(elf, core, target.flash, target.ram))

    def cost(call: "_Call") -> float:
        time = cycles(call.count(x[rows.counted[0]]), core, target).value
        flash = call.image.flash_bytes
        return {"speed": time, "size": flash, "balanced": time * flash}[goal]

    # Ready-made objects are as they are.
    calls = [build(level) for level in (LEVELS if sources else LEVELS[:1])]
    call = min(calls, key=cost) if len(calls) > 1 else calls[0]
    outputs = np.stack([call.run(row) for row in x])
    check_outputs(subject, x, outputs, rows)
    counts = tuple(call.count(x[number]) for number in rows.counted)
    return Execution(
        subject=subject,
        level=call.level,
        image=call.image,
        outputs=outputs,
        counts=counts,
        cycles=tuple(cycles(each, core, target) for each in counts),
    )


class _Call:
    """The entry with its two buffers in a machine."""

    def __init__(self, subject: McuSubject, level: str, image: Image, machine: Machine) -> None:
        self.level = level
        self.image = image
        self._subject = subject
        self._machine = machine
        self._bytes = subject.outputs * subject.output_dtype.itemsize
        self._input = machine.allocate(
            subject.inputs * subject.input_dtype.itemsize, align=ALIGNMENT
        )
        self._output = machine.allocate(self._bytes, align=ALIGNMENT)

    def run(self, row: NDArray[Any]) -> NDArray[Any]:
        """Outputs of one row."""
        self._machine.write(self._input, row.tobytes())
        self._machine.call(self._subject.entry, self._input, self._output)
        written = self._machine.read(self._output, self._bytes)
        return np.frombuffer(written, dtype=self._subject.output_dtype)

    def count(self, row: NDArray[Any]) -> Counts:
        """Counts of one row."""
        self._machine.write(self._input, row.tobytes())
        return self._machine.count(self._subject.entry, self._input, self._output)
