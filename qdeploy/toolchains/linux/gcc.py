"""GCC for 64-bit ARM with Linux, where the system has it, with its own glibc.

Dynamic programs need the glibc that it was made for, or a later one.
"""

import shutil
import subprocess
from functools import cache
from pathlib import Path

from qdeploy.errors import QDeployError
from qdeploy.targets import ArmCore
from qdeploy.targets.tables import folder
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS
from qdeploy.toolchains.linux.driver import LinuxDriver

__all__ = ["GccLinuxToolchain"]

_PREFIX = "aarch64-linux-gnu-"
_MISSING = (
    f"gcc for 64-bit ARM is not installed; put {_PREFIX}gcc on the path (for instance Debian's "
    "gcc-aarch64-linux-gnu), or use zig"
)


class GccLinuxToolchain(LinuxDriver):
    """aarch64-linux-gnu-gcc."""

    name = "gcc"
    title = f"{_PREFIX}gcc"

    def obstacle(self, core: ArmCore) -> str | None:
        """Why there is no GCC for a core here."""
        if core.gcc is None:
            return f"gcc has no flags for the core {core.name}; use zig"
        return None if shutil.which(f"{_PREFIX}gcc") else _MISSING

    def version(self) -> str:
        """Version of the compiler.

        Raises:
            QDeployError: it is not there.
        """
        if not shutil.which(f"{_PREFIX}gcc"):
            raise QDeployError(_MISSING)
        return f"{_PREFIX}gcc {_version()}"

    def _driver(self, core: ArmCore) -> list[str]:
        return [f"{_PREFIX}gcc", *(core.gcc or ())]

    def _library(self, static: bool) -> list[str]:
        return []

    def _linker(self, static: bool) -> list[str]:
        return [f"{_PREFIX}gcc"]

    def _archiver(self) -> list[str]:
        return [f"{_PREFIX}ar"]

    def _helpers(self) -> list[str]:
        return ["-lgcc"]

    def _memory_functions(self, core: ArmCore, folder: Path) -> list[Path]:
        # libgcc leaves them to a C library; glibc's choose among variants when it starts, which a
        # library that must also work with musl cannot ask for.
        flags = ["-ffreestanding", "-fno-tree-loop-distribute-patterns"]
        return self.compile(core, [_support()], folder, flags=flags)


def _support() -> Path:
    return folder() / "mcu" / "runtime" / "support.c"


@cache
def _version() -> str:
    command = [f"{_PREFIX}gcc", "-dumpfullversion"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


LINUX_TOOLCHAINS.register(GccLinuxToolchain.name)(GccLinuxToolchain())
