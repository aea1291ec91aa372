"""½ Σ w_i max(0, 1 - y_i f_i)², y_i = ±1."""

from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.training.intercepts import piecewise_root
from qdeploy.training.losses import FloatArray, Loss, losses
from qdeploy.training.quadratic_dual import largest_on_ray, square_above
from qdeploy.training.residual_rounding import round_signed


class SquaredHinge(Loss):
    """Squared hinge loss; r is in its domain when y_i r_i ≥ 0, with the value Σ|r| - ½ Σ r²/w."""

    name: ClassVar[str] = "squared-hinge"
    tasks: ClassVar[frozenset[Task]] = frozenset({"classify"})

    def value(self, predictions: FloatArray, targets: FloatArray) -> float:
        """½ Σ w_i max(0, 1 - y_i f_i)²."""
        margin = np.maximum(1 - targets * predictions, 0)
        return float(0.5 * np.vdot(self.times(margin), margin))

    def residual(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """w_i y_i max(0, 1 - y_i f_i)."""
        return self.times(targets * np.maximum(1 - targets * predictions, 0))

    def curvature(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """W inside the margin, zero outside."""
        return self.times((targets * predictions < 1).astype(np.float64))

    def best_intercept(self, predictions: FloatArray, targets: FloatArray) -> float:
        """Root of Σ r_i(b), piecewise linear with kinks at y_i - f_i."""
        return piecewise_root(
            targets - predictions, lambda b: float(self.residual(predictions + b, targets).sum())
        )

    def dual_value(self, residual: FloatArray, targets: FloatArray) -> float:
        """Σ|r| - ½ Σ r²/w."""
        return float(targets @ residual - 0.5 * (self.over(residual) @ residual))

    def best_step(self, residual: FloatArray, targets: FloatArray) -> float:
        """The vertex of the parabola."""
        square = float(self.over(residual) @ residual)
        return float(np.abs(residual).sum()) / square if square else np.inf

    def round_residual(self, residual: FloatArray, targets: FloatArray) -> NDArray[np.int32]:
        """Balanced between the classes, then rounded."""
        return round_signed(residual, targets)

    def exact_value(
        self, scores: NDArray[np.int64], scale: Fraction, targets: FloatArray
    ) -> Fraction:
        """½ Σ w_i max(0, 1 - y_i·scale·score_i)², exactly."""
        weights = self.exact_weights(len(scores))
        rows = zip(weights, scores.tolist(), targets.tolist(), strict=True)
        margins = ((w, 1 - Fraction(y) * scale * s) for w, s, y in rows)
        return sum((w * m * m for w, m in margins if m > 0), Fraction(0)) / 2

    def exact_dual(
        self, residual: NDArray[np.int32], targets: FloatArray, largest_step: Fraction
    ) -> Fraction:
        """Largest t·Σ|r| - ½t² Σ r²/w over t in [0, largest_step]."""
        slope = Fraction(sum(abs(r) for r in residual.tolist()))
        return largest_on_ray(slope, square_above(self, residual), largest_step)

    def expression(self, predictions: Any, targets: FloatArray) -> Any:
        """½ Σ w_i max(0, 1 - y_i f_i)² for cvxpy."""
        import cvxpy as cp

        root = np.sqrt(self.times(np.ones_like(targets)))
        short = cp.pos(1 - cp.multiply(targets, predictions))
        return cp.sum_squares(cp.multiply(root, short)) / 2


losses.register("squared-hinge")(SquaredHinge())
