"""GCC for bare-metal cores, where the system has one: arm-none-eabi-gcc and riscv*-elf-gcc."""

import shutil
import subprocess
from functools import cache

from qdeploy.errors import QDeployError
from qdeploy.targets import Core
from qdeploy.toolchains import TOOLCHAINS
from qdeploy.toolchains.bare_metal import BareMetalDriver

__all__ = ["GccToolchain"]

_PREFIXES = {
    "arm": ("arm-none-eabi-",),
    "riscv32": ("riscv32-unknown-elf-", "riscv64-unknown-elf-", "riscv-none-elf-"),
}
"""Names of the cross compilers that code for an architecture, without the tool's own name."""


class GccToolchain(BareMetalDriver):
    """The first cross compiler on the path that has the core."""

    name = "gcc"
    title = "gcc"

    def obstacle(self, core: Core) -> str | None:
        """Why there is no GCC for a core here."""
        if core.gcc is None:
            return f"gcc has no flags for the core {core.name}; use zig"
        if _prefix(core.architecture) is None:
            names = " or ".join(f"{prefix}gcc" for prefix in _PREFIXES[core.architecture])
            return (
                f"gcc for {core.name} is not installed; put {names} on the path "
                "(for instance Debian's gcc-arm-none-eabi or gcc-riscv64-unknown-elf), or use zig"
            )
        return None

    def version(self) -> str:
        """Versions of the compilers that are there.

        Raises:
            QDeployError: there is none.
        """
        found = [prefix for name in _PREFIXES if (prefix := _prefix(name))]
        if not found:
            raise QDeployError(
                "gcc for bare-metal cores is not installed; put arm-none-eabi-gcc on the path"
            )
        return ", ".join(f"{prefix}gcc {_version(prefix)}" for prefix in found)

    def _driver(self, core: Core) -> list[str]:
        return [f"{_prefix(core.architecture)}gcc", *(core.gcc or ())]

    def _archiver(self) -> list[str]:
        # Any of them will do: an archive does not depend on the architecture.
        return next([f"{prefix}ar"] for name in _PREFIXES if (prefix := _prefix(name)))

    def _helpers(self) -> list[str]:
        return ["-lgcc"]


def _prefix(architecture: str) -> str | None:
    return next((p for p in _PREFIXES[architecture] if shutil.which(f"{p}gcc")), None)


@cache
def _version(prefix: str) -> str:
    command = [f"{prefix}gcc", "-dumpfullversion"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


TOOLCHAINS.register(GccToolchain.name)(GccToolchain())
