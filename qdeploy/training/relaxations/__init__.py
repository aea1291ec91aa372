"""Solvers of the semidefinite relaxation of training, one module each.

    min over ρ ≥ 0, b, P, N ⪰ 0   L(f, y) + λρ,   f_i = x̂ᵢᵀ(P - N)x̂ᵢ + b,   diag(P + N) = ρ

Its optimum is a lower bound on the objective of any network, and its vectors, rounded to signs,
are good first neurons. All in floating point: proofs are the business of `training.bounds`.
"""

from dataclasses import dataclass
from typing import Protocol

from qdeploy.progress import Progress, silent
from qdeploy.registry import Registry
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["Relaxation", "RelaxedSolution", "relaxations"]


@dataclass(frozen=True, eq=False)
class RelaxedSolution:
    """A solution of the relaxation and a bound on how good it is.

    Attributes:
        value: primal objective.
        dual_bound: dual objective, below the optimum up to rounding.
        predictions: f with the intercept, float64 (n,).
        intercept: b.
        residual: r = -∇L(f), float64 (n,).
        rho: ρ, what Σ|α| relaxes to.
        left: unit rows, float64 (d, k).
        right: unit rows, float64 (d, k); (P - N)/ρ = left·rightᵀ.
        multipliers: z ≥ 0, float64 (d,), with Diag(z) ⪰ ±G(r) up to rounding.
    """

    value: float
    dual_bound: float
    predictions: FloatArray
    intercept: float
    residual: FloatArray
    rho: float
    left: FloatArray
    right: FloatArray
    multipliers: FloatArray

    @property
    def gap(self) -> float:
        """(value - dual_bound) / value, or 0 for a value of 0."""
        return (self.value - self.dual_bound) / self.value if self.value > 0 else 0.0


class Relaxation(Protocol):
    """One way to solve the relaxation."""

    name: str

    def solve(
        self,
        problem: TrainingProblem,
        *,
        rank: int | None = None,
        tolerance: float = 1e-6,
        seed: int = 0,
        time_limit: float | None = None,
        progress: Progress = silent,
    ) -> RelaxedSolution:
        """Solve the relaxation.

        Args:
            problem: the problem.
            rank: columns of each factor of P and N, for a solver that factors them.
            tolerance: relative gap between value and dual bound to aim at.
            seed: of the start, for a solver that draws one.
            time_limit: seconds to aim at, or None.
            progress: told of the work done.
        """


relaxations: Registry[Relaxation] = Registry("relaxation", "qdeploy.training.relaxations")
