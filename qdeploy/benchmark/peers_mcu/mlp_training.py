"""The MLP that the peers share before each turns it into C: one hidden layer, decay chosen."""

from functools import lru_cache
from typing import Any

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu.fitting import Rows, fitted

__all__ = ["DECAYS", "WIDTH", "best_decay", "estimator"]

WIDTH = 32
"""Hidden units, as the float MLP among the peers of computers has."""

DECAYS = (0.3, 1.0, 3.0, 10.0)
"""Weight decays that are tried; scikit-learn's own 1e-4 lets small tables be learnt by heart."""


def estimator(context: Context, width: int, decay: float) -> Any:
    """An unfitted MLP of one hidden layer of rectified units."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if Rows.of(context).classify else MLPRegressor
    settings = {"hidden_layer_sizes": (width,), "alpha": decay, "max_iter": 1000}
    return kind(**settings, random_state=context.seed)


@lru_cache(maxsize=4)
def best_decay(context: Context) -> float:
    """The weight decay that predicts five held-out folds of the training rows best at `WIDTH`.

    One choice serves every width, which keeps it from taking longer than all the rest.
    """
    from sklearn.model_selection import GridSearchCV, KFold

    rows = Rows.of(context)
    search = GridSearchCV(
        estimator(context, WIDTH, DECAYS[0]),
        {"alpha": DECAYS},
        cv=KFold(5, shuffle=True, random_state=context.seed),
        refit=False,
    )
    return float(fitted(search, rows.steps, rows.target).best_params_["alpha"])
