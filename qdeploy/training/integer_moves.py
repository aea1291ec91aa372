"""Descent over integers by moves of one unit in one weight, or in two at once.

Where single units no longer help, a pair of them often does (i up, j down): neurons are strongly
correlated. The objective is a quadratic form, or a loss with kinks whose differences are exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["Lattice", "descend", "descend_with_kinks", "steps_of"]

IntegerArray = NDArray[np.int64]

MOVES_PER_WEIGHT = 20
FIRST_MOVES = 64
"""First halves of a pair that are looked at; all weights are looked at for the second."""
FIRST_MOVES_WITH_KINKS = 16
TRIALS = 4
"""Single moves with kinks whose intercept is solved anew before pairs are looked at."""
LARGEST_LOOK, LARGEST_WORK = 2e6, 1.5e7
"""Numbers that one look at pairs with kinks may take, and one descent by single moves: of many rows
fewer are looked at."""
NOTICEABLE = 1e-12
"""Share of the objective below which a decrease is rounding."""


@dataclass(frozen=True)
class Lattice:
    """The integers that a readout may have.

    Attributes:
        unit: c, the real weight of one.
        largest: upper bound of their magnitude.
    """

    unit: float
    largest: int

    def nearest(self, values: FloatArray) -> IntegerArray:
        """The nearest of them to `values` (m,), which are in units."""
        return np.clip(np.rint(values), -self.largest, self.largest).astype(np.int64)


def steps_of(point: IntegerArray, lattice: Lattice) -> tuple[FloatArray, NDArray[np.bool_]]:
    """What each single move adds to Σ|a|, and whether it leaves the lattice, (2m,): up, then down.

    Move k < m adds one to a_k, move m + k takes one off.
    """
    moved = np.abs(np.concatenate([point + 1, point - 1]))
    return (moved - np.abs(np.tile(point, 2))).astype(np.float64), moved > lattice.largest


def descend(
    curvature: FloatArray,
    slope: FloatArray,
    start: IntegerArray,
    penalty: float,
    lattice: Lattice,
) -> IntegerArray:
    """Local minimum over single and paired moves of ½ sᵀQs + gᵀs + λ Σ|a|, s the steps from a.

    Args:
        curvature: Q, positive semidefinite (m, m), in units of the lattice.
        slope: g at the start, (m,), in units of the lattice.
        start: a, int64 (m,).
        penalty: λ for one unit.
        lattice: of the result.
    """
    point, slope = start.copy(), slope.copy()
    width = len(point)
    half = 0.5 * np.diag(curvature)
    least = -NOTICEABLE * float(np.abs(slope).sum() + penalty)
    for _ in range(MOVES_PER_WEIGHT * width):
        sizes, outside = steps_of(point, lattice)
        single = np.concatenate([half + slope, half - slope]) + penalty * sizes
        single[outside] = np.inf
        first = np.argsort(single, kind="stable")[:FIRST_MOVES]
        signs = np.where(first < width, 1.0, -1.0)[:, None]
        crossed = signs * curvature[first % width]
        paired = single[first, None] + single + np.hstack([crossed, -crossed])
        # The second half of a pair moves another weight: the model of one move is exact for it.
        places = np.arange(len(first))
        paired[places, first % width] = paired[places, first % width + width] = np.inf
        row, second = divmod(int(paired.argmin()), 2 * width)
        moves = [int(first[0])] if single[first[0]] <= paired[row, second] else [first[row], second]
        if min(single[first[0]], paired[row, second]) >= least:
            break
        for move in moves:
            sign = 1 if move < width else -1
            point[move % width] += sign
            slope += sign * curvature[move % width]
    return point


def descend_with_kinks(
    problem: TrainingProblem,
    columns: FloatArray,
    start: IntegerArray,
    ridge: float,
    lattice: Lattice,
) -> IntegerArray:
    """The same for L(Φa + b) + λ Σ|a| + ½ ρ Σ a², whose differences are computed exactly.

    A move is chosen with the intercept as it is, which bounds from above what it costs with the
    best intercept.

    Args:
        problem: targets, loss and, for one unit, the penalty λ.
        columns: Φ, float64 (n, m), for one unit.
        start: a, int64 (m,).
        ridge: ρ for one unit.
        lattice: of the result.
    """
    loss, targets = problem.loss, problem.targets
    width = columns.shape[1]
    both = np.hstack([columns, -columns])

    def solved(point: IntegerArray) -> tuple[float, FloatArray]:
        linear = columns @ point
        predictions = linear + loss.best_intercept(linear, targets)
        cost = problem.penalty * float(np.abs(point).sum()) + 0.5 * ridge * float(point @ point)
        return loss.value(predictions, targets) + cost, predictions

    def moved(point: IntegerArray, moves: tuple[int, ...]) -> IntegerArray:
        changed = point.copy()
        for move in moves:
            changed[move % width] += 1 if move < width else -1
        return changed

    firsts = int(np.clip(LARGEST_LOOK / max(both.size, 1), 1, FIRST_MOVES_WITH_KINKS))
    most = int(np.clip(LARGEST_WORK / max(both.size, 1), 1, MOVES_PER_WEIGHT * width))
    point = start
    value, predictions = solved(point)
    for _ in range(most):
        sizes, outside = steps_of(point, lattice)
        slopes = np.concatenate([point, -point])
        price = problem.penalty * sizes + ridge * (slopes + 0.5)
        price[outside] = np.inf
        single = loss.values(predictions[:, None] + both, targets) + price
        order = np.argsort(single, kind="stable")
        trials: list[tuple[int, ...]] = [(int(move),) for move in order[:TRIALS]]
        trials = [moves for moves in trials if np.isfinite(single[moves[0]])]
        better = next((t for t in trials if solved(moved(point, t))[0] < value), None)
        if better is None:
            pairs = []
            for move in order[:firsts]:
                if np.isinf(single[move]):
                    continue
                beyond = (predictions + both[:, move])[:, None] + both
                paired = loss.values(beyond, targets) + price
                paired[[move % width, move % width + width]] = np.inf
                second = int(paired.argmin())
                pairs.append((float(paired[second] + price[move]), (int(move), second)))
            if pairs:
                better = min(pairs)[1]
        if better is None:
            break
        trial = moved(point, better)
        trial_value, trial_predictions = solved(trial)
        if trial_value >= value * (1 - NOTICEABLE):
            break
        point, value, predictions = trial, trial_value, trial_predictions
    return point
