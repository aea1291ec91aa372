"""Float reference: logistic regression."""

from typing import Any, ClassVar

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.float_models import best_strength, numbers_in

STRENGTHS = (0.01, 0.1, 1.0, 10.0)


class Logistic(Baseline):
    """scikit-learn's, on standardised features."""

    name: ClassVar[str] = "logistic"
    label: ClassVar[str] = "logistic regression, float"
    about: ClassVar[str] = "C told by held-out rows"
    family: ClassVar[Family] = "float"
    width_bound: ClassVar[bool] = False

    def fit(self, setting: Setting) -> Fitted:
        """Train until it converges."""
        return best_strength(setting, _build, STRENGTHS, _size)


def _build(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=2000)


def _size(fitted: Any) -> int:
    return numbers_in(fitted.coef_, fitted.intercept_)


BASELINES.register("logistic")(Logistic())
