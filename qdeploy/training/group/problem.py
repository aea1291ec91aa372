"""All outputs at once: neurons that every output reads, priced by the length of their readouts.

min over m, u, v, a, b   Σ_k L(f_k, y_k) + λ Σ_j ‖a_j‖₂,   f_k = Σ_j a_jk (x̂ᵀu_j)(x̂ᵀv_j) + b_k
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.training.group.lasso import solve_group_lasso
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.problem import TrainingProblem

__all__ = ["GroupProblem", "GroupSolution", "check_provable", "solve_group_master"]

SignMatrix = NDArray[np.int8]

LARGEST = 4000
"""Rows of the norm's proof, (K + 1) d, up to which it fits memory and takes minutes at most."""
STEPS = 100
ROUNDING = 1e-9
"""Working responses that differ by no more than this share of the largest are the same."""


def check_provable(integers: NDArray[np.int16], targets: FloatArray, loss: Loss) -> None:
    """Refuse what cannot be trained with shared neurons, before time is spent on it.

    Args:
        integers: lifted inputs, int16 (n, d).
        targets: float64 (n, K).
        loss: the loss.

    Raises:
        QDeployError: the proof would be too large, or the loss has kinks.
    """
    dimension, outputs = integers.shape[1], targets.shape[1]
    if (outputs + 1) * dimension > LARGEST:
        raise QDeployError(
            f"{outputs} outputs on {dimension} inputs (the constant one included) are too many for "
            "a proof of shared neurons; take fewer inputs, or --outputs separate"
        )
    if loss.kinked:
        raise QDeployError(
            f"loss {loss.name!r} cannot be trained with shared neurons; choose squared, "
            "squared-hinge or logistic, or --outputs separate"
        )


@dataclass(frozen=True, eq=False)
class GroupProblem:
    """The outputs of one network, their neurons shared.

    Attributes:
        outputs: one problem an output, on the same inputs, with the same loss (without kinks, of
            curvature at most the weight of each sample) and penalty.
    """

    outputs: tuple[TrainingProblem, ...]

    @classmethod
    def of(
        cls, integers: NDArray[np.int16], targets: FloatArray, penalty: float, loss: Loss
    ) -> "GroupProblem":
        """The problem of targets (n, K) on lifted inputs (n, d)."""
        return cls(tuple(TrainingProblem(integers, y, penalty, loss) for y in targets.T))

    @property
    def first(self) -> TrainingProblem:
        """The problem of the first output, for all that the outputs have in common."""
        return self.outputs[0]

    @cached_property
    def targets(self) -> FloatArray:
        """Targets of all outputs, float64 (n, K)."""
        return np.stack([problem.targets for problem in self.outputs], axis=1)

    def matrices(self, residual: FloatArray) -> FloatArray:
        """G_k = x̂ᵀ diag(r_k) x̂ for residuals (n, K), float64 (K, d, d)."""
        return np.stack([self.first.matrix(column) for column in residual.T])

    def dual_value(self, residual: FloatArray) -> float:
        """Σ_k -L*(-r_k) of residuals (n, K)."""
        pairs = zip(self.outputs, residual.T, strict=True)
        return sum(problem.loss.dual_value(r, problem.targets) for problem, r in pairs)

    def loss_value(self, predictions: FloatArray) -> float:
        """Σ_k L of predictions (n, K)."""
        pairs = zip(self.outputs, predictions.T, strict=True)
        return sum(problem.loss.value(f, problem.targets) for problem, f in pairs)

    def best_intercepts(self, linear: FloatArray) -> FloatArray:
        """Intercepts of least loss beside what the neurons give (n, K), float64 (K,)."""
        pairs = zip(self.outputs, linear.T, strict=True)
        return np.array([problem.loss.best_intercept(f, problem.targets) for problem, f in pairs])

    def centred(self, values: FloatArray) -> FloatArray:
        """√w times the values (n, m) less their weighted means, so that plain products count."""
        loss = self.first.loss
        centred: FloatArray = values - np.average(values, axis=0, weights=loss.weights)
        if loss.weights is not None:
            centred *= np.sqrt(loss.weights)[:, None]
        return centred


@dataclass(frozen=True, eq=False)
class GroupSolution:
    """Readout of given neurons.

    Attributes:
        weights: a, float64 (m, K).
        intercepts: b, float64 (K,).
        predictions: f, float64 (n, K).
        objective: Σ_k L + λ Σ_j ‖a_j‖.
        residual: r = -∇L(f), float64 (n, K).
    """

    weights: FloatArray
    intercepts: FloatArray
    predictions: FloatArray
    objective: float
    residual: FloatArray


def evaluate(problem: GroupProblem, features: FloatArray, weights: FloatArray) -> GroupSolution:
    """Objective at `weights` (m, K) with the best intercepts for them."""
    linear = features @ weights
    intercepts = problem.best_intercepts(linear)
    predictions: FloatArray = linear + intercepts
    objective = problem.loss_value(predictions)
    objective += problem.first.penalty * float(np.linalg.norm(weights, axis=1).sum())
    residual = problem.first.loss.residual(predictions, problem.targets)
    return GroupSolution(weights, intercepts, predictions, objective, residual)


def solve_group_master(
    problem: GroupProblem,
    features: FloatArray,
    start: FloatArray,
    tolerance: float = 1e-9,
) -> GroupSolution:
    """Best real readout for fixed neurons.

    A loss other than the squared one is majorised by a squared loss against a working response.

    Args:
        problem: targets, loss and penalty.
        features: Φ, float64 (n, m), not centred.
        start: a to start from, (m, K).
        tolerance: relative decrease of the objective at which to stop.
    """
    current = evaluate(problem, features, start)
    if not features.shape[1]:
        return current
    centred = problem.centred(features)
    size = float(np.sqrt(np.einsum("ij,ij->j", centred, centred).mean()))
    if not size:
        return evaluate(problem, features, np.zeros_like(start))
    centred /= size
    gram = centred.T @ centred
    wanted = None
    for _ in range(STEPS):
        response = current.predictions + problem.first.loss.over(current.residual)
        if wanted is not None and _same(response, wanted):
            break
        wanted = response
        correlation = centred.T @ problem.centred(wanted)
        penalty = problem.first.penalty / size
        scaled = solve_group_lasso(gram, correlation, penalty, current.weights * size, tolerance)
        trial = evaluate(problem, features, scaled / size)
        decrease = current.objective - trial.objective
        if decrease > 0:
            current = trial
        if decrease <= tolerance * abs(current.objective):
            break
    return current


def _same(response: FloatArray, other: FloatArray) -> bool:
    """Whether two working responses (n, K) agree but for rounding; always, if squared."""
    return bool(np.abs(response - other).max() <= ROUNDING * np.abs(other).max())
