"""The readout in integers: chosen by solving, not by rounding at the end.

One scale c serves all outputs: f_k = c·(Σ_j A_jk p_j + B_k) with p_j the integer neurons. Starting
from the rounded real solution, single units move in A while the exact objective falls; the
intercept is solved anew each time (its unit c is so fine that rounding it costs nothing).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["IntegerReadout", "integer_readout"]

MOVES_PER_WEIGHT = 20
SILENT_UNIT = 2.0**-10
"""Unit of the readout when every weight is zero, fine enough for the intercept."""


@dataclass(frozen=True, eq=False)
class IntegerReadout:
    """Integer readout of all outputs.

    Attributes:
        weights: A, int64 (m, K).
        intercepts: B, int64 (K,).
        scale: c, real value of one unit of a score.
    """

    weights: NDArray[np.int64]
    intercepts: NDArray[np.int64]
    scale: float


def integer_readout(
    problems: Sequence[TrainingProblem],
    features: FloatArray,
    weights: FloatArray,
    bits: int,
    *,
    ridge: float = 0.0,
    share: float = 1.0,
) -> IntegerReadout:
    """Best integers of a given width near a real readout.

    Args:
        problems: one an output.
        features: neuron outputs Φ, float64 (n, m).
        weights: α, float64 (m, K); zeros stay zero.
        bits: width of A.
        ridge: ρ of a further penalty ½ ρ Σ α².
        share: the largest integer stands for this share of the largest |α|; less than one clips
            the few largest and makes the steps of all others finer.
    """
    largest = 2 ** (bits - 1) - 1
    step = problems[0].step
    peak = float(np.abs(weights).max(initial=0.0))
    scale = (share * peak / largest if peak else SILENT_UNIT) * step * step
    integers = np.zeros(weights.shape, dtype=np.int64)
    intercepts = np.zeros(len(problems), dtype=np.int64)
    for k, problem in enumerate(problems):
        used = np.flatnonzero(weights[:, k])
        unit = scale / (step * step)
        start = np.clip(np.rint(weights[used, k] / unit), -largest, largest).astype(np.int64)
        chosen, intercept = _descend(problem, features[:, used] * unit, start, unit, largest, ridge)
        integers[used, k] = chosen
        intercepts[k] = round(intercept / scale)
    return IntegerReadout(integers, intercepts, scale)


def _descend(
    problem: TrainingProblem,
    columns: FloatArray,
    start: NDArray[np.int64],
    unit: float,
    largest: int,
    ridge: float,
) -> tuple[NDArray[np.int64], float]:
    """Move single units of `start` (m,) while the objective falls; columns hold one unit each."""
    loss, targets = problem.loss, problem.targets
    weights = start.copy()
    linear = columns @ weights
    intercept = loss.best_intercept(linear, targets)
    bowl = ridge * unit * unit

    def cost(sizes: NDArray[np.int64]) -> float:
        penalty = problem.penalty * unit * float(np.abs(sizes).sum())
        return penalty + 0.5 * bowl * float(sizes @ sizes)

    value = loss.value(linear + intercept, targets) + cost(weights)
    if not weights.size:
        return weights, intercept
    # Curvature is at most the sample's weight, so this bounds what a unit costs beyond the
    # gradient. At kinks no bound is known; what a unit costs is then seen when it is tried.
    bend = np.full(weights.size, 0.5 * bowl)
    if not loss.kinked:
        centred = columns - np.average(columns, axis=0, weights=loss.weights)
        bend += 0.5 * np.einsum("ij,ij->j", loss.times(centred), centred)
    refused = np.zeros((2, weights.size), dtype=bool)
    for _ in range(MOVES_PER_WEIGHT * weights.size):
        slope = bowl * weights - columns.T @ loss.residual(linear + intercept, targets)
        gain = np.empty((2, weights.size))
        for row, sign in enumerate((1, -1)):
            size = np.abs(weights + sign) - np.abs(weights)
            gain[row] = -(sign * slope + bend + problem.penalty * unit * size)
            gain[row, np.abs(weights + sign) > largest] = -np.inf
        gain[refused] = -np.inf
        row, place = divmod(int(gain.argmax()), weights.size)
        if gain[row, place] <= 0:
            break
        sign = 1 - 2 * row
        trial = linear + sign * columns[:, place]
        trial_intercept = loss.best_intercept(trial, targets)
        changed = weights.copy()
        changed[place] += sign
        trial_value = loss.value(trial + trial_intercept, targets) + cost(changed)
        if trial_value < value:
            weights, linear, intercept, value = changed, trial, trial_intercept, trial_value
            refused[:] = False
        else:
            refused[row, place] = True
    return weights, intercept
