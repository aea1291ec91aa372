"""Candidates for an ARM core, built together, run in the emulator, weighed by its pipeline model.

The count is exact, the cycles are the model's; equal networks give equal plans on every machine.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qdeploy.compiler.candidates import entry_symbol, write_candidates
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.lowering import Processor
from qdeploy.compiler.plan import Candidate, Evaluated, make_choice, worth_trying
from qdeploy.emulation import BlockCounts, LibraryMachine, pipeline_cycles
from qdeploy.targets import ArmCore
from qdeploy.toolchains.linux import LinuxToolchain

__all__ = ["BATCH_ROWS", "CandidateCounter"]

BATCH_ROWS = 24
"""Samples of a counted batch: a multiple of every tile, so that none is left over."""


@dataclass(frozen=True, eq=False)
class CandidateCounter:
    """Weighs candidates for one core, as `qdeploy.compiler.plan.make_plan` wants it.

    Attributes:
        isa: instruction set that they were written for.
        core: what they are compiled for.
        processor: the same for TVM's LLVM.
        toolchain: compiles and links.
    """

    isa: InstructionSet
    core: ArmCore
    processor: Processor
    toolchain: LinuxToolchain

    def __call__(self, found: Sequence[Candidate]) -> list[Evaluated]:
        """Count every candidate that a first look does not show far behind."""
        near = worth_trying(self.isa, found)
        network = near[0].kernel.network
        with tempfile.TemporaryDirectory(prefix="qdeploy-arm-") as temporary:
            machine = LibraryMachine(self._library(near, Path(temporary)), self.core)
            rng = np.random.default_rng(0)
            rows = rng.integers(-128, 128, (BATCH_ROWS, network.inputs)).astype(np.int8)
            x = machine.allocate(rows.nbytes)
            machine.write(x, rows.tobytes())
            scores = machine.allocate(
                BATCH_ROWS * network.outputs * np.dtype(network.score_dtype).itemsize
            )

            def count(number: int, candidate: Candidate) -> Evaluated:
                symbol = entry_symbol(number)
                if candidate.use == "single":
                    counts, samples = machine.count(symbol, x, scores), 1
                else:
                    counts, samples = machine.count(symbol, x, BATCH_ROWS, scores), BATCH_ROWS
                return self._weighed(candidate, counts, samples)

            return [count(number, candidate) for number, candidate in enumerate(near)]

    def _library(self, found: Sequence[Candidate], folder: Path) -> Path:
        written = write_candidates(found, self.processor, folder)
        objects = self.toolchain.compile(self.core, [written.source], folder)
        library = folder / "libcandidates.so"
        self.toolchain.shared(self.core, [*objects, written.kernels], library, written.symbols)
        return library

    def _weighed(self, candidate: Candidate, counts: BlockCounts, samples: int) -> Evaluated:
        operations = {name: count / samples for name, count in counts.classes.items()}
        cycles = pipeline_cycles(counts, self.core).value / samples
        return make_choice(candidate, operations, cycles), candidate
