"""Float reference: support vector machine with a Gaussian kernel."""

from typing import Any, ClassVar

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.float_models import best_strength, numbers_in

STRENGTHS = (1.0, 0.1, 10.0, 100.0)


class RbfSvm(Baseline):
    """scikit-learn's, on standardised features."""

    name: ClassVar[str] = "rbf-svm"
    label: ClassVar[str] = "RBF-SVM, float"
    about: ClassVar[str] = "C told by held-out rows, the usual width of the kernel"
    family: ClassVar[Family] = "float"
    width_bound: ClassVar[bool] = False

    def fit(self, setting: Setting) -> Fitted:
        """Train until it converges."""
        return best_strength(setting, _build, STRENGTHS, _size)


def _build(strength: float) -> Any:
    from sklearn.svm import SVC

    return SVC(C=strength)


def _size(fitted: Any) -> int:
    return numbers_in(fitted.support_vectors_, fitted.dual_coef_, fitted.intercept_)


BASELINES.register("rbf-svm")(RbfSvm())
