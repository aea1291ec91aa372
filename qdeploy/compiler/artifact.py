"""A compiled model: a folder that describes itself, and ways to call what is in it."""

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.manifest import Manifest, read_manifest
from qdeploy.model import Model
from qdeploy.registry import Registry
from qdeploy.runners import Session

__all__ = ["ARTIFACTS", "MODEL_FILE", "Artifact", "header_file"]

MODEL_FILE = "model.onnx"


def header_file(name: str) -> str:
    """File name of the header of a model."""
    return f"{name}.h"


class Artifact(ABC):
    """A compiled model, opened.

    Args:
        folder: the artifact folder.
        manifest: its checked manifest.

    Attributes:
        manifest_type: what its manifest is read as; each family of targets has its own.

    Use `Artifact.load` to open a folder.
    """

    manifest_type: ClassVar[type[Manifest]]
    manifest: Manifest

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @staticmethod
    def load(folder: str | Path) -> "Artifact":
        """Open an artifact folder, of whatever family.

        Raises:
            QDeployError: it is no artifact folder, or a file in it was changed or lost.
        """
        path = Path(folder)
        kinds = {name: ARTIFACTS[name].manifest_type for name in ARTIFACTS.names()}
        manifest = read_manifest(path, kinds)
        return ARTIFACTS[manifest.family](path, manifest)

    @property
    def name(self) -> str:
        """Name of the model, and prefix of its C names."""
        return self.manifest.name

    @property
    def target(self) -> str:
        """Name of the target it was compiled for."""
        return self.manifest.target

    @property
    def verified(self) -> int:
        """Number of samples on which every implementation gave equal bits."""
        return self.manifest.verified

    @property
    def model_file(self) -> Path:
        """The file of the model that was compiled."""
        return self.folder / MODEL_FILE

    @property
    def header(self) -> Path:
        """The C header."""
        return self.folder / header_file(self.manifest.name)

    @property
    @abstractmethod
    def form(self) -> str:
        """Kernel form, in words."""

    @property
    @abstractmethod
    def flash_bytes(self) -> int:
        """Bytes of code and read-only data."""

    @property
    @abstractmethod
    def ram_bytes(self) -> int:
        """Bytes of working memory and writable data."""

    @property
    @abstractmethod
    def library(self) -> Path:
        """The library with the C interface."""

    @property
    @abstractmethod
    def _session(self) -> Session:
        """The compiled code, ready to be called."""

    @cached_property
    def model(self) -> Model:
        """The model that was compiled."""
        from qdeploy import onnx

        return onnx.load(self.model_file)

    def scores(self, features: NDArray[Any]) -> NDArray[np.integer]:
        """Integer scores (n, K) through the compiled code.

        Args:
            features: int8 inputs (n, d), or raw features (n, D) for a model with a quantiser.
        """
        return self._session(self._inputs(features))

    def run(self, features: NDArray[Any]) -> NDArray[np.generic]:
        """Predictions through the compiled code: labels (n,), or numbers (n,) or (n, K)."""
        return self.model.interpret(self.scores(features))

    def _inputs(self, features: NDArray[Any]) -> NDArray[np.int8]:
        if isinstance(features, np.ndarray) and features.dtype == np.int8:
            return features
        return self.model.quantize(features)


ARTIFACTS: Registry[type[Artifact]] = Registry("family of targets", "qdeploy.compiler.families")
"""Type of the artifacts of each family."""
