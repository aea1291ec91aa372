"""Σ w_i max(0, 1 - y_i f_i), y_i = ±1, and the same with its kink rounded off.

With a width h the kink becomes a parabola over margins from 1 - h to 1 (Rennie & Srebro, 2005):
below the hinge, by at most h/2 a sample. Certificates are for the hinge itself, h = 0.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.training.intercepts import jump_root, piecewise_root
from qdeploy.training.losses import FloatArray, Loss, losses
from qdeploy.training.quadratic_dual import largest_on_ray, square_above
from qdeploy.training.residual_rounding import round_signed

ROUNDING = 1e-12
"""Floating-point residuals may exceed their largest size by this share."""


@dataclass(frozen=True, eq=False)
class Hinge(Loss):
    """Hinge loss; its domain is 0 ≤ y_i r_i ≤ w_i, its dual value Σ|r| - (h/2) Σ r²/w.

    Attributes:
        width: h ≥ 0.
    """

    name: ClassVar[str] = "hinge"
    tasks: ClassVar[frozenset[Task]] = frozenset({"classify"})

    width: float = 0.0

    @property
    def kinked(self) -> bool:
        """Whether the kink is there."""
        return not self.width

    def smoothed(self, width: float = 1.0) -> "Hinge":
        """The same with a width."""
        return replace(self, width=width)

    def value(self, predictions: FloatArray, targets: FloatArray) -> float:
        """Σ w_i max(0, 1 - y_i f_i), less what the width takes off."""
        short = np.maximum(1 - targets * predictions, 0)
        bent = np.minimum(short, self.width)
        # ∫ min(s/h, 1) ds; without a width the parabola is empty.
        curved = bent * bent / (2 * self.width) if self.width else bent
        return float(self.times(curved + (short - bent)).sum())

    def values(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """The same of the columns of (n, p), as (p,)."""
        if self.width:
            return super().values(predictions, targets)
        short = np.maximum(1 - targets[:, None] * predictions, 0)
        totals: FloatArray = self.times(short).sum(axis=0)
        return totals

    def residual(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """w_i y_i times the share of the full slope."""
        short = np.maximum(1 - targets * predictions, 0)
        share = np.minimum(short / self.width, 1) if self.width else (short > 0).astype(np.float64)
        return self.times(targets * share)

    def curvature(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """w/h on the parabola, zero elsewhere."""
        margin = targets * predictions
        bent = (margin < 1) & (margin > 1 - self.width)
        return self.times(bent / self.width if self.width else np.zeros_like(targets))

    def best_intercept(self, predictions: FloatArray, targets: FloatArray) -> float:
        """Root of Σ r_i(b), with kinks at y_i - f_i and y_i (1 - h) - f_i."""

        def slope(intercept: float) -> float:
            return float(self.residual(predictions + intercept, targets).sum())

        kinks = targets - predictions
        if not self.width:
            return jump_root(kinks, slope)
        return piecewise_root(np.concatenate([kinks, kinks - self.width * targets]), slope)

    def dual_value(self, residual: FloatArray, targets: FloatArray) -> float:
        """Σ|r| - (h/2) Σ r²/w."""
        share = self.over(residual)
        if np.abs(share).max(initial=0.0) > 1 + ROUNDING:
            return -np.inf
        return float(targets @ residual - 0.5 * self.width * (share @ residual))

    def best_step(self, residual: FloatArray, targets: FloatArray) -> float:
        """The vertex of the parabola, or where the domain ends."""
        share = np.abs(self.over(residual))
        if not share.any():
            return np.inf
        end = 1 / float(share.max())
        square = self.width * float(share @ np.abs(residual))
        return min(end, float(np.abs(residual).sum()) / square) if square else end

    def round_residual(self, residual: FloatArray, targets: FloatArray) -> NDArray[np.int32]:
        """Balanced between the classes, then rounded."""
        return round_signed(residual, targets)

    def exact_value(
        self, scores: NDArray[np.int64], scale: Fraction, targets: FloatArray
    ) -> Fraction:
        """Σ w_i max(0, 1 - y_i·scale·score_i), less what the width takes off, exactly."""
        weights, width = self.exact_weights(len(scores)), Fraction(self.width)
        total = Fraction(0)
        for w, s, y in zip(weights, scores.tolist(), targets.tolist(), strict=True):
            short = 1 - Fraction(y) * scale * s
            if short >= width:
                total += w * (short - width / 2)
            elif short > 0:
                total += w * short * short / (2 * width)
        return total

    def exact_dual(
        self, residual: NDArray[np.int32], targets: FloatArray, largest_step: Fraction
    ) -> Fraction:
        """Largest t·Σ|r| - (h/2)t² Σ r²/w over t in [0, largest_step] with t|r_i| ≤ w_i."""
        sizes = [abs(r) for r in residual.tolist()]
        weights = self.exact_weights(len(sizes))
        ends = (w / size for w, size in zip(weights, sizes, strict=True) if size)
        step = min(ends, default=Fraction(0))
        square = Fraction(self.width) * square_above(self, residual) if self.width else Fraction(0)
        return largest_on_ray(Fraction(sum(sizes)), square, min(step, largest_step))

    def expression(self, predictions: Any, targets: FloatArray) -> Any:
        """The loss for cvxpy."""
        import cvxpy as cp

        weights = self.times(np.ones_like(targets))
        short = cp.pos(1 - cp.multiply(targets, predictions))
        if self.width:
            # Huber's function is s² up to its threshold, then twice the tangent.
            return weights @ cp.huber(short, self.width) / (2 * self.width)
        return weights @ short


losses.register("hinge")(Hinge())
