"""Hosts: a shared library and a module for TVM's virtual machine."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.families import FAMILIES, KernelSetting, Options
from qdeploy.compiler.library_artifact import LibraryManifest
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.progress import Progress
from qdeploy.targets import CpuTarget, Target

__all__ = ["CpuFamily"]


class CpuFamily:
    """Hosts."""

    name = "cpu"

    def build(
        self,
        model: Model,
        target: Target,
        folder: Path,
        options: Options,
        real: NDArray[np.int8] | None,
        progress: Progress,
    ) -> LibraryManifest:
        """Library and module, verified in this process."""
        from qdeploy.compiler.shared_library import build_library

        if options != Options(selection=options.selection):
            raise QDeployError(
                f"target {target.name!r} is a host: optimisation goals, memory limits, toolchains "
                "and float fronts are options of boards; leave them out"
            )
        assert isinstance(target, CpuTarget), "targets of a family have its type"
        return build_library(model, target, folder, options.selection, real, progress)

    def setting(self, target: Target, toolchain: str | None = None) -> KernelSetting | None:
        """The processor, as its operations are counted."""
        from qdeploy.compiler.isa import best_instruction_set
        from qdeploy.compiler.processor import processor_for

        assert isinstance(target, CpuTarget), "targets of a family have its type"
        processor = processor_for(target)
        isa = best_instruction_set(processor.architecture, processor.features)
        return KernelSetting(processor, isa, None)


FAMILIES.register(CpuFamily.name)(CpuFamily())
