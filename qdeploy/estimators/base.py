"""What both estimators share: options, the way from arrays to the trainer, the model's file."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from qdeploy.certificate import Certificate
from qdeploy.data.dataset import Dataset, Task
from qdeploy.data.quantizer import Scaling
from qdeploy.data.sources import generic_names
from qdeploy.data.weighting import ClassWeight, merge_rows
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.training.options import InputShifts, Mode, Outputs
from qdeploy.training.trainer import train

__all__ = ["EstimatorError", "QuantizedEstimator"]


class EstimatorError(QDeployError, ValueError):
    """What scikit-learn expects as a ValueError, in the words of qdeploy."""


class QuantizedEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """Options, described where they are public, the fitted model, and its file."""

    model_: Model
    n_features_in_: int

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
        self.ridge = ridge
        self.relaxation = relaxation
        self.activation = activation
        self.weights = weights
        self.penalty = penalty
        self.outputs = outputs
        self.input_shifts = input_shifts
        self.random_state = random_state
        self.n_jobs = n_jobs

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
        """Train on checked arrays, features (n, D) and target (n,) or (n, K), and adopt the model.

        Raises:
            EstimatorError: the rows that count are too few, or an option is unusable.
        """
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
                ridge=self.ridge,
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
