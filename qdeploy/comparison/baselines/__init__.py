"""Methods that are compared, one module each: ours, those of the same networks, float references.

A method sees the training rows alone. All that train a ±1 network see the same quantised inputs,
have the same number of neurons and the same time; a float reference has neither limit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.data import Dataset, InputQuantizer
from qdeploy.data.quantizer import Scaling
from qdeploy.inspection import describe
from qdeploy.model import Head, Model
from qdeploy.registry import Registry
from qdeploy.training.losses import FloatArray, losses
from qdeploy.training.search import Rows
from qdeploy.training.trainer import encode

__all__ = ["BASELINES", "READOUT_BITS", "Baseline", "Family", "Fitted", "Setting"]

Family = Literal["ours", "network", "float"]

READOUT_BITS = 8
"""Width of the integer readout weights of every ±1 network."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What a method is given.

    Attributes:
        dataset: the training rows; their labels are classes.
        neurons: m, or None for a method without a width.
        seconds: of wall time on one core, which a method of given width aims at.
        proof_seconds: the same for a method that proves.
        seed: of everything random.
        scaling: of the quantised inputs.
    """

    dataset: Dataset
    neurons: int | None
    seconds: float
    proof_seconds: float
    seed: int
    scaling: Scaling

    @cached_property
    def encoded(self) -> tuple[Head, FloatArray]:
        """What scores mean, and targets of ±1, float64 (n, K)."""
        return encode(self.dataset)

    @cached_property
    def quantizer(self) -> InputQuantizer:
        """The inputs that every ±1 network sees before any scaling is learned."""
        names = self.dataset.feature_names
        return InputQuantizer.fit(self.dataset.features, names, self.scaling, self.dataset.weights)

    @cached_property
    def rows(self) -> Rows:
        """The training rows as the trainer takes them, with the squared loss."""
        loss = losses["squared"].weighted(self.dataset.weights)
        return Rows(self.dataset.features, self.quantizer, self.encoded[1], loss)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a method gives.

    Attributes:
        predict: labels (n,) of raw features (n, D).
        bytes: of its numbers as deployed.
        model: the integer model, where it is one.
    """

    predict: Callable[[NDArray[np.float64]], NDArray[np.generic]]
    bytes: int
    model: Model | None = None

    @classmethod
    def of(cls, model: Model) -> "Fitted":
        """An integer model, with the bytes that ``qdeploy inspect`` counts."""
        return cls(model.predict, describe(model).deployed_bytes, model)


class Baseline(ABC):
    """One method.

    Attributes:
        name: what users call it.
        label: how tables call it.
        about: one sentence on what it does.
        family: "ours", another way to train such a "network", or a "float" reference.
        width_bound: whether it trains m neurons in the given time.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    about: ClassVar[str]
    family: ClassVar[Family]
    width_bound: ClassVar[bool]

    @abstractmethod
    def fit(self, setting: Setting) -> Fitted:
        """Train on the rows of a setting."""


BASELINES: Registry[Baseline] = Registry("method", "qdeploy.comparison.baselines")
