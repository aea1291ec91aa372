"""The shared library of an ARM artifact, run by the emulator in this process."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.runners import RUNNERS, Interface, Session, check_inputs
from qdeploy.targets import ArmCore

if TYPE_CHECKING:
    from qdeploy.emulation import BlockCounts

__all__ = ["EmulatedLibrary", "LibraryEmulatorRunner"]

_BLOCK = 256
"""Most samples of one call: what the emulator has memory for at every size of input."""

_LINE = 64
"""Bytes of a cache line; places in it are kept, so that alignment is tried as callers have it."""


class CompiledForArm(Protocol):
    """What this runner needs to know of an artifact."""

    @property
    def interface(self) -> Interface:
        """How the model is called."""

    @property
    def library(self) -> Path:
        """The shared library with the C interface."""

    @property
    def core(self) -> ArmCore:
        """What it was compiled for."""


class EmulatedLibrary:
    """The two functions of a library, on copies of the caller's memory.

    Args:
        library: the shared library.
        core: the core.
        interface: how the model is called.
    """

    def __init__(self, library: Path, core: ArmCore, interface: Interface) -> None:
        from qdeploy.emulation import LibraryMachine

        self._machine = LibraryMachine(library, core)
        self._interface = interface
        self._dtype = np.dtype(interface.score_type)
        self._row_bytes = interface.outputs * self._dtype.itemsize
        self._x = self._machine.allocate(_BLOCK * interface.inputs + _LINE, align=_LINE)
        self._scores = self._machine.allocate(_BLOCK * self._row_bytes + _LINE, align=_LINE)

    def __call__(self, x: NDArray[np.int8]) -> NDArray[np.integer]:
        """Scores (n, K) of int8 inputs (n, d)."""
        x = check_inputs(x, self._interface.inputs)
        scores = np.empty((len(x), self._interface.outputs), dtype=self._dtype)
        for start in range(0, len(x), _BLOCK):
            part = x[start : start + _BLOCK]
            self._run(part, scores[start : start + _BLOCK], single=len(part) == 1)
        return scores

    def single(self, x: NDArray[np.int8], scores: NDArray[np.integer]) -> None:
        """Write the scores of one contiguous sample through the single function."""
        self._run(x, scores, single=True)

    def batch(self, x: NDArray[np.int8], scores: NDArray[np.integer]) -> None:
        """Write the scores of at most 256 contiguous samples through the batch function."""
        self._run(x, scores, single=False)

    def count(self, x: NDArray[np.int8]) -> "BlockCounts":
        """Exact counts of one call on int8 inputs (n, d): the single function for one sample."""
        symbol, arguments, _ = self._arranged(x, self._x, self._scores, single=len(x) == 1)
        return self._machine.count(symbol, *arguments)

    def _run(self, x: NDArray[np.int8], scores: NDArray[np.integer], *, single: bool) -> None:
        place = self._x + x.ctypes.data % _LINE
        result = self._scores + scores.ctypes.data % _LINE
        symbol, arguments, size = self._arranged(x, place, result, single=single)
        self._machine.call(symbol, *arguments)
        little = self._dtype.newbyteorder("<")
        read = np.frombuffer(self._machine.read(result, size), dtype=little)
        scores[...] = read.reshape(scores.shape)

    def _arranged(
        self, x: NDArray[np.int8], place: int, result: int, *, single: bool
    ) -> tuple[str, tuple[int, ...], int]:
        """Put inputs in their place; function, arguments, and bytes of the scores."""
        self._machine.write(place, x.tobytes())
        name = self._interface.name
        size = len(x) * self._row_bytes
        if single:
            return f"{name}_predict", (place, result), size
        return f"{name}_predict_batch", (place, len(x), result), size


class LibraryEmulatorRunner:
    """Needs nothing but the wheel."""

    name = "library-emulator"
    family = "arm"
    title = "emulator in this process"

    def open(self, artifact: CompiledForArm) -> Session:
        """Load the artifact's library."""
        return EmulatedLibrary(artifact.library, artifact.core, artifact.interface)


RUNNERS.register(LibraryEmulatorRunner.name)(LibraryEmulatorRunner())
