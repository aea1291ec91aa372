"""Power-of-two factors of the inputs, learned before certified training; held-out rows judge them.

±1 weights cannot weigh inputs. The quantiser divides each reading by a scale anyway, so a factor on
that scale costs a device nothing, and the certificate speaks of the integers that result.
"""

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.blocks import is_large
from qdeploy.training.columns import ColumnGeneration, Neurons
from qdeploy.training.input_scales import learn_scales
from qdeploy.training.losses import FloatArray
from qdeploy.training.neurons import NeuronFamily
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.search import Rows
from qdeploy.training.selection import FOLDS, fold_numbers, prediction_errors
from qdeploy.training.shared import solve_readout
from qdeploy.training.stopping import Stop
from qdeploy.training.threads import single_threaded

__all__ = ["SHIFTS", "learn_shifts", "nearest_shifts"]

SHIFTS = (-3, 1)
"""Smallest and largest exponent: wider ones lose an input's resolution or saturate its values."""
RIDGE = 1e-2
"""Ridge of the readout while scales are learned, relative to the size of neuron outputs."""
ROUNDS, PER_ROUND, STARTS, TOLERANCE = 8, 20, 64, 5e-3
SAMPLE = 12000
"""Rows of a large problem that are looked at."""


def learn_shifts(
    rows: Rows,
    beta: float,
    task: Task,
    family: NeuronFamily,
    seed: int,
    progress: Progress,
    stop: Stop,
) -> NDArray[np.int64]:
    """Exponents e (d - 1,) of the factors 2^e of the inputs; all zero where nothing is gained.

    In each of four folds shifts are learned on the other rows, and the rows of the fold tell
    whether training with them errs less. Only then are they learned on all rows.

    Args:
        rows: the training rows, no input scaled yet.
        beta: penalty; it stays the same on inputs that are scaled.
        task: what is counted as an error.
        family: weights of the neurons and their cost.
        seed: of the folds and of the search for neurons.
        progress: told of the folds.
        stop: after a request to end, no input is shifted.
    """
    generator = np.random.default_rng(seed)
    everything = len(rows.targets)
    if is_large(everything, rows.dimension) and everything >= 2 * SAMPLE:
        parts = fold_numbers(rows.targets, task, generator, everything // SAMPLE)
        rows = rows.part(parts == 0)
        # The loss is a sum over rows; its price goes with their number.
        beta *= len(rows.targets) / everything
    none = np.zeros(rows.dimension - 1, dtype=np.int64)
    folds = fold_numbers(rows.targets, task, generator)
    if len(rows.targets) < 2 * FOLDS:
        return none
    gained = 0.0
    with single_threaded():
        for fold in range(FOLDS):
            training, held_out = rows.part(folds != fold), rows.part(folds == fold)
            plain = _fit(training, none, beta, family, seed)
            shifts = _shifts(training, plain)
            shifted = _fit(training, shifts, beta, family, seed) if shifts.any() else plain
            errors = [
                prediction_errors(
                    _predict(held_out, exponents, family, neurons)[None], held_out.targets, task
                )[0]
                for exponents, neurons in ((none, plain), (shifts, shifted))
            ]
            gained += float(held_out.loss.times(errors[0] - errors[1]).sum())
            try:
                progress(ProgressEvent("learning shifts of the inputs", fold + 1, FOLDS))
            except KeyboardInterrupt:
                stop.request()
            if stop.requested:
                return none
        if gained <= 0:
            return none
        return _shifts(rows, _fit(rows, none, beta, family, seed))


def nearest_shifts(scales: FloatArray) -> NDArray[np.int64]:
    """Exponents in `SHIFTS` of the powers of two that are nearest, as ratios, to scales (d,).

    Only the ratios of the scales matter much; the largest becomes the largest shift, because
    learning them knows nothing of saturation.
    """
    exponents = np.log2(scales)
    return np.clip(np.rint(exponents - exponents.max() + SHIFTS[1]), *SHIFTS).astype(np.int64)


def _problems(
    rows: Rows, shifts: NDArray[np.int64], beta: float, family: NeuronFamily
) -> list[TrainingProblem]:
    integers = rows.integers(np.append(np.exp2(shifts), 1.0))
    penalty = beta * integers.shape[1]
    return [
        TrainingProblem(integers, column, penalty, rows.loss, family=family)
        for column in rows.targets.T
    ]


def _fit(
    rows: Rows, shifts: NDArray[np.int64], beta: float, family: NeuronFamily, seed: int
) -> list[Neurons]:
    """Neurons of every output by a few rounds of column generation."""
    found = []
    for k, problem in enumerate(_problems(rows, shifts, beta, family)):
        columns = ColumnGeneration(problem, np.random.default_rng([seed, k]), PER_ROUND, STARTS)
        columns.run(ROUNDS, tolerance=TOLERANCE)
        found.append(columns.neurons)
    return found


def _predict(
    rows: Rows, shifts: NDArray[np.int64], family: NeuronFamily, outputs: list[Neurons]
) -> FloatArray:
    """Predictions, float64 (n, K)."""
    predictions = np.empty((len(rows.targets), len(outputs)))
    for k, (problem, neurons) in enumerate(
        zip(_problems(rows, shifts, 1.0, family), outputs, strict=True)
    ):
        features = problem.features(neurons.left, neurons.right)
        predictions[:, k] = features @ neurons.solution.weights + neurons.solution.intercept
    return predictions


def _shifts(rows: Rows, outputs: list[Neurons]) -> NDArray[np.int64]:
    """Exponents from the scales that lower the loss of these neurons, their readout re-solved."""
    left = np.vstack([neurons.left for neurons in outputs])
    right = np.vstack([neurons.right for neurons in outputs])
    if not len(left):
        return np.zeros(rows.dimension - 1, dtype=np.int64)
    problem = rows.unscaled(RIDGE)
    response = solve_readout(problem, problem.features(left, right)).response
    scales = learn_scales(problem, left, right, response, np.ones(rows.dimension))
    return nearest_shifts(scales[:-1])
