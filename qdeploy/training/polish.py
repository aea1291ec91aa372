"""Fewer neurons: backward elimination, moves of single weights, exact re-solving of the readout.

What is left after column generation may exceed a budget. Elimination drops what costs least (the
second-order estimate of optimal brain surgeon: Hassibi & Stork, NIPS 1992), and single moves of u
and v then regain part of the loss, for all outputs that share a neuron at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.losses import FloatArray
from qdeploy.training.master import solve_master
from qdeploy.training.problem import TrainingProblem

__all__ = ["SharedNeurons", "reduce_neurons"]

SignMatrix = NDArray[np.int8]

SHARE_DROPPED = 0.15
POLISH_ROUNDS = 12
ENOUGH = 1e-5
"""Relative decrease of the objective below which polishing ends."""


@dataclass(frozen=True, eq=False)
class SharedNeurons:
    """Neurons that all outputs share, with a real readout.

    Attributes:
        left: u, int8 (m, d).
        right: v, int8 (m, d).
        weights: α, float64 (m, K).
    """

    left: SignMatrix
    right: SignMatrix
    weights: FloatArray


def reduce_neurons(
    problems: Sequence[TrainingProblem], neurons: SharedNeurons, limit: int
) -> SharedNeurons:
    """At most `limit` neurons, each output free to use every one of them.

    Args:
        problems: one an output, on the same inputs.
        neurons: what column generation found.
        limit: most neurons kept, at least 1.
    """
    current = neurons
    while len(current.left) > limit:
        excess = len(current.left) - limit
        dropped = max(1, int(SHARE_DROPPED * excess))
        order = np.argsort(_importance(problems[0], current), kind="stable")
        kept = np.sort(order[dropped:])
        current, _ = _solve(
            problems, current.left[kept], current.right[kept], current.weights[kept]
        )
    current, objective = _solve(problems, current.left, current.right, current.weights)
    for _ in range(POLISH_ROUNDS):
        left, right = _move(problems, current)
        trial, value = _solve(problems, left, right, current.weights)
        if value >= objective * (1 - ENOUGH):
            break
        current, objective = trial, value
    return current


def _solve(
    problems: Sequence[TrainingProblem], left: SignMatrix, right: SignMatrix, start: FloatArray
) -> tuple[SharedNeurons, float]:
    """Best readout of every output for fixed neurons, and the total objective."""
    features = problems[0].features(left, right)
    solutions = [solve_master(problem, features, start[:, k]) for k, problem in enumerate(problems)]
    weights = np.stack([solution.weights for solution in solutions], axis=1)
    return SharedNeurons(left, right, weights), sum(s.objective for s in solutions)


def _importance(problem: TrainingProblem, neurons: SharedNeurons) -> FloatArray:
    """Estimated rise of the squared loss when a neuron goes and the others adapt, (m,)."""
    features = problem.features(neurons.left, neurons.right)
    features = features - np.average(features, axis=0, weights=problem.loss.weights)
    gram = features.T @ problem.loss.times(features)
    gram[np.diag_indices_from(gram)] *= 1 + 1e-6
    gram[np.diag_indices_from(gram)] += np.finfo(np.float64).tiny
    inverse = np.linalg.pinv(gram, hermitian=True)
    rise: FloatArray = (neurons.weights**2).sum(axis=1) / np.maximum(
        np.diag(inverse), np.finfo(np.float64).tiny
    )
    return rise


def _move(
    problems: Sequence[TrainingProblem], neurons: SharedNeurons
) -> tuple[SignMatrix, SignMatrix]:
    """Move single weights to other levels, best first, while a bound on the objective falls.

    The bound is quadratic in the output; the readout of what is deployed stays as it is.
    """
    family = problems[0].family
    inputs = problems[0].inputs
    left, right = neurons.left.copy(), neurons.right.copy()
    features = problems[0].features(left, right)
    readout = neurons.weights / family.sizes(left, right)[:, None]
    predictions = []
    slopes = [problem.loss.smoothed() for problem in problems]
    for k, problem in enumerate(problems):
        linear = features @ neurons.weights[:, k]
        predictions.append(linear + problem.loss.best_intercept(linear, problem.targets))
    squares = inputs**2
    levels = np.array(family.levels, dtype=np.float64)
    for j in range(len(left)):
        used = np.flatnonzero(readout[j])
        alpha = readout[j, used]
        cost = problems[0].penalty * float(np.abs(alpha).sum())
        for side, other in ((left, right), (right, left)):
            lever: FloatArray = inputs @ other[j].astype(np.float64)
            # A step s of weight i adds s·α·x_i·lever to the output; curvature is at most the
            # weight of a sample.
            bend = float(alpha @ alpha) / 2 * (slopes[0].times(lever**2) @ squares)
            for _ in range(inputs.shape[1]):
                pull = np.zeros(len(lever))
                for a, k in zip(alpha, used.tolist(), strict=True):
                    pull += a * slopes[k].residual(predictions[k], problems[k].targets)
                steps = levels - side[j][:, None]
                gain = steps * ((pull * lever) @ inputs)[:, None] - steps**2 * bend[:, None]
                if family.by_size:
                    gain -= cost * _growth(side[j].astype(np.float64), other[j], steps)
                place, level = divmod(int(gain.argmax()), len(levels))
                if gain[place, level] <= 0:
                    break
                change = steps[place, level] * inputs[:, place] * lever
                side[j, place] = family.levels[level]
                for a, k in zip(alpha, used.tolist(), strict=True):
                    predictions[k] = predictions[k] + a * change
    return left, right


def _growth(side: FloatArray, other: SignMatrix, steps: FloatArray) -> FloatArray:
    """What steps of single weights, (d, l), add to the size ‖u‖‖v‖/d; infinite where u vanishes."""
    before = float(side @ side)
    after = before + 2 * side[:, None] * steps + steps**2
    share = float(np.linalg.norm(other.astype(np.float64))) / len(side)
    growth: FloatArray = (np.sqrt(np.maximum(after, 0)) - np.sqrt(before)) * share
    growth[after < 0.5] = np.inf
    return growth
