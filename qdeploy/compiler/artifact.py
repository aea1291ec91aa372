"""A compiled model: a folder that describes itself, and ways to call what is in it."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.manifest import Manifest, read_manifest
from qdeploy.model import Model
from qdeploy.runners import RUNNERS, Session

if TYPE_CHECKING:
    from qdeploy.runners.vm import MachineSession

__all__ = ["ENTRY_FILE", "KERNEL_FILE", "MODEL_FILE", "MODULE_FILE", "Artifact", "header_file"]

MODEL_FILE = "model.onnx"
MODULE_FILE = "module.so"
KERNEL_FILE = "kernels.o"
ENTRY_FILE = "entry.c"


def header_file(name: str) -> str:
    """File name of the header of a model."""
    return f"{name}.h"


class Artifact:
    """A compiled model, opened.

    Args:
        folder: the artifact folder.
        manifest: its checked manifest.

    Use `Artifact.load` to open a folder.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def load(cls, folder: str | Path) -> "Artifact":
        """Open an artifact folder.

        Raises:
            QDeployError: it is no artifact folder, or a file in it was changed or lost.
        """
        path = Path(folder)
        return cls(path, read_manifest(path))

    @property
    def target(self) -> str:
        """Name of the target it was compiled for."""
        return self.manifest.target

    @property
    def form(self) -> str:
        """Kernel form for one sample, and the one for batches where it is another."""
        single, batch = self.manifest.plan.single.form, self.manifest.plan.batch.form
        return single if single == batch else f"{single} (batches: {batch})"

    @property
    def verified(self) -> int:
        """Number of samples on which every implementation gave equal bits."""
        return self.manifest.verified

    @property
    def flash_bytes(self) -> int:
        """Bytes of code and read-only data of the C library."""
        return self.manifest.memory.code + self.manifest.memory.constants

    @property
    def ram_bytes(self) -> int:
        """Bytes of working memory and writable data of the C library."""
        return self.manifest.memory.scratch + self.manifest.memory.writable

    @property
    def library(self) -> Path:
        """The shared library with the C interface."""
        return self.folder / f"lib{self.manifest.name}.so"

    @property
    def header(self) -> Path:
        """The C header."""
        return self.folder / header_file(self.manifest.name)

    @property
    def module(self) -> Path:
        """The module for TVM's Relax virtual machine."""
        return self.folder / MODULE_FILE

    @cached_property
    def model(self) -> Model:
        """The model that was compiled."""
        from qdeploy import onnx

        return onnx.load(self.folder / MODEL_FILE)

    @cached_property
    def _host(self) -> Session:
        return RUNNERS["host"].open(self)

    @cached_property
    def _machine(self) -> "MachineSession":
        from qdeploy.runners.vm import MachineSession

        return MachineSession(self.module, self.manifest.inputs)

    @property
    def vm(self) -> Any:
        """TVM's Relax virtual machine with the compiled module loaded."""
        return self._machine.machine

    def scores(self, features: NDArray[Any]) -> NDArray[np.integer]:
        """Integer scores (n, K) through the C library.

        Args:
            features: int8 inputs (n, d), or raw features (n, D) for a model with a quantiser.
        """
        return self._host(self._inputs(features))

    def vm_scores(self, features: NDArray[Any]) -> NDArray[np.integer]:
        """Integer scores (n, K) through the Relax virtual machine; features as in `scores`."""
        return self._machine(self._inputs(features))

    def run(self, features: NDArray[Any]) -> NDArray[np.generic]:
        """Predictions through the C library: labels (n,), or numbers (n,) or (n, K)."""
        return self.model.interpret(self.scores(features))

    def _inputs(self, features: NDArray[Any]) -> NDArray[np.int8]:
        if isinstance(features, np.ndarray) and features.dtype == np.int8:
            return features
        return self.model.quantize(features)
