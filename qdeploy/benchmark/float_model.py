"""Float models of scikit-learn as a user would deploy them: standardise, then predict."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context, Peer, Prepared, Size
from qdeploy.data.dataset import Dataset, Task

__all__ = ["FloatPeer"]


class _FloatModel(Prepared):
    def __init__(self, estimator: Any, train: Dataset) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._pipeline = make_pipeline(StandardScaler(), estimator)
        with warnings.catch_warnings():
            # The iteration limit belongs to the fixed settings; the score shows what came of it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._pipeline.fit(train.features, train.target)

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._pipeline.predict(x)

    def predict(self, features: NDArray[np.float64]) -> NDArray[Any]:
        return self._pipeline.predict(features)

    def sizes(self) -> Mapping[str, Size]:
        size = sum(array.nbytes for array in _parameters(self._pipeline))
        return {"model_bytes": Size(size, "fitted arrays that predict needs, in double precision")}


class FloatPeer(Peer):
    """A scikit-learn estimator behind a StandardScaler, fitted on the raw training rows.

    Attributes:
        titles: what it is called for each task.
    """

    exact: ClassVar[bool] = False
    titles: ClassVar[Mapping[Task, str]]

    @abstractmethod
    def estimator(self, task: Task, seed: int) -> Any:
        """An unfitted estimator with fixed, sensible settings."""

    def title(self, context: Context) -> str:
        """The estimator's name for the task at hand."""
        task: Task = "classify" if context.train is None else context.train.task
        return self.titles[task]

    def obstacle(self, context: Context) -> str | None:
        """Needs rows to be fitted on and judged by."""
        if context.train is None or context.test is None or context.features is None:
            return "needs training and test rows"
        return None

    def prepare(self, context: Context) -> Prepared:
        """Fit it."""
        assert context.train is not None, "obstacle() was not asked"
        return _FloatModel(self.estimator(context.train.task, context.seed), context.train)


PREDICTING = {
    "StandardScaler": ("mean_", "scale_"),
    "LogisticRegression": ("coef_", "intercept_"),
    "Ridge": ("coef_", "intercept_"),
    "SVC": ("support_vectors_", "dual_coef_", "intercept_"),
    "SVR": ("support_vectors_", "dual_coef_", "intercept_"),
    "MLPClassifier": ("coefs_", "intercepts_"),
    "MLPRegressor": ("coefs_", "intercepts_"),
}
"""Fitted attributes that prediction reads, by estimator; all else is left out of the bytes."""


def _parameters(pipeline: Any) -> Iterator[NDArray[Any]]:
    for _, step in pipeline.steps:
        for attribute in PREDICTING[type(step).__name__]:
            value = getattr(step, attribute)
            yield from value if isinstance(value, list) else [np.asarray(value)]
