"""The C library of an artifact, called in this process."""

import ctypes
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.runners import RUNNERS, Compiled, Session, check_inputs

__all__ = ["HostRunner", "LibrarySession", "load_private"]

_SMALL_BATCH = 32
"""Samples up to which copying is quicker than asking for addresses."""


def load_private(path: Path) -> ctypes.CDLL:
    """Load a library from a private copy.

    The loader takes two files of one path for one library, and a file that is replaced while it is
    mapped crashes the process; a copy of its own avoids both.

    Raises:
        QDeployError: this machine cannot load it.
    """
    with tempfile.TemporaryDirectory(prefix="qdeploy-") as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        try:
            return ctypes.CDLL(str(copy))
        except OSError as error:
            raise QDeployError(
                f"{path} cannot be loaded on this machine ({error}); compile it for this one"
            ) from None


class _Buffers(threading.local):
    """Memory of one thread at known addresses: asking numpy for an address costs microseconds."""

    def __init__(self, rows: int, inputs: int, outputs: int, dtype: np.dtype[np.integer]) -> None:
        self.x = np.zeros((rows, inputs), dtype=np.int8)
        self.scores = np.zeros((rows, outputs), dtype=dtype)
        self.x_address = self.x.ctypes.data
        self.scores_address = self.scores.ctypes.data


class LibrarySession:
    """The functions of a loaded library.

    Args:
        library: the shared library.
        name: prefix of its functions.
        inputs: int8 inputs of a sample.
        outputs: scores of a sample.
        score_type: "int32" or "int64".
    """

    def __init__(
        self, library: Path, name: str, inputs: int, outputs: int, score_type: str
    ) -> None:
        self._library = load_private(library)
        self._inputs = inputs
        self._outputs = outputs
        self._dtype = np.dtype(score_type)
        self._buffers = _Buffers(_SMALL_BATCH, inputs, outputs, self._dtype)
        self._predict = self._function(f"{name}_predict", 2)
        self._predict_batch = self._function(f"{name}_predict_batch", 3)

    def _function(self, symbol: str, parameters: int) -> "ctypes._NamedFuncPointer":
        function = getattr(self._library, symbol)
        function.restype = ctypes.c_int
        pointers = [ctypes.c_void_p] * parameters
        if parameters == 3:
            pointers[1] = ctypes.c_size_t  # type: ignore[assignment]
        function.argtypes = pointers
        return function

    def __call__(self, x: NDArray[np.int8]) -> NDArray[np.integer]:
        """Scores (n, K) of int8 inputs (n, d): one foreign call whatever n is."""
        x = check_inputs(x, self._inputs)
        rows = len(x)
        if rows > _SMALL_BATCH:
            scores = np.empty((rows, self._outputs), dtype=self._dtype)
            self._predict_batch(x.ctypes.data, rows, scores.ctypes.data)
            return scores
        buffers = self._buffers
        buffers.x[:rows] = x
        if rows == 1:
            self._predict(buffers.x_address, buffers.scores_address)
        else:
            self._predict_batch(buffers.x_address, rows, buffers.scores_address)
        return buffers.scores[:rows].copy()

    def single(self, x: NDArray[np.int8], scores: NDArray[np.integer]) -> None:
        """Write the scores of one contiguous sample, in place, through the single function."""
        self._predict(x.ctypes.data, scores.ctypes.data)

    def batch(self, x: NDArray[np.int8], scores: NDArray[np.integer]) -> None:
        """Write the scores of contiguous inputs, in place, through the batch function."""
        self._predict_batch(x.ctypes.data, len(x), scores.ctypes.data)


class HostRunner:
    """Calls the C library through ctypes."""

    name = "host"
    title = "C library"
    family = "cpu"

    def open(self, artifact: Compiled) -> Session:
        """Load the artifact's library."""
        manifest = artifact.manifest
        return LibrarySession(
            artifact.library,
            manifest.name,
            manifest.inputs,
            manifest.outputs,
            manifest.score_type,
        )


RUNNERS.register(HostRunner.name)(HostRunner())
