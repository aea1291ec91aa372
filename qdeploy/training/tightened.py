"""A residual whose bound by cutting planes is best: the dual of the relaxation with cuts.

    max over r, z, y   -L*(-r)   subject to   Σr = 0,  Diag(z) ⪰ B(y) ± (G(r) + H(y)),  load ≤ λ

At the optimum of training the true norm is λ for many neurons at once, and every relaxation is
loosest there. This residual gives up a little of the dual value for a norm that can be proven.
"""

import time

import numpy as np

from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.bounds.cut_relaxation import CutRelaxation
from qdeploy.training.bounds.interior_point import semidefinite_norm
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["tightened_residual"]

ROUNDS = 12
TRIANGLES_ONLY = 4
FIRST_PRESSURE = 0.5
"""Share of the objective that the penalty is taken to have before it is known."""


class _Residuals:
    """G(r) of every residual with sum 0, the dual value as the gain, a budget of d for the load.

    Args:
        problem: the problem; its loss has a dual gradient.
        objective: of training, which sets the scale.
    """

    def __init__(self, problem: TrainingProblem, objective: float) -> None:
        self.size = problem.samples
        self.unit = problem.penalty / problem.dimension
        self.pressure = FIRST_PRESSURE
        self._problem = problem
        self._share = problem.dimension / objective

    def matrix(self, point: FloatArray) -> FloatArray:
        """G(r), in units in which λ is d."""
        scaled: FloatArray = self._problem.matrix(point - point.mean()) / self.unit
        return scaled

    def cost(
        self, point: FloatArray, load: float, smoothing: float
    ) -> tuple[float, float, FloatArray]:
        """Less the dual value, and the penalty on what exceeds the budget."""
        loss, targets = self._problem.loss, self._problem.targets
        residual = point - point.mean()
        gradient = loss.dual_gradient(residual, targets)
        assert gradient is not None
        slope = self._pressed(load, smoothing)
        value = -self._share * loss.dual_value(residual, targets) + smoothing * slope**2 / 2
        return value, slope, -self._share * (gradient - gradient.mean())

    def pull(self, across: FloatArray) -> FloatArray:
        """x̂ᵀ(P - N)x̂ of every sample, centred."""
        inputs = self._problem.inputs
        values: FloatArray = np.einsum("ij,ij->i", inputs @ across, inputs) / self.unit
        centred: FloatArray = values - values.mean()
        return centred

    def settle(self, point: FloatArray, load: float, smoothing: float) -> float:
        """Move the multiplier of the budget."""
        self.pressure = self._pressed(load, smoothing)
        return self.pressure

    def _pressed(self, load: float, smoothing: float) -> float:
        return max(self.pressure + (load - self._problem.dimension) / smoothing, 0.0)


def tightened_residual(
    problem: TrainingProblem,
    residual: FloatArray,
    objective: float,
    *,
    deadline: float = np.inf,
    progress: Progress = silent,
) -> FloatArray | None:
    """A residual near the given one that proves more, float64 (n,).

    Args:
        problem: the problem.
        residual: -∇L at the optimum of training, float64 (n,).
        objective: of training.
        deadline: `time.monotonic()` at which to stop.
        progress: told of the rounds.

    Returns:
        The residual, or None for a loss whose dual has no gradient everywhere, and for λ = 0.
    """
    if problem.loss.dual_gradient(residual, problem.targets) is None:
        return None
    relaxed = semidefinite_norm(problem.matrix(residual))
    if not (problem.penalty > 0 and relaxed.bound > 0 and objective > 0):
        return None
    step = problem.penalty / relaxed.bound
    source = _Residuals(problem, objective)
    relaxation = CutRelaxation(
        source,
        step * residual,
        step * relaxed.multipliers / source.unit,
        (FIRST_PRESSURE * relaxed.positive, FIRST_PRESSURE * relaxed.negative),
    )
    for number in range(ROUNDS):
        if time.monotonic() > deadline:
            break
        progress(
            ProgressEvent(
                "residual with cutting planes", number, ROUNDS, {"cuts": len(relaxation.cuts)}
            )
        )
        relaxation.improve(largest=3 if number < TRIANGLES_ONLY else 7, deadline=deadline)
    centred: FloatArray = relaxation.point - relaxation.point.mean()
    return centred
