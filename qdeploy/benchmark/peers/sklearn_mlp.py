"""The small neural float model: one hidden layer of 32 rectified units."""

from collections.abc import Mapping
from typing import Any, ClassVar

from qdeploy.benchmark.float_model import FloatPeer
from qdeploy.benchmark.peers import PEERS
from qdeploy.data.dataset import Task


class _MlpPeer(FloatPeer):
    """Adam until the training loss stalls; early stopping would waste rows of a small table."""

    name = "sklearn-mlp"
    titles: ClassVar[Mapping[Task, str]] = {
        "classify": "MLP, 32 hidden units",
        "regress": "MLP regressor, 32 hidden units",
    }

    def estimator(self, task: Task, seed: int) -> Any:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        kind = MLPRegressor if task == "regress" else MLPClassifier
        return kind(hidden_layer_sizes=(32,), alpha=1e-3, max_iter=1000, random_state=seed)


PEERS.register(_MlpPeer.name)(_MlpPeer())
