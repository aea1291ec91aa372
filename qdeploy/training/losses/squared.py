"""½ Σ (f_i - y_i)²."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.training import quadratic_dual
from qdeploy.training.losses import FloatArray, losses


class Squared:
    """Squared loss; its domain of residuals is everything."""

    name = "squared"
    tasks: frozenset[Task] = frozenset({"classify", "regress"})
    dual_value = staticmethod(quadratic_dual.dual_value)
    exact_dual = staticmethod(quadratic_dual.exact_dual)

    def value(self, predictions: FloatArray, targets: FloatArray) -> float:
        """½ Σ (f_i - y_i)²."""
        residual = targets - predictions
        return float(0.5 * residual @ residual)

    def residual(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """Y - f."""
        return targets - predictions

    def curvature(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """One everywhere."""
        return np.ones_like(targets)

    def best_intercept(self, predictions: FloatArray, targets: FloatArray) -> float:
        """Mean of y - f."""
        return float((targets - predictions).mean())

    def round_residual(self, residual: FloatArray, targets: FloatArray) -> NDArray[np.int32]:
        """Centre, scale to int32, round, and give the remainder back where it costs least."""
        centred = residual - residual.mean()
        peak = float(np.abs(centred).max(initial=0.0))
        if not peak:
            return np.zeros(residual.shape, dtype=np.int32)
        exact = centred * quadratic_dual.integer_scale(peak, len(centred))
        rounded = np.rint(exact).astype(np.int64)
        quadratic_dual.take_away(exact, rounded, int(rounded.sum()))
        return rounded.astype(np.int32)

    def exact_value(
        self, scores: NDArray[np.int64], scale: Fraction, targets: FloatArray
    ) -> Fraction:
        """½ Σ (scale·score_i - y_i)², exactly."""
        pairs = zip(scores.tolist(), targets.tolist(), strict=True)
        return sum(((scale * s - Fraction(y)) ** 2 for s, y in pairs), Fraction(0)) / 2

    def expression(self, predictions: Any, targets: FloatArray) -> Any:
        """½ ‖f - y‖² for cvxpy."""
        import cvxpy as cp

        return cp.sum_squares(predictions - targets) / 2


losses.register("squared")(Squared())
