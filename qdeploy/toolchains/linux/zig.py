"""The Clang in the ziglang wheel: musl for static programs, glibc for dynamic ones.

Its musl is built on the first link of a program, in about half a minute, and kept.
"""

from qdeploy.targets import ArmCore
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS
from qdeploy.toolchains.linux.driver import LinuxDriver
from qdeploy.toolchains.zig_driver import ZigDriver

__all__ = ["ZigLinuxToolchain"]

_STATIC = "aarch64-linux-musl"
_DYNAMIC = "aarch64-linux-gnu.2.28"
"""What is linked for the glibc of 2018 runs with all later ones."""


class ZigLinuxToolchain(ZigDriver[ArmCore], LinuxDriver):
    """``python -m ziglang cc`` for Linux targets."""

    def _driver(self, core: ArmCore) -> list[str]:
        return self._for(_STATIC, core.zig_cpu)

    def _library(self, static: bool) -> list[str]:
        # The last target given is the one that counts.
        return [] if static else ["-target", _DYNAMIC]

    def _linker(self, static: bool) -> list[str]:
        # zig builds its C library for the processor that it links for. One for all will do: what
        # takes the time is in objects that are compiled already.
        return self._for(_STATIC if static else _DYNAMIC, "generic")


LINUX_TOOLCHAINS.register(ZigLinuxToolchain.name)(ZigLinuxToolchain())
