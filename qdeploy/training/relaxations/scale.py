"""The best scale ρ ≥ 0 and intercept b of a fixed shape q: min L(ρq + b, y) + λρ."""

import math
from dataclasses import dataclass

from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["ScaledPoint", "best_scale"]

LARGEST_STEPS = 100
ACCURACY = 1e-14


@dataclass(frozen=True, eq=False)
class ScaledPoint:
    """The best ρ and b.

    Attributes:
        value: L(f, y) + λρ.
        rho: ρ.
        intercept: b.
        predictions: f = ρq + b, float64 (n,).
        residual: r = -∇L(f), float64 (n,).
    """

    value: float
    rho: float
    intercept: float
    predictions: FloatArray
    residual: FloatArray


def best_scale(problem: TrainingProblem, shape: FloatArray, guess: float = 0.0) -> ScaledPoint:
    """Minimise over ρ and b.

    The derivative over ρ, with b the best one, is ψ(ρ) = λ - qᵀr: it increases, and is piecewise
    linear for the losses at hand. Newton's method with bisection as its safeguard finds the root.

    Args:
        problem: loss, targets and penalty.
        shape: q, float64 (n,).
        guess: where to begin.
    """
    loss, targets, penalty = problem.loss, problem.targets, problem.penalty
    low, high, rho = 0.0, math.inf, guess
    for _ in range(LARGEST_STEPS):
        scaled = rho * shape
        intercept = loss.best_intercept(scaled, targets)
        predictions = scaled + intercept
        residual = loss.residual(predictions, targets)
        derivative = penalty - float(shape @ residual)
        if derivative > 0:
            high = rho
        else:
            low = rho
        if abs(derivative) <= ACCURACY * penalty or high <= low * (1 + ACCURACY):
            break
        weights = loss.curvature(predictions, targets)
        total = float(weights.sum())
        slope = float(weights @ (shape * shape))
        if total > 0:
            slope -= float(weights @ shape) ** 2 / total
        following = rho - derivative / slope if slope > 0 else -1.0
        if following <= 0 and low == 0 and rho > 0:
            # ψ(0) has not been seen yet, and may be positive: then ρ = 0 is the solution.
            following = 0.0
        elif not low < following < high:
            following = (low + high) / 2 if high < math.inf else 2 * rho + 1
        rho = following
    value = loss.value(predictions, targets) + penalty * rho
    return ScaledPoint(value, rho, intercept, predictions, residual)
