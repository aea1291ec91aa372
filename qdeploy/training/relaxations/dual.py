"""The dual of the relaxation at a scaled residual.

    max over r, z   -L*(-r)   subject to   Σr = 0,  Diag(z) ⪰ ±G(r),  Σz ≤ λ

Any residual of a best intercept sums to zero; t·r with t = λ / Σz is then feasible.
"""

from dataclasses import dataclass

import numpy as np

from qdeploy.training.bounds.interior_point import SemidefiniteNorm, semidefinite_norm
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["DualPoint", "bound_on_ray", "dominating_multiple", "dual_point"]

SMALLEST_SHARE = 1e-9
"""Of the mean multiplier, below which there is none: G is divided by their roots."""


@dataclass(frozen=True, eq=False)
class DualPoint:
    """A feasible dual point and its value.

    Attributes:
        bound: -L*(-t·r) at the best feasible t.
        norm: the relaxed norm of G(r), not scaled by t.
    """

    bound: float
    norm: SemidefiniteNorm


def dual_point(problem: TrainingProblem, residual: FloatArray, tolerance: float) -> DualPoint:
    """Best dual value on the ray through a residual.

    Args:
        problem: the problem.
        residual: r, float64 (n,), in the domain of the loss, with sum 0.
        tolerance: relative accuracy of the norm.
    """
    norm = semidefinite_norm(problem.matrix(residual), tolerance=tolerance)
    return DualPoint(bound_on_ray(problem, residual, norm.bound), norm)


def bound_on_ray(problem: TrainingProblem, residual: FloatArray, norm: float) -> float:
    """Best dual value on the ray through a residual r, for a bound on the norm of G(r)."""
    step = problem.loss.best_step(residual, problem.targets)
    if norm:
        step = min(step, problem.penalty / norm)
    if not np.isfinite(step):
        step = 1.0
    return float(problem.loss.dual_value(step * residual, problem.targets))


def dominating_multiple(matrix: FloatArray, diagonal: FloatArray) -> FloatArray:
    """The smallest multiple z of a diagonal with Diag(z) ⪰ ±G, float64 (d,), up to rounding.

    Args:
        matrix: G, float64 (d, d), symmetric.
        diagonal: float64 (d,); entries that are not positive are raised to a small share.
    """
    scale = float(np.abs(diagonal).mean())
    if scale == 0.0:
        return np.abs(matrix).sum(axis=1)
    raised = np.maximum(diagonal, SMALLEST_SHARE * scale)
    roots = np.sqrt(raised)
    values = np.linalg.eigvalsh(matrix / np.outer(roots, roots))
    multiple: FloatArray = raised * max(float(values[-1]), -float(values[0]))
    return multiple
