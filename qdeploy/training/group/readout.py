"""Integers for a readout whose rows are priced by their lengths, all outputs together.

From the rounded real solution single units move while the objective falls, as in `readout.py`; the
price of a unit depends on the whole row.
"""

from typing import Literal

import numpy as np

from qdeploy.training.group.problem import GroupProblem
from qdeploy.training.losses import FloatArray
from qdeploy.training.readout import SILENT_UNIT, WIDTHS, IntegerReadout

__all__ = ["group_readout"]

MOVES_PER_WEIGHT = 4
ENOUGH = 1e-3
"""Share of the real readout's objective that the width chosen by "auto" may cost."""
SHARES = (1.0, 0.85, 0.7, 0.55, 0.42)
"""What the largest integer may stand for, in shares of the largest weight, at narrow widths."""
NARROW = 6


def group_readout(
    problem: GroupProblem,
    features: FloatArray,
    weights: FloatArray,
    bits: int | Literal["auto"],
) -> IntegerReadout:
    """Best integers that are found near a real readout.

    Args:
        problem: all outputs.
        features: neuron outputs Φ, float64 (n, m).
        weights: a, float64 (m, K).
        bits: width of the integers; "auto" for the narrowest of `WIDTHS` whose objective is within
            0.1 % of the real readout's, or the widest if none is.
    """
    if bits != "auto":
        return _of_width(problem, features, weights, bits)[1]
    enough = (1 + ENOUGH) * _Readout(problem, features, weights, 1.0).objective
    for width in WIDTHS:
        value, readout = _of_width(problem, features, weights, width)
        if value <= enough:
            break
    return readout


def _of_width(
    problem: GroupProblem, features: FloatArray, weights: FloatArray, bits: int
) -> tuple[float, IntegerReadout]:
    """Objective and integers, the best over several units."""
    largest = 2 ** (bits - 1) - 1
    peak = float(np.abs(weights).max(initial=0.0))
    found = []
    for share in SHARES if bits <= NARROW else SHARES[:1]:
        unit = share * peak / largest if peak else SILENT_UNIT
        start = np.clip(np.rint(weights / unit), -largest, largest)
        readout = _Readout(problem, features, start, unit)
        readout.descend(largest)
        found.append(readout)
    best = min(found, key=lambda readout: readout.objective)
    step = problem.first.step
    scale = best.unit * step * step
    return best.objective, IntegerReadout(
        best.integers.astype(np.int64), np.rint(best.intercepts / scale).astype(np.int64), scale
    )


class _Readout:
    """Integers A (m, K) of one unit, moved one at a time.

    Args:
        problem: all outputs.
        features: Φ, (n, m).
        integers: start, float64 (m, K).
        unit: real value of one.
    """

    def __init__(
        self, problem: GroupProblem, features: FloatArray, integers: FloatArray, unit: float
    ) -> None:
        self.unit = unit
        self.integers = integers.copy()
        self._problem = problem
        self._columns = features * unit
        self._linear = self._columns @ self.integers
        outputs = range(len(problem.outputs))
        losses = [self._settle(k, self._linear[:, k]) for k in outputs]
        self.intercepts = np.array([intercept for intercept, _ in losses])
        self._losses = np.array([loss for _, loss in losses])

    @property
    def objective(self) -> float:
        """Σ_k L + λ Σ_j ‖a_j‖ at the present integers."""
        lengths = np.linalg.norm(self.integers, axis=1)
        return float(self._losses.sum()) + self._problem.first.penalty * self.unit * float(
            lengths.sum()
        )

    def descend(self, largest: int) -> None:
        """Move single units while the objective falls; no integer exceeds `largest`."""
        loss = self._problem.first.loss
        average = np.average(self._columns, axis=0, weights=loss.weights)
        centred = self._columns - average
        # Curvature is at most the sample's weight: this bounds what a unit costs beyond the slope.
        bend = 0.5 * np.einsum("ij,ij->j", loss.times(centred), centred)[:, None]
        slope = np.stack([self._slope(k) for k in range(self.integers.shape[1])], axis=1)
        price = self._problem.first.penalty * self.unit
        lengths = np.linalg.norm(self.integers, axis=1)[:, None]
        refused = np.zeros((2, *self.integers.shape), dtype=bool)
        for _ in range(MOVES_PER_WEIGHT * self.integers.size):
            gain = np.empty((2, *self.integers.shape))
            for row, sign in enumerate((1, -1)):
                longer = np.sqrt(np.maximum(lengths**2 + 2 * sign * self.integers + 1, 0)) - lengths
                gain[row] = -(sign * slope + bend + price * longer)
                gain[row, np.abs(self.integers + sign) > largest] = -np.inf
            gain[refused] = -np.inf
            row, j, k = (int(i) for i in np.unravel_index(gain.argmax(), gain.shape))
            if not gain[row, j, k] > 0:
                break
            sign = 1 - 2 * row
            linear = self._linear[:, k] + sign * self._columns[:, j]
            intercept, value = self._settle(k, linear)
            moved = self.integers[j].copy()
            moved[k] += sign
            length = float(np.linalg.norm(moved))
            if value - self._losses[k] + price * (length - float(lengths[j, 0])) < 0:
                self.integers[j], lengths[j] = moved, length
                self._linear[:, k], self.intercepts[k], self._losses[k] = linear, intercept, value
                slope[:, k] = self._slope(k)
                refused[:] = False
            else:
                refused[row, j, k] = True

    def _settle(self, k: int, linear: FloatArray) -> tuple[float, float]:
        """The best intercept of an output, and its loss with it."""
        part = self._problem.outputs[k]
        intercept = part.loss.best_intercept(linear, part.targets)
        return intercept, part.loss.value(linear + intercept, part.targets)

    def _slope(self, k: int) -> FloatArray:
        """Slope of an output's loss by each integer, (m,)."""
        part = self._problem.outputs[k]
        predictions = self._linear[:, k] + self.intercepts[k]
        slope: FloatArray = -self._columns.T @ part.loss.residual(predictions, part.targets)
        return slope
