"""A residual whose bound by cutting planes is best: the dual of the relaxation with cuts.

    max over r, z, y   -L*(-r)   subject to   Σr = 0,  Diag(z) ⪰ B(y) ± (G(r) + H(y)),  load ≤ λ

At the optimum of training the true norm is λ for many neurons at once, and every relaxation is
loosest there. This residual gives up a little of the dual value for a norm that can be proven.
Where cuts on all sign pairs gain no more, these are split: every leaf has its own z and y, and the
one residual must be feasible on all of them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.bounds import SignMatrix
from qdeploy.training.bounds.cut_relaxation import CutRelaxation
from qdeploy.training.bounds.cutting_planes import proof_by_leaves, sign_candidates
from qdeploy.training.bounds.interior_point import semidefinite_norm
from qdeploy.training.bounds.leaf_proof import Leaf, fits, prove_leaf
from qdeploy.training.bounds.parts import Part
from qdeploy.training.checkpoint import Slot
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.proof import DualPoint, dual_point

__all__ = ["tightened_residual"]

ROUNDS = 1000
TRIANGLES_ONLY = 4
STALLED = 5e-4
PATIENCE = 3
"""Rounds in which the bound rises by less than this share of the objective end what cuts can do:
a leaf is split, or the search ends."""
FIRST_PRESSURE = 0.5
"""Share of the objective that the penalty is taken to have before it is known."""


class _Residuals:
    """G(r) of every residual with sum 0, the dual value as the gain, a budget of d for the loads.

    Args:
        problem: the problem; its loss has a dual gradient.
        objective: of training, which sets the scale.
    """

    budgeted = True

    def __init__(self, problem: TrainingProblem, objective: float) -> None:
        self.size = problem.samples
        self.unit = problem.penalty / problem.dimension
        self._problem = problem
        self._share = problem.dimension / objective

    def matrix(self, point: FloatArray) -> FloatArray:
        """G(r), in units in which λ is d."""
        scaled: FloatArray = self._problem.matrix(point - point.mean()) / self.unit
        return scaled

    def cost(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Less the dual value."""
        loss, targets = self._problem.loss, self._problem.targets
        residual = point - point.mean()
        gradient = loss.dual_gradient(residual, targets)
        assert gradient is not None
        value = -self._share * loss.dual_value(residual, targets)
        return value, -self._share * (gradient - gradient.mean())

    def pull(self, across: FloatArray) -> FloatArray:
        """x̂ᵀ(P - N)x̂ of every sample, centred."""
        inputs = self._problem.inputs
        values: FloatArray = np.einsum("ij,ij->i", inputs @ across, inputs) / self.unit
        centred: FloatArray = values - values.mean()
        return centred


def tightened_residual(
    problem: TrainingProblem,
    residual: FloatArray,
    objective: float,
    *,
    wanted: float = np.inf,
    deadline: float = np.inf,
    leaves: int = 1,
    threads: int = 1,
    slot: Slot | None = None,
    keep: Callable[[DualPoint], object] | None = None,
    progress: Progress = silent,
) -> DualPoint | None:
    """A residual near the given one that proves more; each round is a proof by itself.

    Args:
        problem: the problem.
        residual: -∇L at the optimum of training, float64 (n,).
        objective: of training.
        wanted: a dual value that is good enough.
        deadline: `time.monotonic()` at which to stop.
        leaves: into how many the sign pairs may be split.
        threads: leaves that are worked on at once.
        slot: where the state is kept after each round, and taken up from.
        keep: given every point that is better than those before.
        progress: told of the rounds.

    Returns:
        The best point that was met, with its proof, or None for a loss whose dual has no gradient
        everywhere, for an objective or a λ of 0, and where there was no time.
    """
    if problem.loss.dual_gradient(residual, problem.targets) is None or not objective > 0:
        return None
    slot = Slot() if slot is None else slot
    source = _Residuals(problem, objective)
    state: _State | None = slot.load()
    if state is None:
        state = _begin(problem, residual, source.unit)
    if state is None:
        return None
    if state.best is not None and keep is not None:
        keep(state.best)
    relaxation = CutRelaxation(source, state.point, state.parts, threads, state.generator)
    while state.rounds < ROUNDS and not state.ended and time.monotonic() <= deadline:
        largest = 3 if state.rounds < TRIANGLES_ONLY else 7
        relaxation.improve(largest=largest, deadline=deadline)
        state.point = relaxation.point
        state.rounds += 1
        latest = _proven(problem, relaxation, source.unit, state.known)
        if state.best is None or latest.value > state.best.value:
            state.best = latest
            if keep is not None:
                keep(latest)
        value = float(state.best.value)
        state.values.append(value)
        figures: dict[str, float | str] = {
            "leaves": len(state.parts),
            "cuts": sum(len(part.cuts) for part in state.parts),
            "gap so far": f"{1 - value / objective:.3%}",
        }
        progress(ProgressEvent("residual with cutting planes", state.rounds, None, figures))
        recent = state.values[-1 - PATIENCE :]
        if value >= wanted:
            state.ended = True
        elif len(recent) > PATIENCE and value - recent[0] < STALLED * objective:
            room = len(state.parts) < leaves and fits(latest.tree)
            state.ended = not (room and relaxation.split())
            state.values = [value]
        slot.save(state)
    return state.best


@dataclass
class _State:
    """All that the search goes on from.

    Attributes:
        point: the residual, float64 (n,).
        parts: one a leaf.
        generator: of the search for cuts.
        known: u of neurons that nearly attain the norm at first, int8 (k, d).
        rounds: done.
        values: best dual values, one a round since the last split.
        best: the best point that was proven.
        ended: nothing is left to do.
    """

    point: FloatArray
    parts: list[Part]
    generator: np.random.Generator
    known: SignMatrix
    rounds: int = 0
    values: list[float] = field(default_factory=list)
    best: DualPoint | None = None
    ended: bool = False


def _begin(problem: TrainingProblem, residual: FloatArray, unit: float) -> _State | None:
    """The semidefinite relaxation, scaled to be feasible; None where it says nothing."""
    matrix = problem.matrix(residual)
    relaxed = semidefinite_norm(matrix)
    if not (problem.penalty > 0 and relaxed.bound > 0):
        return None
    step = problem.penalty / relaxed.bound
    whole = Part(
        np.zeros(problem.dimension, dtype=np.int8),
        step * relaxed.multipliers / unit,
        (FIRST_PRESSURE * relaxed.positive, FIRST_PRESSURE * relaxed.negative),
        pressure=FIRST_PRESSURE,
    )
    known = sign_candidates(matrix, relaxed.vectors, None)
    return _State(step * residual, [whole], np.random.default_rng(0), known)


def _proven(
    problem: TrainingProblem, relaxation: CutRelaxation, unit: float, known: SignMatrix
) -> DualPoint:
    """What the relaxation's residual and cuts prove, as they are."""
    residual: FloatArray = relaxation.point - relaxation.point.mean()
    integers = problem.loss.round_residual(residual, problem.targets)
    matrix, real = problem.integer_matrix(integers), problem.matrix(residual)
    # One unit of the relaxation in units of the integer matrix; a cut of the relaxation counts
    # pairs once, a square counts them twice.
    scale = unit * float(np.abs(matrix).sum()) / max(float(np.abs(real).sum()), 1e-300)
    leaves = []
    for part in relaxation.parts:
        proof = prove_leaf(matrix, part.cuts, part.weights * scale / 2, part.fixed)
        leaves.append(Leaf(part.fixed, proof, part.cuts))
    norm = proof_by_leaves(matrix, leaves, known)
    return dual_point(problem, integers, norm)
