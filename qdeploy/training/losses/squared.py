"""½ Σ w_i (f_i - y_i)²."""

from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.training.losses import FloatArray, Loss, losses
from qdeploy.training.quadratic_dual import largest_on_ray, square_above
from qdeploy.training.residual_rounding import round_centred


class Squared(Loss):
    """Squared loss; its domain of residuals is everything, its dual value yᵀr - ½ Σ r²/w."""

    name: ClassVar[str] = "squared"
    tasks: ClassVar[frozenset[Task]] = frozenset({"classify", "regress"})

    def value(self, predictions: FloatArray, targets: FloatArray) -> float:
        """½ Σ w_i (f_i - y_i)²."""
        residual = targets - predictions
        return float(0.5 * np.vdot(self.times(residual), residual))

    def residual(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """W (y - f)."""
        return self.times(targets - predictions)

    def curvature(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """W everywhere."""
        return self.times(np.ones_like(targets))

    def best_intercept(self, predictions: FloatArray, targets: FloatArray) -> float:
        """Mean of y - f."""
        return float(np.average(targets - predictions, weights=self.weights))

    def dual_value(self, residual: FloatArray, targets: FloatArray) -> float:
        """yᵀr - ½ Σ r²/w."""
        return float(targets @ residual - 0.5 * (self.over(residual) @ residual))

    def dual_gradient(self, residual: FloatArray, targets: FloatArray) -> FloatArray | None:
        """Targets less r/w."""
        return targets - self.over(residual)

    def best_step(self, residual: FloatArray, targets: FloatArray) -> float:
        """The vertex of the parabola."""
        square = float(self.over(residual) @ residual)
        return max(float(targets @ residual), 0.0) / square if square else np.inf

    def round_residual(self, residual: FloatArray, targets: FloatArray) -> NDArray[np.int32]:
        """Centred, then rounded."""
        return round_centred(residual)

    def exact_value(
        self, scores: NDArray[np.int64], scale: Fraction, targets: FloatArray
    ) -> Fraction:
        """½ Σ w_i (scale·score_i - y_i)², exactly."""
        weights = self.exact_weights(len(scores))
        rows = zip(weights, scores.tolist(), targets.tolist(), strict=True)
        return sum((w * (scale * s - Fraction(y)) ** 2 for w, s, y in rows), Fraction(0)) / 2

    def exact_dual(
        self, residual: NDArray[np.int32], targets: FloatArray, largest_step: Fraction
    ) -> Fraction:
        """Largest t·yᵀr - ½t² Σ r²/w over t in [0, largest_step]."""
        pairs = zip(targets.tolist(), residual.tolist(), strict=True)
        slope = sum((Fraction(y) * r for y, r in pairs), Fraction(0))
        return largest_on_ray(slope, square_above(self, residual), largest_step)

    def expression(self, predictions: Any, targets: FloatArray) -> Any:
        """½ Σ w (f - y)² for cvxpy."""
        import cvxpy as cp

        root = np.sqrt(self.times(np.ones_like(targets)))
        return cp.sum_squares(cp.multiply(root, predictions - targets)) / 2


losses.register("squared")(Squared())
