"""The readout in integers of neurons of any family: in the raw units of each, at its price.

The integers multiply the deployed neuron outputs p_j, which are not divided by the neurons' sizes;
a unit of A_jk then costs λ·s_j. Where all sizes are equal that is the usual readout in other units.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.assembly import features_of
from qdeploy.training.losses import FloatArray
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.readout import (
    IntegerReadout,
    ReadoutWidth,
    choose_readout,
    integer_readout,
)

__all__ = ["choose_family_readout", "family_readout"]

MOVES_PER_WEIGHT = 20
PRICED_BITS = 8
"""What "auto" is where neurons have prices of their own: their widths are not compared."""


def choose_family_readout(
    problems: Sequence[TrainingProblem], neurons: SharedNeurons, bits: int | Literal["auto"]
) -> tuple[IntegerReadout, tuple[ReadoutWidth, ...]]:
    """As `family_readout`, with what several widths cost; none are compared with own prices."""
    family = problems[0].family
    if family.by_size:
        return family_readout(problems, neurons, PRICED_BITS if bits == "auto" else bits), ()
    features = features_of(problems[0], neurons)
    found, widths = choose_readout(problems, features, neurons.weights, bits)
    size = family.largest**2
    if size == 1:
        return found, widths
    return IntegerReadout(found.weights, found.intercepts * size, found.scale / size), widths


def family_readout(
    problems: Sequence[TrainingProblem], neurons: SharedNeurons, bits: int
) -> IntegerReadout:
    """Good integers of a given width near a real readout.

    Args:
        problems: one an output.
        neurons: the neurons with their real readout, of outputs divided by their sizes.
        bits: width of A.
    """
    family = problems[0].family
    if not family.by_size:
        features = features_of(problems[0], neurons)
        found = integer_readout(problems, features, neurons.weights, bits)
        size = family.largest**2
        if size == 1:
            return found
        return IntegerReadout(found.weights, found.intercepts * size, found.scale / size)
    sizes = family.sizes(neurons.left, neurons.right)
    features = problems[0].features(neurons.left, neurons.right)
    columns, weights = features * sizes, neurons.weights / sizes[:, None]
    largest = 2 ** (bits - 1) - 1
    peak = float(np.abs(weights).max(initial=0.0))
    if not peak:
        return integer_readout(problems, features, neurons.weights, bits)
    unit = peak / largest
    scale = unit * problems[0].step ** 2
    integers = np.zeros(weights.shape, dtype=np.int64)
    intercepts = np.zeros(len(problems), dtype=np.int64)
    for k, problem in enumerate(problems):
        used = np.flatnonzero(weights[:, k])
        start = np.rint(weights[used, k] / unit).astype(np.int64)
        prices = problem.penalty * unit * sizes[used]
        chosen, intercept = _descend(problem, columns[:, used] * unit, start, prices, largest)
        integers[used, k] = chosen
        intercepts[k] = round(intercept / scale)
    return IntegerReadout(integers, intercepts, scale)


def _descend(
    problem: TrainingProblem,
    columns: FloatArray,
    start: NDArray[np.int64],
    prices: FloatArray,
    largest: int,
) -> tuple[NDArray[np.int64], float]:
    """Move single units of `start` (m,) while the objective falls; columns hold one unit each."""
    loss, targets = problem.loss, problem.targets
    weights, linear = start.copy(), columns @ start
    intercept = loss.best_intercept(linear, targets)
    value = loss.value(linear + intercept, targets) + float(prices @ np.abs(weights))
    # Curvature is at most the sample's weight, so this bounds what a unit costs beyond the
    # gradient. At kinks no bound is known; what a unit costs is then seen when it is tried.
    bend = np.zeros(weights.size)
    if not loss.kinked and weights.size:
        centred = columns - np.average(columns, axis=0, weights=loss.weights)
        bend = 0.5 * np.einsum("ij,ij->j", loss.times(centred), centred)
    refused = np.zeros((2, weights.size), dtype=bool)
    for _ in range(MOVES_PER_WEIGHT * weights.size):
        slope = -(columns.T @ loss.residual(linear + intercept, targets))
        gain = np.empty((2, weights.size))
        for row, sign in enumerate((1, -1)):
            moved = np.abs(weights + sign)
            gain[row] = -(sign * slope + bend + prices * (moved - np.abs(weights)))
            gain[row, moved > largest] = -np.inf
        gain[refused] = -np.inf
        row, place = divmod(int(gain.argmax()), weights.size)
        if gain[row, place] <= 0:
            break
        trial = weights.copy()
        trial[place] += 1 - 2 * row
        moved_linear = columns @ trial
        moved_intercept = loss.best_intercept(moved_linear, targets)
        moved_value = loss.value(moved_linear + moved_intercept, targets)
        moved_value += float(prices @ np.abs(trial))
        if moved_value < value:
            weights, linear, intercept, value = trial, moved_linear, moved_intercept, moved_value
            refused[:] = False
        else:
            refused[row, place] = True
    return weights, intercept
