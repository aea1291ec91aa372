"""One implementation for one core: built as a library, run on every row, counted in every batch.

Everybody is built by the same compiler for the same core; of two levels of optimisation, everybody
gets the one that is better for the batch at hand, by the model of the core. What an implementation
computes is compared with what it should before anything is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.bands import mean
from qdeploy.benchmark.peers_arm import ArmSubject
from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.benchmark.rows import Rows, check_outputs, inputs_of
from qdeploy.benchmark.timing import Estimate
from qdeploy.compiler.elf_memory import library_memory
from qdeploy.compiler.hosted_artifact import Memory
from qdeploy.emulation import BlockCounts, LibraryMachine, pipeline_cycles
from qdeploy.errors import QDeployError
from qdeploy.targets import ArmCore
from qdeploy.toolchains.linux import LinuxToolchain

__all__ = ["LEVELS", "MOST_INSTRUCTIONS", "Built", "Counted", "Execution", "execute"]

LEVELS = ("-O2", "-O3")
"""Optimisation of the C compiler."""

ALIGNMENT = 64
"""Of inputs and scores, as in the program that times them on a board."""

MOST_INSTRUCTIONS = 100_000_000
"""Longer batches are not counted: it would take minutes."""


@dataclass(frozen=True, eq=False)
class Built:
    """Code of an implementation.

    Attributes:
        subject: what it computes.
        level: optimisation of the compiler; empty for what was compiled before.
        objects: objects and archives.
        library: they, linked.
        memory: bytes of the library.
        machine: with the library in it.
    """

    subject: McuSubject
    level: str
    objects: tuple[Path, ...]
    library: Path
    memory: Memory
    machine: LibraryMachine


@dataclass(frozen=True, eq=False)
class Counted:
    """Calls of one batch size.

    Attributes:
        built: the code.
        batch: rows a call.
        counts: of the calls.
        cycles: estimate of each.
    """

    built: Built
    batch: int
    counts: tuple[BlockCounts, ...]
    cycles: tuple[Estimate, ...]

    @property
    def mean_cycles(self) -> Estimate:
        """Cycles of a call."""
        return mean(self.cycles)


@dataclass(frozen=True, eq=False)
class Execution:
    """What an implementation did.

    Attributes:
        subject: which one.
        x: its inputs (n, inputs).
        outputs: what it wrote for each row (n, outputs).
        counted: by batch size.
        left_out: batch sizes that were not counted, and why.
    """

    subject: ArmSubject
    x: NDArray[Any]
    outputs: NDArray[Any]
    counted: Mapping[int, Counted]
    left_out: Mapping[int, str]

    @property
    def predictions(self) -> NDArray[Any]:
        """Labels or numbers of every row, from the emulated bits."""
        return self.subject.decode(self.outputs)

    def build_for(self, batch: int) -> Built:
        """The code for a batch size."""
        if batch in self.counted:
            return self.counted[batch].built
        # A size that was too long to be counted takes the code of the largest that was.
        return self.counted[max(self.counted)].built

    @property
    def levels(self) -> str:
        """Levels of optimisation, in words; empty for what was compiled before."""
        by_level: dict[str, list[str]] = {}
        for batch, counted in self.counted.items():
            by_level.setdefault(counted.built.level, []).append(str(batch))
        if len(by_level) == 1:
            return next(iter(by_level))
        return ", ".join(f"{level} at {', '.join(each)}" for level, each in by_level.items())


def execute(
    subject: ArmSubject,
    core: ArmCore,
    toolchain: LinuxToolchain,
    rows: Rows,
    batches: Sequence[int],
    folder: Path,
) -> Execution:
    """Build, run, compare, count.

    Args:
        subject: what to run.
        core: what for.
        toolchain: the compiler and linker of all implementations.
        rows: what to run on.
        batches: batch sizes, 1 first.
        folder: for sources, objects and libraries; one of its own.

    Raises:
        QDeployError: it cannot be built, does what the core or its memory does not allow, or
            computes something else than it should.
    """
    x = inputs_of(subject, rows)
    builder = _Builder(core, toolchain, folder)
    variants = builder.variants(subject, subject.exports, subject.library)
    calls = [_Call(built, subject.entry, 1) for built in variants]
    best = min(calls, key=lambda call: call.cycles(x[rows.counted[:1]], core))
    outputs = np.concatenate([best.run(x[i : i + 1]) for i in range(len(x))])
    check_outputs(subject, x, outputs, rows)
    single = tuple(best.count(x[[number]]) for number in rows.counted)
    counted = {1: _counted(best, single, core)}
    left_out = {}
    each = max(counts.instructions for counts in single)
    for batch in batches[1:]:
        if batch * each > MOST_INSTRUCTIONS:
            left_out[batch] = (
                f"about {batch * each:.1e} instructions a call are too many to count one by one"
            )
            continue
        some = np.arange(batch) % len(x)
        fixed = subject.fixed.get(batch)
        if fixed is not None:
            several = [
                _Call(built, fixed.entry, batch) for built in builder.variants(fixed, [fixed.entry])
            ]
        else:
            several = [_Call(built, subject.batch, batch, passes=True) for built in variants]
        counts = {call: call.count(x[some]) for call in several}
        best = min(several, key=lambda call: pipeline_cycles(counts[call], core).value)
        _same(subject, best.run(x[some]), outputs[some], batch)
        counted[batch] = _counted(best, (counts[best],), core)
    return Execution(subject, x, outputs, counted, left_out)


@dataclass(frozen=True, eq=False)
class _Builder:
    """Compiles subjects.

    Attributes:
        core: what for.
        toolchain: by what.
        folder: where to.
    """

    core: ArmCore
    toolchain: LinuxToolchain
    folder: Path

    def variants(
        self, subject: McuSubject, exports: Sequence[str], library: Path | None = None
    ) -> list[Built]:
        """A library for each level of optimisation; a ready-made one is as it is."""
        if library is not None:
            return [self._built(subject, "", subject.objects, library)]
        # The C around ready-made objects only calls them.
        levels = LEVELS[:1] if subject.objects else LEVELS
        return [self._compiled(subject, level, exports) for level in levels]

    def _compiled(self, subject: McuSubject, level: str, exports: Sequence[str]) -> Built:
        sources = subject.write(self.folder / "sources" / subject.entry)
        place = self.folder / subject.entry / level.strip("-")
        compiled = self.toolchain.compile(
            self.core, sources, place, include=[sources[0].parent], optimize=level
        )
        objects = (*compiled, *subject.objects)
        library = place / f"lib{subject.entry}.so"
        self.toolchain.shared(self.core, objects, library, exports)
        return self._built(subject, level, objects, library)

    def _built(
        self, subject: McuSubject, level: str, objects: Sequence[Path], library: Path
    ) -> Built:
        memory = library_memory(library, scratch=0)
        machine = LibraryMachine(library, self.core)
        return Built(subject, level, tuple(objects), library, memory, machine)


class _Call:
    """A function with its buffers in a machine.

    Args:
        built: the code.
        symbol: the function.
        batch: rows a call.
        passes: whether the number of rows is an argument.
    """

    def __init__(self, built: Built, symbol: str, batch: int, *, passes: bool = False) -> None:
        self.built = built
        self.batch = batch
        subject, machine = built.subject, built.machine
        self._symbol = symbol
        self._bytes = batch * subject.outputs * subject.output_dtype.itemsize
        self._x = machine.allocate(
            batch * subject.inputs * subject.input_dtype.itemsize, align=ALIGNMENT
        )
        self._scores = machine.allocate(self._bytes, align=ALIGNMENT)
        self._arguments = (self._x, *((batch,) if passes else ()), self._scores)

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        """Outputs (batch, outputs) of rows (batch, inputs)."""
        machine = self.built.machine
        machine.write(self._x, x.tobytes())
        machine.call(self._symbol, *self._arguments)
        written = machine.read(self._scores, self._bytes)
        return np.frombuffer(written, dtype=self.built.subject.output_dtype).reshape(len(x), -1)

    def count(self, x: NDArray[Any]) -> BlockCounts:
        """Counts of one call."""
        machine = self.built.machine
        machine.write(self._x, x.tobytes())
        return machine.count(self._symbol, *self._arguments)

    def cycles(self, x: NDArray[Any], core: ArmCore) -> float:
        """Estimated cycles of one call."""
        return pipeline_cycles(self.count(x), core).value


def _counted(call: _Call, counts: tuple[BlockCounts, ...], core: ArmCore) -> Counted:
    cycles = tuple(pipeline_cycles(each, core) for each in counts)
    return Counted(call.built, call.batch, counts, cycles)


def _same(subject: McuSubject, outputs: NDArray[Any], single: NDArray[Any], batch: int) -> None:
    """See that a batch gives the bits of single rows, which were compared."""
    if outputs.tobytes() != single.tobytes():
        raise QDeployError(
            f"{subject.name} gives other scores in a batch of {batch} than row by row in the "
            "emulator, so its figures would mean nothing; please report this"
        )
