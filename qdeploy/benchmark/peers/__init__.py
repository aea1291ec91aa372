"""What a user would otherwise deploy, one module each; and qdeploy itself, on the same terms.

A peer prepares itself once for a model and its data, and can then be run from Python and, where it
has one, through a native timer. A peer whose scores must equal the model's is checked before it
is timed. Nothing here decides how long anything is measured.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.timing import Timer
from qdeploy.data.dataset import Dataset
from qdeploy.model import Model
from qdeploy.registry import Registry

if TYPE_CHECKING:
    from qdeploy.compiler.library_artifact import LibraryArtifact

__all__ = ["PEERS", "Context", "Native", "Peer", "Prepared", "Size"]


@dataclass(frozen=True, eq=False)
class Context:
    """What a peer may use.

    Attributes:
        model: the model under test.
        artifact: it, compiled.
        inputs: quantised inputs to run on, int8 (n, d).
        features: the same rows as raw features (n, D), or None when only random inputs are there.
        train: training rows, or None.
        test: held-out rows, or None.
        seed: seed of everything that is fitted.
    """

    model: Model
    artifact: "LibraryArtifact"
    inputs: NDArray[np.int8]
    features: NDArray[np.float64] | None = None
    train: Dataset | None = None
    test: Dataset | None = None
    seed: int = 0


@dataclass(frozen=True)
class Native:
    """A native timer.

    Attributes:
        timer: measures seconds a call; a call is one batch.
        note: what a call covers.
        scores: what a call writes its scores to, (n, K), so that they can be checked; None where
            the timer keeps them to itself.
    """

    timer: Timer
    note: str
    scores: NDArray[Any] | None = None


@dataclass(frozen=True)
class Size:
    """Bytes, and of what."""

    bytes: int
    note: str


class Prepared(AbstractContextManager["Prepared"], ABC):
    """A peer, ready to run.

    Attributes:
        threads: threads that one call keeps busy.
    """

    threads: int = 1

    @abstractmethod
    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        """Scores (n, K) of int8 inputs (n, d), or predictions (n,) of raw features (n, D)."""

    @abstractmethod
    def predict(self, features: NDArray[np.float64]) -> NDArray[Any]:
        """Predictions of raw features (n, D), as a user of this implementation would get them."""

    def native(self, inputs: NDArray[np.int8]) -> Native | None:
        """A timer over batches of inputs, int8 (p, n, d), or None where there is none."""
        return None

    def sizes(self) -> Mapping[str, Size]:
        """Bytes by metric name."""
        return {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release what `prepare` acquired."""


class Peer(ABC):
    """One way of computing the predictions.

    Attributes:
        name: `implementation` of its figures.
        exact: whether `run` must give the model's integer scores.
    """

    name: str
    exact: ClassVar[bool] = True

    @abstractmethod
    def title(self, context: Context) -> str:
        """A few words for tables and plots."""

    def obstacle(self, context: Context) -> str | None:
        """Why it cannot take part, in a few words; None when it can."""
        return None

    @abstractmethod
    def prepare(self, context: Context) -> Prepared:
        """Build, fit or load it: the part that is not timed."""


PEERS: Registry[Peer] = Registry("peer", "qdeploy.benchmark.peers")
