"""The estimator of numbers."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import validate_data

from qdeploy.estimators.base import EstimatorError, QuantizedEstimator
from qdeploy.model import Model, Numbers

__all__ = ["QuantizedRegressor"]


class QuantizedRegressor(RegressorMixin, QuantizedEstimator):  # type: ignore[misc]
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
        ridge: of the readout, or "auto" for held-out rows (compact mode).
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
