"""Float reference: logistic regression on all products of two features."""

from typing import Any, ClassVar

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.float_models import best_strength, numbers_in

STRENGTHS = (0.001, 0.01, 0.1)
STEPS = 300
"""Of L-BFGS; held-out accuracy has long settled by then."""


class Polynomial(Baseline):
    """What a quadratic network of any width and any weights could express."""

    name: ClassVar[str] = "polynomial"
    label: ClassVar[str] = "degree-2 logistic regression, float"
    about: ClassVar[str] = "logistic regression on features and their products, C by held-out rows"
    family: ClassVar[Family] = "float"
    width_bound: ClassVar[bool] = False

    def fit(self, setting: Setting) -> Fitted:
        """Train until it converges, or for `STEPS`."""
        return best_strength(setting, _build, STRENGTHS, _size)


def _build(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    return make_pipeline(
        PolynomialFeatures(degree=2, include_bias=False),
        LogisticRegression(C=strength, max_iter=STEPS, tol=1e-3),
    )


def _size(fitted: Any) -> int:
    return numbers_in(fitted[-1].coef_, fitted[-1].intercept_)


BASELINES.register("polynomial")(Polynomial())
