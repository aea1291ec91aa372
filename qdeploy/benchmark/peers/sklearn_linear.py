"""The linear float model: logistic regression, or ridge for numbers."""

from collections.abc import Mapping
from typing import Any, ClassVar

from qdeploy.benchmark.float_model import FloatPeer
from qdeploy.benchmark.peers import PEERS
from qdeploy.data.dataset import Task


class _LinearPeer(FloatPeer):
    """Both at scikit-learn's default penalty, 1."""

    name = "sklearn-linear"
    titles: ClassVar[Mapping[Task, str]] = {
        "classify": "logistic regression",
        "regress": "ridge regression",
    }

    def estimator(self, task: Task, seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression, Ridge

        if task == "regress":
            return Ridge(alpha=1.0)
        return LogisticRegression(C=1.0, max_iter=2000, random_state=seed)


PEERS.register(_LinearPeer.name)(_LinearPeer())
