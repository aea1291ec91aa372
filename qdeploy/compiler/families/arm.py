"""64-bit ARM boards with Linux: libraries, programs, a module for TVM's runtime."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.arm.artifact import LinuxManifest
from qdeploy.compiler.families import FAMILIES, KernelSetting, Options
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.progress import Progress
from qdeploy.targets import ArmTarget, Target
from qdeploy.toolchains.linux import DEFAULT_TOOLCHAIN

__all__ = ["ArmFamily"]


class ArmFamily:
    """ARM boards with Linux."""

    name = "arm"

    def build(
        self,
        model: Model,
        target: Target,
        folder: Path,
        options: Options,
        real: NDArray[np.int8] | None,
        progress: Progress,
    ) -> LinuxManifest:
        """Libraries and programs, verified in the emulator."""
        from qdeploy.compiler.arm.build import build_linux_artifact, kernel_setting, linux_toolchain

        if options != Options(toolchain=options.toolchain, selection=options.selection):
            raise QDeployError(
                f"target {target.name!r} is a Linux board: optimisation goals, memory limits and "
                "float fronts are options of microcontrollers; leave them out"
            )
        assert isinstance(target, ArmTarget), "targets of a family have its type"
        toolchain = linux_toolchain(options.toolchain or DEFAULT_TOOLCHAIN, target)
        setting = kernel_setting(target, toolchain)
        return build_linux_artifact(
            model, target, folder, setting, toolchain, options.selection, real, progress
        )

    def setting(self, target: Target, toolchain: str | None = None) -> KernelSetting | None:
        """The core, as the emulator and its pipeline model weigh kernels for it."""
        from qdeploy.compiler.arm.build import kernel_setting, linux_toolchain

        assert isinstance(target, ArmTarget), "targets of a family have its type"
        return kernel_setting(target, linux_toolchain(toolchain or DEFAULT_TOOLCHAIN, target))


FAMILIES.register(ArmFamily.name)(ArmFamily())
