"""½ Σ max(0, 1 - y_i f_i)², y_i = ±1."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.training import quadratic_dual
from qdeploy.training.losses import FloatArray, losses


class SquaredHinge:
    """Squared hinge loss; a residual is in its domain when y_i r_i ≥ 0, where Σ|r_i| = yᵀr."""

    name = "squared-hinge"
    tasks: frozenset[Task] = frozenset({"classify"})
    dual_value = staticmethod(quadratic_dual.dual_value)
    exact_dual = staticmethod(quadratic_dual.exact_dual)

    def value(self, predictions: FloatArray, targets: FloatArray) -> float:
        """½ Σ max(0, 1 - y_i f_i)²."""
        margin = np.maximum(1 - targets * predictions, 0)
        return float(0.5 * margin @ margin)

    def residual(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """y_i max(0, 1 - y_i f_i)."""
        return targets * np.maximum(1 - targets * predictions, 0)

    def curvature(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """One inside the margin, zero outside."""
        return (targets * predictions < 1).astype(np.float64)

    def best_intercept(self, predictions: FloatArray, targets: FloatArray) -> float:
        """Root of Σ r_i(b): the slope is piecewise linear with kinks at y_i - f_i."""
        kinks = targets - predictions
        positive, negative = np.sort(kinks[targets > 0]), np.sort(kinks[targets < 0])
        if not positive.size:
            return float(negative[0])
        if not negative.size:
            return float(positive[-1])
        if positive[-1] <= negative[0]:
            return float((positive[-1] + negative[0]) / 2)
        # A positive sample pulls while b < kink, a negative one while b > kink.
        low, high = negative[0], positive[-1]
        ordered = np.unique(np.concatenate([kinks[(kinks > low) & (kinks < high)], [low, high]]))
        slopes = np.array([self.residual(predictions + b, targets).sum() for b in ordered[[0, -1]]])
        first, last = 0, ordered.size - 1
        while last - first > 1:
            middle = (first + last) // 2
            slope = self.residual(predictions + ordered[middle], targets).sum()
            if slope > 0:
                first, slopes[0] = middle, slope
            else:
                last, slopes[1] = middle, slope
        if slopes[0] == slopes[1]:
            return float(ordered[first])
        share = slopes[0] / (slopes[0] - slopes[1])
        return float(ordered[first] + share * (ordered[last] - ordered[first]))

    def round_residual(self, residual: FloatArray, targets: FloatArray) -> NDArray[np.int32]:
        """Balance the two classes, scale to int32, round; correct only where y_i r_i stays ≥ 0."""
        size = np.maximum(targets * residual, 0)
        first, second = targets > 0, targets < 0
        totals = float(size[first].sum()), float(size[second].sum())
        zero = np.zeros(residual.shape, dtype=np.int32)
        if min(totals) <= 0:
            return zero
        size = np.where(first, size * totals[1], size * totals[0]) / max(totals)
        exact = size * quadratic_dual.integer_scale(float(size.max()), len(size))
        rounded = np.rint(exact).astype(np.int64)
        excess = int(rounded[first].sum() - rounded[second].sum())
        heavier = first if excess > 0 else second
        lowered = rounded[heavier]
        quadratic_dual.take_away(exact[heavier], lowered, abs(excess), positive_only=True)
        rounded[heavier] = lowered
        return (rounded * np.sign(targets)).astype(np.int32)

    def exact_value(
        self, scores: NDArray[np.int64], scale: Fraction, targets: FloatArray
    ) -> Fraction:
        """½ Σ max(0, 1 - y_i·scale·score_i)², exactly."""
        pairs = zip(scores.tolist(), targets.tolist(), strict=True)
        margins = (1 - Fraction(y) * scale * s for s, y in pairs)
        return sum((m * m for m in margins if m > 0), Fraction(0)) / 2

    def expression(self, predictions: Any, targets: FloatArray) -> Any:
        """½ Σ max(0, 1 - y_i f_i)² for cvxpy."""
        import cvxpy as cp

        return cp.sum_squares(cp.pos(1 - cp.multiply(targets, predictions))) / 2


losses.register("squared-hinge")(SquaredHinge())
