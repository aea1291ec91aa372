"""Microcontrollers: C sources, static libraries, project files, and a firmware."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.families import FAMILIES, KernelSetting, Options
from qdeploy.compiler.mcu.artifact import FirmwareManifest
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.progress import Progress
from qdeploy.targets import McuTarget, Target

__all__ = ["McuFamily"]


class McuFamily:
    """Microcontrollers."""

    name = "mcu"

    def build(
        self,
        model: Model,
        target: Target,
        folder: Path,
        options: Options,
        real: NDArray[np.int8] | None,
        progress: Progress,
    ) -> FirmwareManifest:
        """Sources, libraries and firmware, verified in the emulator."""
        from qdeploy.compiler.mcu.build import build_firmware_artifact

        if options.selection is not None:
            raise QDeployError(
                f"target {target.name!r} is a microcontroller, for which every kernel is compiled "
                "and counted anyway; leave the tuning log out"
            )
        assert isinstance(target, McuTarget), "targets of a family have its type"
        return build_firmware_artifact(model, target, folder, options, real, progress)

    def setting(self, target: Target, toolchain: str | None = None) -> KernelSetting | None:
        """None: every kernel is compiled and counted anyway."""
        return None


FAMILIES.register(McuFamily.name)(McuFamily())
