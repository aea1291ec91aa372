"""The trainer as scikit-learn estimators, for pipelines, grid search and cross-validation.

The ONNX file is the model: `save` and `load` go through it. Rows of weight w count as w equal rows,
to the last bit, because equal rows are merged before training.
"""

import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from qdeploy.certificate import Certificate
from qdeploy.data.dataset import Dataset, Task
from qdeploy.data.quantizer import Scaling
from qdeploy.data.sources import generic_names
from qdeploy.data.weighting import ClassWeight, merge_rows
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model, Numbers
from qdeploy.training.options import InputShifts, Mode, Outputs
from qdeploy.training.trainer import train

__all__ = ["EstimatorError", "QuantizedClassifier", "QuantizedRegressor"]


class EstimatorError(QDeployError, ValueError):
    """What scikit-learn expects as a ValueError, in the words of qdeploy."""


class _QuantizedEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """What both estimators share: options, the fitted model, and its file."""

    loss: str
    mode: Mode | None
    beta: float | Literal["auto"]
    neurons: int | None
    inputs: int | None
    max_bytes: int | None
    max_ops: int | None
    gap: float | None
    time_limit: float | None
    scaling: Scaling | Literal["auto"]
    readout_bits: int | Literal["auto"]
    relaxation: str
    activation: str
    weights: str
    penalty: str
    outputs: Outputs
    input_shifts: InputShifts
    random_state: Any
    n_jobs: int | None
    model_: Model
    n_features_in_: int

    @property
    def certificate_(self) -> Certificate:
        """The proof of the fitted model.

        Raises:
            EstimatorError: the model was loaded from a file that holds none.
        """
        check_is_fitted(self, "model_")
        if self.model_.certificate is None:
            raise EstimatorError(f"model {self.model_.name!r} carries no certificate")
        return self.model_.certificate

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the fitted model as an ONNX file.

        Raises:
            QDeployError: the file exists and `overwrite` is False, or cannot be written.
        """
        from qdeploy import onnx

        check_is_fitted(self, "model_")
        return onnx.save(self.model_, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """A fitted estimator from an ONNX file; its options are the defaults.

        Raises:
            EstimatorError: the model is for the other task.
            QDeployError: the file is no model.
        """
        from qdeploy import onnx

        estimator = cls()
        model = onnx.load(Path(path))
        estimator._adopt(model)
        names = model.quantizer.feature_names if model.quantizer is not None else None
        estimator.n_features_in_ = len(names) if names is not None else model.network.inputs
        if names is not None and names != generic_names("x", len(names)):
            estimator.feature_names_in_ = np.array(names, dtype=object)
        return estimator

    @abstractmethod
    def _adopt(self, model: Model) -> None:
        """Take a model as the fitted one, if it is for the estimator's task."""

    def _train(
        self,
        features: NDArray[np.float64],
        target: NDArray[np.generic],
        sample_weight: ArrayLike | None,
        task: Task,
        class_weight: ClassWeight | None = None,
    ) -> None:
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, features, dtype=np.float64, ensure_non_negative=True
            )
            counted = weights > 0
            features, target, weights = features[counted], target[counted], weights[counted]
        if not len(features):
            raise EstimatorError("every sample weight is zero; at least one row must count")
        if task == "classify" and len(np.unique(target)) < 2:
            raise EstimatorError(
                "the rows that count have a single class; a classifier needs at least two classes"
            )
        names = getattr(self, "feature_names_in_", None)
        width = target.shape[1] if target.ndim == 2 else 1
        dataset = Dataset(
            features=features,
            target=target,
            feature_names=generic_names("x", features.shape[1])
            if names is None
            else tuple(map(str, names)),
            target_names=("y",) if width == 1 else generic_names("y", width),
            task=task,
            source="arrays",
            weights=weights,
        )
        state = self.random_state
        whole = isinstance(state, (int, np.integer))
        try:
            result = train(
                merge_rows(dataset),
                loss=self.loss,
                mode=self.mode,
                beta=self.beta,
                neurons=self.neurons,
                inputs=self.inputs,
                max_bytes=self.max_bytes,
                max_ops=self.max_ops,
                gap=self.gap,
                time_limit=self.time_limit,
                scaling=self.scaling,
                readout_bits=self.readout_bits,
                relaxation=self.relaxation,
                activation=self.activation,
                weights=self.weights,
                penalty=self.penalty,
                outputs=self.outputs,
                input_shifts=self.input_shifts,
                seed=int(state) if whole else int(check_random_state(state).randint(2**31)),
                jobs=1 if self.n_jobs is None else self.n_jobs,
                class_weight=class_weight,
            )
        except QDeployError as error:
            raise EstimatorError(str(error)) from error
        self._adopt(result.model)

    def _scores(self, X: ArrayLike) -> NDArray[np.integer]:
        """Integer scores (n, K) of raw features."""
        check_is_fitted(self, "model_")
        features = validate_data(self, X, reset=False, dtype=np.float64)
        try:
            return self.model_.scores(features)
        except QDeployError as error:
            raise EstimatorError(str(error)) from error


class QuantizedClassifier(ClassifierMixin, _QuantizedEstimator):  # type: ignore[misc]
    """Classes by a ±1 network with a proven distance to the best one; see `qdeploy.train`.

    Args:
        loss: "squared", "squared-hinge", "hinge" or "logistic".
        mode: "certified" or "compact"; None is compact as soon as there is a budget.
        beta: price of Σ|α|, or "auto" for cross-validation.
        neurons: at most so many neurons.
        inputs: at most so many inputs (compact mode).
        max_bytes: of weights and biases as deployed (compact mode).
        max_ops: additions and multiply-accumulates of one inference (compact mode).
        gap: proven gap at which to stop (certified mode).
        time_limit: seconds.
        scaling: "feature", "tensor" or "auto".
        readout_bits: width of the integer readout weights, or "auto".
        relaxation: solver of the semidefinite relaxation.
        activation: "bilinear", "square" or "A,B,C", see `train` (certified mode).
        weights: "binary", "ternary", "2-bit", "3-bit" or "4-bit" (all but the first in certified
            mode).
        penalty: "count" or "size", what |α| of a neuron is multiplied with; see `train`.
        outputs: "separate" or "shared" neurons of several outputs (certified mode).
        input_shifts: "none" or "learned" powers of two as weights of the inputs (certified mode).
        class_weight: weight of each class, or "balanced".
        random_state: a seed; a generator or None draws one.
        n_jobs: processes, as joblib counts them; None is one.

    Attributes:
        model_: the integer network with its quantiser and certificate.
        certificate_: its proof.
        classes_: labels, (k,).
        n_features_in_: number of features.
        feature_names_in_: names of the features, where they came in a data frame.
    """

    def __init__(
        self,
        *,
        loss: str = "squared",
        mode: Mode | None = None,
        beta: float | Literal["auto"] = "auto",
        neurons: int | None = None,
        inputs: int | None = None,
        max_bytes: int | None = None,
        max_ops: int | None = None,
        gap: float | None = None,
        time_limit: float | None = None,
        scaling: Scaling | Literal["auto"] = "auto",
        readout_bits: int | Literal["auto"] = 8,
        relaxation: str = "low-rank",
        activation: str = "bilinear",
        weights: str = "binary",
        penalty: str = "count",
        outputs: Outputs = "separate",
        input_shifts: InputShifts = "none",
        class_weight: ClassWeight | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.mode = mode
        self.beta = beta
        self.neurons = neurons
        self.inputs = inputs
        self.max_bytes = max_bytes
        self.max_ops = max_ops
        self.gap = gap
        self.time_limit = time_limit
        self.scaling = scaling
        self.readout_bits = readout_bits
        self.relaxation = relaxation
        self.activation = activation
        self.weights = weights
        self.penalty = penalty
        self.outputs = outputs
        self.input_shifts = input_shifts
        self.class_weight = class_weight
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train.

        Args:
            X: features (n, D), or a data frame.
            y: labels (n,).
            sample_weight: weights (n,).

        Raises:
            EstimatorError: the data or an option is unusable.
        """
        features, given = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(given)
        self.classes_, index = np.unique(given, return_inverse=True)
        if len(self.classes_) < 2:
            raise EstimatorError(
                f"y has a single class, {self.classes_[0]!r}; at least two classes are needed"
            )
        labels = self.classes_
        if labels.dtype.kind == "O":
            labels = labels.astype(np.str_)
        elif labels.dtype.kind == "f":
            labels = labels.astype(np.int64)
        self._train(features, labels[index], sample_weight, "classify", self.class_weight)
        # Classes whose rows have no weight are not among those that the model can choose.
        kept = np.isin(labels, np.array(self._labels))
        self.classes_ = self.classes_[kept]
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Scores, (n,) for two classes (positive is the second), (n, k) for more."""
        scores = self._scores(X).astype(np.float64) * self.model_.scale
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels, (n,)."""
        scores = self._scores(X)
        index = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)
        return self.classes_[index]

    @property
    def _labels(self) -> tuple[Any, ...]:
        assert isinstance(self.model_.head, Classes)
        return self.model_.head.labels

    def _adopt(self, model: Model) -> None:
        if not isinstance(model.head, Classes):
            raise EstimatorError(f"model {model.name!r} predicts numbers; use QuantizedRegressor")
        self.model_ = model
        if not hasattr(self, "classes_"):
            self.classes_ = np.array(model.head.labels)


class QuantizedRegressor(RegressorMixin, _QuantizedEstimator):  # type: ignore[misc]
    """Numbers by a ±1 network with a proven distance to the best one; see `qdeploy.train`.

    Args:
        loss: "squared".
        mode: "certified" or "compact"; None is compact as soon as there is a budget.
        beta: price of Σ|α|, or "auto" for cross-validation.
        neurons: at most so many neurons.
        inputs: at most so many inputs (compact mode).
        max_bytes: of weights and biases as deployed (compact mode).
        max_ops: additions and multiply-accumulates of one inference (compact mode).
        gap: proven gap at which to stop (certified mode).
        time_limit: seconds.
        scaling: "feature", "tensor" or "auto".
        readout_bits: width of the integer readout weights, or "auto".
        relaxation: solver of the semidefinite relaxation.
        activation: "bilinear", "square" or "A,B,C", see `train` (certified mode).
        weights: "binary", "ternary", "2-bit", "3-bit" or "4-bit" (all but the first in certified
            mode).
        penalty: "count" or "size", what |α| of a neuron is multiplied with; see `train`.
        outputs: "separate" or "shared" neurons of several outputs (certified mode).
        input_shifts: "none" or "learned" powers of two as weights of the inputs (certified mode).
        random_state: a seed; a generator or None draws one.
        n_jobs: processes, as joblib counts them; None is one.

    Attributes:
        model_: the integer network with its quantiser and certificate.
        certificate_: its proof.
        n_features_in_: number of features.
        feature_names_in_: names of the features, where they came in a data frame.
    """

    def __init__(
        self,
        *,
        loss: str = "squared",
        mode: Mode | None = None,
        beta: float | Literal["auto"] = "auto",
        neurons: int | None = None,
        inputs: int | None = None,
        max_bytes: int | None = None,
        max_ops: int | None = None,
        gap: float | None = None,
        time_limit: float | None = None,
        scaling: Scaling | Literal["auto"] = "auto",
        readout_bits: int | Literal["auto"] = 8,
        relaxation: str = "low-rank",
        activation: str = "bilinear",
        weights: str = "binary",
        penalty: str = "count",
        outputs: Outputs = "separate",
        input_shifts: InputShifts = "none",
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.mode = mode
        self.beta = beta
        self.neurons = neurons
        self.inputs = inputs
        self.max_bytes = max_bytes
        self.max_ops = max_ops
        self.gap = gap
        self.time_limit = time_limit
        self.scaling = scaling
        self.readout_bits = readout_bits
        self.relaxation = relaxation
        self.activation = activation
        self.weights = weights
        self.penalty = penalty
        self.outputs = outputs
        self.input_shifts = input_shifts
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train.

        Args:
            X: features (n, D), or a data frame.
            y: numbers (n,) or (n, K).
            sample_weight: weights (n,).

        Raises:
            EstimatorError: the data or an option is unusable.
        """
        features, target = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        target = target.astype(np.float64)
        if target.ndim == 2 and target.shape[1] == 1:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected.",
                DataConversionWarning,
                stacklevel=2,
            )
            target = target[:, 0]
        self._train(features, target, sample_weight, "regress")
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Numbers, (n,) or (n, K)."""
        scores = self._scores(X)
        values: NDArray[np.float64] = self.model_.interpret(scores).astype(np.float64)
        return values

    def __sklearn_tags__(self) -> Any:
        """Several outputs are fine."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _adopt(self, model: Model) -> None:
        if not isinstance(model.head, Numbers):
            raise EstimatorError(f"model {model.name!r} predicts classes; use QuantizedClassifier")
        self.model_ = model
