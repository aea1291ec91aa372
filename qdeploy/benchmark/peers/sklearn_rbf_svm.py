"""The kernel float model: a support vector machine with a Gaussian kernel."""

from collections.abc import Mapping
from typing import Any, ClassVar

from qdeploy.benchmark.float_model import FloatPeer
from qdeploy.benchmark.peers import PEERS, Context
from qdeploy.data.dataset import Task


class _RbfSvmPeer(FloatPeer):
    """C = 10 and gamma = "scale", which suit standardised features."""

    name = "sklearn-rbf-svm"
    titles: ClassVar[Mapping[Task, str]] = {
        "classify": "RBF-SVM",
        "regress": "RBF support vector regression",
    }

    def estimator(self, task: Task, seed: int) -> Any:
        from sklearn.svm import SVC, SVR

        if task == "classify":
            return SVC(C=10.0, gamma="scale", random_state=seed)
        return SVR(C=10.0, gamma="scale")

    def obstacle(self, context: Context) -> str | None:
        """Also refuses several regression outputs, which SVR does not know."""
        if context.train is not None and context.train.target.ndim > 1:
            return "support vector regression has one output"
        return super().obstacle(context)


PEERS.register(_RbfSvmPeer.name)(_RbfSvmPeer())
