"""The estimator of classes."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from qdeploy.data.quantizer import Scaling
from qdeploy.data.weighting import ClassWeight
from qdeploy.estimators.base import EstimatorError, QuantizedEstimator
from qdeploy.model import Classes, Model
from qdeploy.training.options import InputShifts, Mode, Outputs

__all__ = ["QuantizedClassifier"]


class QuantizedClassifier(ClassifierMixin, QuantizedEstimator):  # type: ignore[misc]
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
        ridge: of the readout, or "auto" for held-out rows (compact mode).
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
        ridge: float | Literal["auto"] = "auto",
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
        super().__init__(
            loss=loss,
            mode=mode,
            beta=beta,
            neurons=neurons,
            inputs=inputs,
            max_bytes=max_bytes,
            max_ops=max_ops,
            gap=gap,
            time_limit=time_limit,
            scaling=scaling,
            readout_bits=readout_bits,
            ridge=ridge,
            relaxation=relaxation,
            activation=activation,
            weights=weights,
            penalty=penalty,
            outputs=outputs,
            input_shifts=input_shifts,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        self.class_weight = class_weight

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
