"""Where an artifact runs: one module a runner, one small interface."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.registry import Registry

if TYPE_CHECKING:
    from qdeploy.compiler.artifact import Artifact

__all__ = ["RUNNERS", "Runner", "Session", "check_inputs"]

Session = Callable[[NDArray[np.int8]], NDArray[np.integer]]
"""Scores (n, K) of int8 inputs (n, d), any n from 0."""


class Runner(Protocol):
    """A place where artifacts run.

    Attributes:
        name: identifier.
        title: what it is, in words, for messages and tables.
    """

    name: str
    title: str

    def open(self, artifact: "Artifact") -> Session:
        """Get the artifact ready to run.

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
