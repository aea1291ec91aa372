"""Convex losses, one module each, and what every loss must know of itself.

A loss is L(f, y) = Σ_i w_i ℓ(f_i, y_i) with sample weights w_i > 0 (one each where none are given).
Its residual is r = -∇L(f); its dual value is -L*(-r), whose domain is closed under r → s·r, s in
[0, 1] (so any residual becomes feasible by scaling).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.registry import Registry

__all__ = ["FloatArray", "Loss", "losses"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Loss(ABC):
    """One convex loss. Predictions f and targets y are float64 (n,), or (n, K) of K outputs.

    Attributes:
        name: what users call it.
        tasks: what it is for.
        kinked: whether ℓ has kinks, so that the residual at the optimum is a dual solution and no
            function of the predictions.
        weights: w, float64 (n,), positive; None for ones.
    """

    name: ClassVar[str]
    tasks: ClassVar[frozenset[Task]]

    weights: FloatArray | None = None

    @property
    def kinked(self) -> bool:
        """Whether ℓ has kinks."""
        return False

    @abstractmethod
    def value(self, predictions: FloatArray, targets: FloatArray) -> float:
        """L(f, y) in floating point."""

    def values(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """L(f, y) of several predictions of one output, the columns of (n, p), as (p,)."""
        return np.array([self.value(column, targets) for column in predictions.T])

    @abstractmethod
    def residual(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """Residual r = -∇L(f), of the shape of f."""

    @abstractmethod
    def curvature(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """Second derivative of each w·ℓ (a generalised one at a kink), (n,), non-negative."""

    @abstractmethod
    def best_intercept(self, predictions: FloatArray, targets: FloatArray) -> float:
        """The b that minimises L(f + b, y), (n,) each."""

    @abstractmethod
    def dual_value(self, residual: FloatArray, targets: FloatArray) -> float:
        """-L*(-r) in floating point; minus infinity outside the domain of r."""

    def dual_gradient(self, residual: FloatArray, targets: FloatArray) -> FloatArray | None:
        """Gradient of -L*(-r) by r, (n,); None for a loss where it does not exist for every r."""
        return None

    @abstractmethod
    def best_step(self, residual: FloatArray, targets: FloatArray) -> float:
        """The t ≥ 0 where -L*(-t·r) is largest, in floating point; infinity if it never falls."""

    @abstractmethod
    def round_residual(self, residual: FloatArray, targets: FloatArray) -> NDArray[np.int32]:
        """Nearby integers with sum exactly 0 and a multiple in the domain, int32 (n,)."""

    @abstractmethod
    def exact_value(
        self, scores: NDArray[np.int64], scale: Fraction, targets: FloatArray
    ) -> Fraction:
        """L(scale·scores, y) exactly, or a little above where it is not rational."""

    @abstractmethod
    def exact_dual(
        self, residual: NDArray[np.int32], targets: FloatArray, largest_step: Fraction
    ) -> Fraction:
        """Largest -L*(-t·r) over t in [0, largest_step], exactly or a little below."""

    @abstractmethod
    def expression(self, predictions: Any, targets: FloatArray) -> Any:
        """L as a cvxpy expression of the cvxpy expression `predictions`."""

    def smoothed(self, width: float = 1.0) -> "Loss":
        """A loss without kinks below this one, of curvature at most w/width; itself if smooth.

        Its residuals are in this loss's domain, so that what it finds proves bounds for this one.
        """
        return self

    def weighted(self, weights: FloatArray | None) -> Self:
        """The same loss with sample weights w, float64 (n,), or with none."""
        return replace(self, weights=weights)

    def part(self, chosen: Any) -> Self:
        """The loss of some of the samples, by a numpy index."""
        return self if self.weights is None else replace(self, weights=self.weights[chosen])

    def times(self, values: FloatArray) -> FloatArray:
        """w_i · values_i, for values (n,) or (n, K)."""
        if self.weights is None:
            return values
        return values * self.weights.reshape(-1, *(1,) * (values.ndim - 1))

    def over(self, values: FloatArray) -> FloatArray:
        """values_i / w_i, for values (n,) or (n, K)."""
        if self.weights is None:
            return values
        return values / self.weights.reshape(-1, *(1,) * (values.ndim - 1))

    def exact_weights(self, count: int) -> list[Fraction]:
        """W as rationals, one for each of `count` samples."""
        if self.weights is None:
            return [Fraction(1)] * count
        return [Fraction(weight) for weight in self.weights.tolist()]


losses: Registry[Loss] = Registry("loss", "qdeploy.training.losses")
