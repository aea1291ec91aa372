"""A residual whose bound by cutting planes is best: the dual of the relaxation with cuts.

    max over r, z, y   -L*(-r)   subject to   Σr = 0,  Diag(z) ⪰ B(y) ± (G(r) + H(y)),  load ≤ λ

At the optimum of training the true norm is λ for many neurons at once, and every relaxation is
loosest there. This residual gives up a little of the dual value for a norm that can be proven.
"""

import time
from dataclasses import dataclass

import numpy as np

from qdeploy.cut_proof import CutProof
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.bounds import NormProof, best_pair
from qdeploy.training.bounds.cut_relaxation import CutRelaxation
from qdeploy.training.bounds.cutting_planes import CANDIDATES, sign_candidates
from qdeploy.training.bounds.interior_point import semidefinite_norm, unit_vectors
from qdeploy.training.bounds.leaf_proof import prove_leaf
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.proof import DualPoint, dual_point

__all__ = ["Tightened", "tightened_residual"]

ROUNDS = 150
TRIANGLES_ONLY = 4
STALLED = 3e-4
PATIENCE = 10
"""Rounds in which the bound rises by less than this share of the objective end the search."""
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


@dataclass(frozen=True, eq=False)
class Tightened:
    """A residual that proves more, and what it proves.

    Attributes:
        residual: float64 (n,).
        dual: its proof by cutting planes.
    """

    residual: FloatArray
    dual: DualPoint


def tightened_residual(
    problem: TrainingProblem,
    residual: FloatArray,
    objective: float,
    *,
    wanted: float = np.inf,
    deadline: float = np.inf,
    progress: Progress = silent,
) -> Tightened | None:
    """A residual near the given one that proves more; each round is a proof by itself.

    Args:
        problem: the problem.
        residual: -∇L at the optimum of training, float64 (n,).
        objective: of training.
        wanted: a dual value that is good enough.
        deadline: `time.monotonic()` at which to stop.
        progress: told of the rounds.

    Returns:
        The best that was met, or None for a loss whose dual has no gradient everywhere, for λ = 0,
        and where there was no time.
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
    best: Tightened | None = None
    values: list[float] = []
    for number in range(ROUNDS):
        if time.monotonic() > deadline:
            break
        relaxation.improve(largest=3 if number < TRIANGLES_ONLY else 7, deadline=deadline)
        latest = _proven(problem, relaxation, source.unit)
        if best is None or latest.dual.value > best.dual.value:
            best = latest
        values.append(float(best.dual.value))
        gap = f"{1 - values[-1] / objective:.3%}"
        figures: dict[str, float | str] = {"cuts": len(relaxation.cuts), "gap so far": gap}
        progress(ProgressEvent("residual with cutting planes", number, None, figures))
        stalled = len(values) > PATIENCE and values[-1] - values[-1 - PATIENCE] < (
            STALLED * objective
        )
        if values[-1] >= wanted or stalled:
            break
    return best


def _proven(problem: TrainingProblem, relaxation: CutRelaxation, unit: float) -> Tightened:
    """What the relaxation's residual and cuts prove, as they are."""
    residual: FloatArray = relaxation.point - relaxation.point.mean()
    integers = problem.loss.round_residual(residual, problem.targets)
    matrix, real = problem.integer_matrix(integers), problem.matrix(residual)
    # One unit of the relaxation in units of the integer matrix; a cut of the relaxation counts
    # pairs once, a square counts them twice.
    scale = unit * float(np.abs(matrix).sum()) / max(float(np.abs(real).sum()), 1e-300)
    fixed = np.zeros((1, len(matrix)), dtype=np.int8)
    proof = prove_leaf(matrix, relaxation.cuts, relaxation.weights * scale / 2, fixed[0])
    used = proof.weights > 0
    tree = CutProof(relaxation.cuts[used], proof.weights[None, used], fixed, proof.diagonal[None])
    vectors = unit_vectors(*relaxation.blocks)
    attained, candidates = best_pair(matrix, sign_candidates(real, vectors, None))
    norm = NormProof(
        norm_bound=tree.norm_bound,
        multipliers=None,
        method=tree.method,
        attained=attained,
        candidates=candidates[:CANDIDATES],
        tree=tree,
    )
    return Tightened(residual, dual_point(problem, integers, norm))
