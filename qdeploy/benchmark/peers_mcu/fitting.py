"""What the peers share: the quantised inputs, scikit-learn's fit, and what scores stand for."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.benchmark.peers_mcu.integer_layers import DenseLayer, dense_sources, forward
from qdeploy.data.dataset import Dataset
from qdeploy.data.quantizer import INPUT_STEP, InputQuantizer

__all__ = ["Rows", "classes_from_scores", "fitted", "identifier", "integer_subject"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows as the peers see them.

    Attributes:
        train: raw rows.
    """

    train: Dataset

    @classmethod
    def of(cls, context: Context) -> "Rows":
        """The training rows of a context that has some."""
        assert context.train is not None, "obstacle() was not asked"
        return cls(context.train)

    @property
    def classify(self) -> bool:
        """Whether the target is a class."""
        return self.train.task == "classify"

    @cached_property
    def quantizer(self) -> InputQuantizer:
        """The int8 inputs that qdeploy uses by default: standard deviations in steps of 1/32."""
        return InputQuantizer.fit(self.train.features, self.train.feature_names)

    @cached_property
    def steps(self) -> NDArray[np.float64]:
        """The training rows through the quantiser, in standard deviations (n, d)."""
        return self.quantizer.quantize(self.train.features).astype(np.float64) * INPUT_STEP

    def standardize(self, features: NDArray[np.float64]) -> NDArray[np.float32]:
        """Raw features (n, D) to standard deviations in float32 (n, d), constant ones left out."""
        used = np.asarray(features)[:, self.quantizer.kept]
        deviation = self.quantizer.scale.astype(np.float64) / INPUT_STEP
        return ((used - self.quantizer.offset) / deviation).astype(np.float32)

    @cached_property
    def numbers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of each regression target (K,)."""
        target = self.train.target.astype(np.float64).reshape(len(self.train.target), -1)
        deviation = target.std(axis=0)
        return target.mean(axis=0), np.where(deviation > 0, deviation, 1.0)

    @cached_property
    def target(self) -> NDArray[Any]:
        """Labels (n,), or numbers standardised, (n,) or (n, K)."""
        if self.classify:
            return self.train.target
        mean, deviation = self.numbers
        values = (self.train.target.astype(np.float64).reshape(-1, mean.size) - mean) / deviation
        return values[:, 0] if self.train.target.ndim == 1 else values

    def decode_numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Numbers (n,) or (n, K) that standardised outputs (n, K) stand for."""
        mean, deviation = self.numbers
        numbers = values.astype(np.float64).reshape(-1, mean.size) * deviation + mean
        return numbers[:, 0] if self.train.target.ndim == 1 else numbers


def fitted(estimator: Any, inputs: NDArray[Any], target: NDArray[Any]) -> Any:
    """The estimator after its fit; reaching the iteration limit is one of its fixed settings."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(inputs, target)


def identifier(name: str) -> str:
    """The C name that a peer's name makes."""
    return name.replace("-", "_")


def classes_from_scores(labels: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Labels of scores: the sign of a single one (positive is the second label), or the largest."""

    def decode(scores: NDArray[Any]) -> NDArray[Any]:
        single = scores.shape[1] == 1
        index = (scores[:, 0] > 0).astype(np.int64) if single else scores.argmax(axis=1)
        return labels[index]

    return decode


def integer_subject(
    name: str,
    title: str,
    note: str,
    rows: Rows,
    layers: list[DenseLayer],
    decode: Callable[[NDArray[Any]], NDArray[Any]],
) -> McuSubject:
    """A subject made of dense int8 layers on the quantised inputs."""
    encode = rows.quantizer.quantize
    entry = f"{identifier(name)}_scores"
    return McuSubject(
        name=name,
        title=title,
        note=note,
        entry=entry,
        input_dtype=np.dtype(np.int8),
        output_dtype=np.dtype(np.int32),
        inputs=layers[0].weights.shape[1],
        outputs=layers[-1].weights.shape[0],
        encode=encode,
        decode=decode,
        reference=lambda features: decode(forward(layers, encode(features))),
        sources=dense_sources(layers, entry),
        expected=lambda x: forward(layers, x),
    )
