"""The Clang in the ziglang wheel: every bare-metal core, no system package."""

from qdeploy.targets import Core
from qdeploy.toolchains import TOOLCHAINS
from qdeploy.toolchains.bare_metal import BareMetalDriver
from qdeploy.toolchains.zig_driver import ZigDriver

__all__ = ["ZigToolchain"]


class ZigToolchain(ZigDriver[Core], BareMetalDriver):
    """``python -m ziglang cc`` for freestanding targets."""

    def _driver(self, core: Core) -> list[str]:
        return self._for(core.zig_target, core.zig_cpu)


TOOLCHAINS.register(ZigToolchain.name)(ZigToolchain())
