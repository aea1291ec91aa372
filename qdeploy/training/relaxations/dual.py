"""The dual of the relaxation at a scaled residual.

    max over r, z   -L*(-r)   subject to   Σr = 0,  Diag(z) ⪰ ±G(r),  Σz ≤ λ

Any residual of a best intercept sums to zero; t·r with t = λ / Σz is then feasible.
"""

from dataclasses import dataclass

import numpy as np

from qdeploy.training.bounds.interior_point import SemidefiniteNorm, semidefinite_norm
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["DualPoint", "dual_point"]


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
    step = problem.loss.best_step(residual, problem.targets)
    if norm.bound:
        step = min(step, problem.penalty / norm.bound)
    if not np.isfinite(step):
        step = 1.0
    return DualPoint(float(problem.loss.dual_value(step * residual, problem.targets)), norm)
