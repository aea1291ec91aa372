"""Float reference: gradient-boosted trees."""

from typing import Any, ClassVar

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.float_models import FLOAT_BYTES, best_strength

STRENGTHS = (0.1, 0.3)
TREES = 100
NODE_BYTES = 8
"""An inner node: threshold, feature, and where the children are."""


class Boosting(Baseline):
    """scikit-learn's histogram trees; each class has its own in every round."""

    name: ClassVar[str] = "boosting"
    label: ClassVar[str] = "gradient boosting, float"
    about: ClassVar[str] = f"{TREES} rounds of histogram trees, the rate told by held-out rows"
    family: ClassVar[Family] = "float"
    width_bound: ClassVar[bool] = False

    def fit(self, setting: Setting) -> Fitted:
        """Train all rounds."""
        return best_strength(setting, lambda rate: _build(rate, setting.seed), STRENGTHS, _size)


def _build(rate: float, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=TREES, learning_rate=rate, early_stopping=False, random_state=seed
    )


def _size(fitted: Any) -> int:
    """Bytes of all trees, by their leaves: a tree of L leaves has L - 1 inner nodes."""
    # scikit-learn tells the number of leaves only of its private trees.
    leaves = [tree.get_n_leaf_nodes() for round_ in fitted._predictors for tree in round_]
    return sum(FLOAT_BYTES * count + NODE_BYTES * (count - 1) for count in leaves)


BASELINES.register("boosting")(Boosting())
