"""Where an artifact runs: one module a runner, one small interface."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.network import Accumulator
from qdeploy.registry import Registry

__all__ = ["RUNNERS", "Compiled", "Functions", "Interface", "Runner", "Session", "check_inputs"]

Session = Callable[[NDArray[np.int8]], NDArray[np.integer]]
"""Scores (n, K) of int8 inputs (n, d), any n from 0."""


class Functions(Protocol):
    """The two C functions of a compiled model, on memory of the caller's."""

    def single(self, x: NDArray[np.int8], scores: NDArray[np.integer]) -> None:
        """Write the scores of one contiguous sample, int8 (1, d), into (1, K)."""

    def batch(self, x: NDArray[np.int8], scores: NDArray[np.integer]) -> None:
        """Write the scores of contiguous samples, int8 (n, d), into (n, K)."""


class Interface(Protocol):
    """How compiled functions are called.

    Attributes:
        name: prefix of the C functions.
        inputs: int8 values a sample, d.
        outputs: scores a sample, K.
        score_type: "int32" or "int64".
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (described above, as the others)
    @property
    def inputs(self) -> int: ...  # noqa: D102
    @property
    def outputs(self) -> int: ...  # noqa: D102
    @property
    def score_type(self) -> Accumulator: ...  # noqa: D102


class Compiled(Protocol):
    """What a runner needs to know of an artifact."""

    @property
    def manifest(self) -> Interface:
        """How its functions are called."""

    @property
    def library(self) -> Path:
        """The shared library with the C interface."""

    @property
    def module(self) -> Path:
        """The module for TVM's Relax virtual machine."""


class Runner(Protocol):
    """A place where artifacts run.

    Attributes:
        name: identifier.
        title: what it is, in words, for messages and tables.
        family: of targets whose artifacts it runs.
    """

    name: str
    title: str
    family: str

    def open(self, artifact: Any) -> Session:
        """Get an artifact of the family ready to run.

        Raises:
            QDeployError: it cannot run there.
        """
        ...


RUNNERS: Registry[Runner] = Registry("runner", __name__)


def check_inputs(x: NDArray[np.int8], inputs: int) -> NDArray[np.int8]:
    """The inputs as the compiled functions take them: contiguous int8 (n, inputs).

    Raises:
        QDeployError: another type or shape.
    """
    if x.dtype != np.int8 or x.ndim != 2 or x.shape[1] != inputs:
        raise QDeployError(
            f"the network takes an int8 array of shape (n, {inputs}), "
            f"not {x.dtype} of shape {x.shape}"
        )
    return x if x.flags.c_contiguous else np.ascontiguousarray(x)
