"""Our own small programs, built as a library, counted and scheduled on a core."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from qdeploy.emulation.library_machine import LibraryMachine
from qdeploy.emulation.pipeline import cycles_by_cause
from qdeploy.emulation.validation.kernels import KERNELS, SEED, SOURCE
from qdeploy.targets import ArmCore
from qdeploy.toolchains.linux import LinuxToolchain

__all__ = ["ProgramCycles", "program_cycles"]


@dataclass(frozen=True)
class ProgramCycles:
    """One program on one core.

    Attributes:
        name: its function.
        core: name of the core.
        result: what it returned; equal on every core, microcontrollers too.
        instructions: of the call.
        cycles: of the model.
    """

    name: str
    core: str
    result: int
    instructions: int
    cycles: float


def program_cycles(core: ArmCore, toolchain: LinuxToolchain) -> tuple[ProgramCycles, ...]:
    """Build the programs and count each.

    Raises:
        QDeployError: the toolchain cannot build for the core.
    """
    with tempfile.TemporaryDirectory(prefix="qdeploy-") as temporary:
        folder = Path(temporary)
        objects = toolchain.compile(core, [SOURCE], folder)
        library = folder / "libprograms.so"
        toolchain.shared(core, objects, library, KERNELS)
        machine = LibraryMachine(library, core)
        found = []
        for name in KERNELS:
            result = machine.call(name, SEED) & 0xFFFFFFFF
            counts = machine.count(name, SEED)
            cycles = cycles_by_cause(counts, core).total
            found.append(ProgramCycles(name, core.name, result, counts.instructions, cycles))
        return tuple(found)
