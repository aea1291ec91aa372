"""Convex losses, one module each, and what every loss must know of itself.

A loss is L(f, y) = Σ_i ℓ(f_i, y_i). Its residual is r = -∇L(f); its dual value is -L*(-r), whose
domain is closed under r → s·r, s in [0, 1] (so any residual becomes feasible by scaling).
"""

from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.registry import Registry

__all__ = ["FloatArray", "Loss", "losses"]

FloatArray = NDArray[np.float64]


class Loss(Protocol):
    """One convex loss. Predictions f and targets y are float64 (n,)."""

    name: str
    tasks: frozenset[Task]

    def value(self, predictions: FloatArray, targets: FloatArray) -> float:
        """L(f, y) in floating point."""

    def residual(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """Residual r = -∇L(f), (n,)."""

    def curvature(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """Second derivative of each ℓ (a generalised one at a kink), (n,), non-negative."""

    def best_intercept(self, predictions: FloatArray, targets: FloatArray) -> float:
        """The b that minimises L(f + b, y)."""

    def dual_value(self, residual: FloatArray, targets: FloatArray) -> float:
        """-L*(-r) in floating point, for r in the domain."""

    def round_residual(self, residual: FloatArray, targets: FloatArray) -> NDArray[np.int32]:
        """Nearby integers in the domain with sum exactly 0, on any convenient scale, int32 (n,)."""

    def exact_value(
        self, scores: NDArray[np.int64], scale: Fraction, targets: FloatArray
    ) -> Fraction:
        """L(scale·scores, y) exactly."""

    def exact_dual(
        self, residual: NDArray[np.int32], targets: FloatArray, largest_step: Fraction
    ) -> Fraction:
        """Largest -L*(-t·r) over t in [0, largest_step], exactly (or a little below)."""

    def expression(self, predictions: Any, targets: FloatArray) -> Any:
        """L as a cvxpy expression of the cvxpy expression `predictions`."""


losses: Registry[Loss] = Registry("loss", "qdeploy.training.losses")
