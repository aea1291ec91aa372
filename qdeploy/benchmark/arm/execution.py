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
from qdeploy.emulation import LibraryMachine, pipeline_cycles
from qdeploy.errors import QDeployError
from qdeploy.targets import ArmCore
from qdeploy.toolchains.linux import LinuxToolchain

__all__ = ["LEVELS", "MOST_INSTRUCTIONS", "Built", "Count", "Counted", "Execution", "execute"]

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
    """

    subject: McuSubject
    level: str
    objects: tuple[Path, ...]
    library: Path
    memory: Memory


@dataclass(frozen=True)
class Count:
    """What is kept of a counted call; all blocks that it ran in order would be too much.

    Attributes:
        instructions: all of them.
        classes: by class, without zeros.
        stack_bytes: deepest stack.
        cycles: estimate by the core's pipeline model.
    """

    instructions: int
    classes: Mapping[str, int]
    stack_bytes: int
    cycles: Estimate


@dataclass(frozen=True, eq=False)
class Counted:
    """Calls of one batch size.

    Attributes:
        built: the code.
        batch: rows a call.
        counts: of the calls.
    """

    built: Built
    batch: int
    counts: tuple[Count, ...]

    @property
    def cycles(self) -> Estimate:
        """Cycles of a call, the mean over the calls."""
        return mean([each.cycles for each in self.counts])


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
    calls = [_Call(each, subject.entry, 1) for each in variants]
    best = min(calls, key=lambda call: call.count(x[rows.counted[:1]]).cycles.value)
    outputs = np.concatenate([best.run(x[i : i + 1]) for i in range(len(x))])
    check_outputs(subject, x, outputs, rows)
    single = tuple(best.count(x[[number]]) for number in rows.counted)
    counted = {1: Counted(best.loaded.built, 1, single)}
    left_out = {}
    each_row = max(count.instructions for count in single)
    for batch in batches[1:]:
        if batch * each_row > MOST_INSTRUCTIONS:
            left_out[batch] = (
                f"about {batch * each_row:.1e} instructions a call are too many to count one by one"
            )
            continue
        some = np.arange(batch) % len(x)
        fixed = subject.fixed.get(batch)
        several = (
            [_Call(each, subject.batch, batch, passes=True) for each in variants]
            if fixed is None
            else [
                _Call(each, fixed.entry, batch) for each in builder.variants(fixed, [fixed.entry])
            ]
        )
        counts = {call: call.count(x[some]) for call in several}
        best = min(several, key=lambda call: counts[call].cycles.value)
        _same(subject, best.run(x[some]), outputs[some], batch)
        counted[batch] = Counted(best.loaded.built, batch, (counts[best],))
    return Execution(subject, x, outputs, counted, left_out)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """Code in a machine for its core.

    Attributes:
        built: the code.
        machine: with its library.
        core: the core.
    """

    built: Built
    machine: LibraryMachine
    core: ArmCore


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
    ) -> list[_Loaded]:
        """A library for each level of optimisation; a ready-made one is as it is."""
        if library is not None:
            return [self._built(subject, "", subject.objects, library)]
        # The C around ready-made objects only calls them.
        levels = LEVELS[:1] if subject.objects else LEVELS
        return [self._compiled(subject, level, exports) for level in levels]

    def _compiled(self, subject: McuSubject, level: str, exports: Sequence[str]) -> _Loaded:
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
    ) -> _Loaded:
        memory = library_memory(library, scratch=0)
        built = Built(subject, level, tuple(objects), library, memory)
        return _Loaded(built, LibraryMachine(library, self.core), self.core)


class _Call:
    """A function with its buffers in a machine.

    Args:
        loaded: the code.
        symbol: the function.
        batch: rows a call.
        passes: whether the number of rows is an argument.
    """

    def __init__(self, loaded: _Loaded, symbol: str, batch: int, *, passes: bool = False) -> None:
        self.loaded = loaded
        subject, machine = loaded.built.subject, loaded.machine
        self._symbol = symbol
        self._bytes = batch * subject.outputs * subject.output_dtype.itemsize
        self._x = machine.allocate(
            batch * subject.inputs * subject.input_dtype.itemsize, align=ALIGNMENT
        )
        self._scores = machine.allocate(self._bytes, align=ALIGNMENT)
        self._arguments = (self._x, *((batch,) if passes else ()), self._scores)

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        """Outputs (batch, outputs) of rows (batch, inputs)."""
        machine = self.loaded.machine
        machine.write(self._x, x.tobytes())
        machine.call(self._symbol, *self._arguments)
        written = machine.read(self._scores, self._bytes)
        return np.frombuffer(written, dtype=self.loaded.built.subject.output_dtype).reshape(
            len(x), -1
        )

    def count(self, x: NDArray[Any]) -> Count:
        """Counts of one call, and what they take on the core."""
        machine = self.loaded.machine
        machine.write(self._x, x.tobytes())
        counts = machine.count(self._symbol, *self._arguments)
        cycles = pipeline_cycles(counts, self.loaded.core)
        return Count(counts.instructions, dict(counts.classes), counts.stack_bytes, cycles)


def _same(subject: McuSubject, outputs: NDArray[Any], single: NDArray[Any], batch: int) -> None:
    """See that a batch gives the bits of single rows, which were compared."""
    if outputs.tobytes() != single.tobytes():
        raise QDeployError(
            f"{subject.name} gives other scores in a batch of {batch} than row by row in the "
            "emulator, so its figures would mean nothing; please report this"
        )
