"""Our own small programs, built by a toolchain and counted on a core."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from qdeploy.emulation.counting import Counts
from qdeploy.emulation.machine import Machine
from qdeploy.firmware import link_plain
from qdeploy.targets import Core, Region
from qdeploy.toolchains import Toolchain

__all__ = ["KERNELS", "SEED", "SOURCE", "KernelCounts", "count_kernels"]

KERNELS = ("list_work", "matrix_work", "state_work", "checksum_work")
"""The functions of `SOURCE`; each takes a seed and gives a number that depends on all it did."""

SOURCE = Path(__file__).with_name("kernels.c")
"""Their C source."""

SEED = 7
"""What they are counted with."""

_FLASH = Region(origin=0, kibibytes=256)
_RAM = Region(origin=0x2000_0000, kibibytes=64)


@dataclass(frozen=True)
class KernelCounts:
    """One kernel on one core.

    Attributes:
        name: the function.
        core: name of the core.
        result: what it returned; equal on every core and by every compiler.
        counts: of the call.
    """

    name: str
    core: str
    result: int
    counts: Counts


def count_kernels(core: Core, toolchain: Toolchain) -> tuple[KernelCounts, ...]:
    """Build the kernels and count each.

    Raises:
        QDeployError: the toolchain cannot build for the core.
    """
    with tempfile.TemporaryDirectory(prefix="qdeploy-") as temporary:
        folder = Path(temporary)
        objects = toolchain.compile(core, [SOURCE], folder)
        elf = folder / "kernels.elf"
        link_plain(core, _FLASH, _RAM, objects, elf, toolchain, KERNELS)
        machine = Machine(elf, core, _FLASH, _RAM)
        return tuple(
            KernelCounts(name, core.name, machine.call(name, SEED), machine.count(name, SEED))
            for name in KERNELS
        )
