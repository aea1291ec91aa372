"""A trained model: integer network, input quantiser, what the scores mean, certificate, origin."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import Certificate
from qdeploy.data.dataset import Label
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.network import QuantizedNetwork

__all__ = ["Classes", "Head", "Model", "Numbers"]


@dataclass(frozen=True)
class Classes:
    """Scores that choose a class: one score (positive means the second of two) or one a class.

    Ties go to the first class, as numpy's argmax does.

    Attributes:
        labels: the classes, two or more, all different.
        outputs: number of scores that the network gives: 1 for two classes, otherwise (or when
            stated, as a network from elsewhere may give two) one a class.
    """

    labels: tuple[Label, ...]
    outputs: int = 0

    def __post_init__(self) -> None:
        count = len(self.labels)
        if count < 2 or len(set(self.labels)) != count:
            raise QDeployError("a classifier needs at least two labels, all different")
        if not self.outputs:
            object.__setattr__(self, "outputs", 1 if count == 2 else count)
        if self.outputs != count and (self.outputs, count) != (1, 2):
            raise QDeployError(f"{count} classes need {count} scores, not {self.outputs}")

    def decide(self, scores: NDArray[np.integer]) -> NDArray[np.generic]:
        """Labels (n,) of integer scores (n, K)."""
        index = (scores[:, 0] > 0).astype(np.int64) if self.outputs == 1 else scores.argmax(axis=1)
        return np.array(self.labels)[index]


@dataclass(frozen=True)
class Numbers:
    """Scores that stand for numbers: value_k = mean_k + deviation_k · (scale · score_k)."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.mean) == len(self.deviation) > 0:
            raise QDeployError("each number that a model gives needs a name, mean and deviation")
        if not np.isfinite([*self.mean, *self.deviation]).all() or min(self.deviation) <= 0:
            raise QDeployError("means must be finite, deviations finite and positive")

    @property
    def outputs(self) -> int:
        """Number of scores that the network gives."""
        return len(self.names)


Head = Classes | Numbers


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that one ONNX file holds.

    Attributes:
        name: short identifier, a valid C name.
        network: int8 inputs to integer scores.
        scale: real value of one unit of a score (score · scale approximates the target).
        head: what the scores mean.
        quantizer: raw features to int8, or None for a network that came without one.
        certificate: the proof, or None for a network that came without one.
        provenance: data source, split, seed, options, versions: JSON values.
    """

    name: str
    network: QuantizedNetwork
    scale: float
    head: Head
    quantizer: InputQuantizer | None = None
    certificate: Certificate | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.name.isascii() and self.name.isidentifier() and len(self.name) <= 64):
            raise QDeployError(
                f"model name {self.name[:80]!r} will name C functions: use at most 64 letters, "
                "digits and underscores, no digit first"
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise QDeployError(f"the scale of the scores must be positive, not {self.scale}")
        if self.head.outputs != self.network.outputs:
            raise QDeployError(
                f"the network gives {self.network.outputs} scores but the model's head "
                f"describes {self.head.outputs}"
            )
        if self.quantizer is not None and self.quantizer.kept.size != self.network.inputs:
            raise QDeployError(
                f"the quantiser gives {self.quantizer.kept.size} inputs but the network takes "
                f"{self.network.inputs}"
            )

    def quantize(self, features: NDArray[Any]) -> NDArray[np.int8]:
        """Int8 inputs (n, d): of raw features (n, D), or int8 arrays as they are.

        Raises:
            QDeployError: raw features were given to a model without a quantiser.
        """
        features = np.asarray(features)
        if features.dtype == np.int8:
            return features
        if self.quantizer is None:
            raise QDeployError(
                f"model {self.name!r} has no input quantiser; give it int8 inputs of shape "
                f"(n, {self.network.inputs})"
            )
        return self.quantizer.quantize(features)

    def scores(self, features: NDArray[Any]) -> NDArray[np.integer]:
        """Integer scores (n, K) of raw features (n, D) or int8 inputs (n, d)."""
        return self.network.forward(self.quantize(features))

    def interpret(self, scores: NDArray[np.integer]) -> NDArray[np.generic]:
        """Class labels (n,), or numbers (n,) or (n, K), that integer scores stand for."""
        if isinstance(self.head, Classes):
            return self.head.decide(scores)
        values = np.asarray(self.head.mean) + np.asarray(self.head.deviation) * (
            self.scale * scores.astype(np.float64)
        )
        return values[:, 0] if self.head.outputs == 1 else values

    def predict(self, features: NDArray[Any]) -> NDArray[np.generic]:
        """Class labels (n,), or numbers (n,) or (n, K), of raw features or int8 inputs."""
        return self.interpret(self.scores(features))

    def score(
        self,
        features: NDArray[Any],
        target: NDArray[np.generic],
        weights: NDArray[np.float64] | None = None,
    ) -> float:
        """Share of rows classified rightly, or mean R² of the outputs.

        Args:
            features: raw features (n, D) or int8 inputs (n, d).
            target: labels (n,), or numbers (n,) or (n, K).
            weights: of the rows, float64 (n,), or None.
        """
        predicted = self.predict(features)
        if isinstance(self.head, Classes):
            return float(np.average(predicted == target, weights=weights))
        truth = np.asarray(target, dtype=np.float64).reshape(len(predicted), -1)
        values = predicted.astype(np.float64).reshape(truth.shape)
        centre = np.average(truth, axis=0, weights=weights)
        error = np.average((truth - values) ** 2, axis=0, weights=weights)
        spread = np.average((truth - centre) ** 2, axis=0, weights=weights)
        return float((1 - error / np.where(spread > 0, spread, 1.0)).mean())
