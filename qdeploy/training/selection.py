"""The penalty by cross-validation: a path of β with warm starts, on folds of the training rows.

Many rows are not all tried: a stratified sample of them trains and another is held out, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.blocks import is_large
from qdeploy.training.columns import ColumnGeneration
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.neurons import NeuronFamily
from qdeploy.training.neurons.binary import BINARY
from qdeploy.training.pricing import oracle_for
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.stopping import Stop
from qdeploy.training.threads import single_threaded

__all__ = [
    "FOLDS",
    "NOISE",
    "PATH",
    "Selection",
    "fold_numbers",
    "largest_beta",
    "one_standard_error",
    "prediction_errors",
    "select_beta",
]

FOLDS = 4
SAMPLE_ROWS, SAMPLE_PARTS = 3000, 4
"""Rows of one part of a large data set, and parts in use: the first trains, the others are held
out."""
PATH = np.logspace(-1, -2.75, 8)
"""β as shares of the one above which the zero network is optimal; below, proofs become loose."""
NOISE = 1e-6
"""Share of the trivial bound on the norm below which a norm says nothing."""
ROUNDS = 8
PER_ROUND = 20
STARTS = 64
TOLERANCE = 5e-3


@dataclass(frozen=True, eq=False)
class Selection:
    """Outcome of cross-validation.

    Attributes:
        beta: the chosen β, the largest within one standard error of the best.
        betas: the path, largest first, (p,).
        errors: mean held-out error at each: share of wrong labels, or mean squared error, (p,).
        rows: rows that took part, where not all did.
    """

    beta: float
    betas: FloatArray
    errors: FloatArray
    rows: int | None = None

    @property
    def error(self) -> float:
        """Mean held-out error at the chosen β."""
        return float(self.errors[self.betas == self.beta][0])


def largest_beta(
    integers: NDArray[np.int16],
    targets: FloatArray,
    loss: Loss,
    generator: np.random.Generator,
    family: NeuronFamily = BINARY,
) -> float:
    """Estimate of the β above which the zero network is optimal for every output.

    Args:
        integers: lifted inputs, int16 (n, d).
        targets: float64 (n, K).
        loss: the loss.
        generator: source of randomness.
        family: weights of the neurons and their cost.
    """
    oracle = oracle_for(family, integers.shape[1], generator)
    largest = 0.0
    for column in targets.T:
        problem = TrainingProblem(integers, column, 1.0, loss, family=family)
        zero = np.zeros(len(column))
        constant = zero + loss.best_intercept(zero, column)
        # Smoothed: at a kink, a single residual says little about the others.
        residual = loss.smoothed().residual(constant, column)
        norm = float(oracle.price(problem.matrix(residual)).values[0])
        # Contradictory data leave a norm of zero, or of rounding errors: no β may be as small.
        trivial = float(np.abs(residual) @ np.abs(problem.inputs).sum(axis=1) ** 2)
        largest = max(largest, norm, NOISE * trivial)
    return largest / integers.shape[1]


def select_beta(
    integers: NDArray[np.int16],
    targets: FloatArray,
    loss: Loss,
    task: Task,
    *,
    seed: int = 0,
    jobs: int = -1,
    progress: Progress = silent,
    family: NeuronFamily = BINARY,
    stop: Stop | None = None,
) -> Selection:
    """Choose β by cross-validation with the one-standard-error rule.

    Of a large data set only a sample is tried; β is then scaled up, so that the price of Σ|α|
    against the mean loss of a row is what was chosen.

    Args:
        integers: lifted inputs, int16 (n, d).
        targets: float64 (n, K): ±1 for classes.
        loss: the loss.
        task: what is counted as an error.
        seed: of the folds and of the oracle.
        jobs: processes, as joblib counts them.
        progress: told of the folds done.
        family: weights of the neurons and their cost.
        stop: after a request to end, the β is the best of those that were tried by then, or the
            middle one of the path if there are none.
    """
    generator = np.random.default_rng(seed)
    everything = len(targets)
    sampled = is_large(*integers.shape) and everything >= SAMPLE_PARTS * SAMPLE_ROWS
    if sampled:
        parts = fold_numbers(targets, task, generator, everything // SAMPLE_ROWS)
        chosen = parts < SAMPLE_PARTS
        integers, targets, loss = integers[chosen], targets[chosen], loss.part(chosen)
        # The held-out part is what the others call a fold: everything but the first.
        folds, held_out = np.minimum(parts[chosen], 1), range(1, 2)
        first = folds == 0
        part = loss.part(first)
        largest = largest_beta(integers[first], targets[first], part, generator, family)
    else:
        largest = largest_beta(integers, targets, loss, generator, family)
        folds, held_out = fold_numbers(targets, task, generator), range(FOLDS)
    betas = PATH * largest
    rows, outputs = targets.shape
    work = [(fold, output) for fold in held_out for output in range(outputs)]
    paths = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(_path)(
            integers,
            targets[:, output],
            folds != fold,
            betas,
            loss,
            [seed, fold, output],
            family,
            stop,
        )
        for fold, output in work
    )
    predictions = np.empty((len(betas), rows, outputs))
    for number, ((fold, output), path) in enumerate(zip(work, paths, strict=True), start=1):
        predictions[:, folds == fold, output] = path
        try:
            progress(ProgressEvent("choosing beta by cross-validation", number, len(work)))
        except KeyboardInterrupt:
            if stop is None:
                raise
            stop.request()
    tested = folds >= held_out.start
    if _requested(stop):
        known = np.asarray(np.isfinite(predictions).all(axis=2))
        tested &= known.any(axis=0)
        tried = np.flatnonzero(known[:, tested].all(axis=1) & tested.any())
        if not tried.size:
            unknown = np.full(len(betas), np.nan)
            return Selection(float(betas[len(betas) // 2]), betas, unknown)
        betas, predictions = betas[tried], predictions[tried]
    errors = prediction_errors(predictions[:, tested], targets[tested], task)
    place, mean = one_standard_error(errors, loss.part(tested).weights)
    if sampled:
        betas = betas * (everything / int((folds == 0).sum()))
    return Selection(float(betas[place]), betas, mean, rows if sampled else None)


def fold_numbers(
    targets: FloatArray, task: Task, generator: np.random.Generator, count: int = FOLDS
) -> NDArray[np.int64]:
    """Fold of each row, (n,), of so many; classes are spread evenly."""
    rows = len(targets)
    order = generator.permutation(rows)
    if task == "classify":
        classes = targets.argmax(axis=1) if targets.shape[1] > 1 else targets[:, 0] > 0
        order = order[np.argsort(classes[order], kind="stable")]
    folds = np.empty(rows, dtype=np.int64)
    folds[order] = np.arange(rows) % count
    return folds


def one_standard_error(errors: FloatArray, weights: FloatArray | None) -> tuple[int, FloatArray]:
    """The first place of a path whose mean error is within one standard error of the least.

    Args:
        errors: of each row along the path, (p, n).
        weights: of the rows, (n,), or None.

    Returns:
        The place, and the mean error at each, (p,).
    """
    mean = np.average(errors, axis=1, weights=weights)
    best = int(mean.argmin())
    spread = float(errors[best].std(ddof=1) / np.sqrt(errors.shape[1]))
    return int(np.flatnonzero(mean <= mean[best] + spread)[0]), mean


def _path(
    integers: NDArray[np.int16],
    targets: FloatArray,
    training: NDArray[np.bool_],
    betas: Sequence[float] | FloatArray,
    loss: Loss,
    seed: list[int],
    family: NeuronFamily,
    stop: Stop | None,
) -> FloatArray:
    """Predictions on the held-out rows along the path, float64 (p, n_held_out).

    They are not a number from where the path was ended.
    """
    if stop is not None:
        stop.leave_signals_to_owner()
    held_out = TrainingProblem(
        integers[~training], targets[~training], 1.0, loss.part(~training), family=family
    )
    predictions = np.full((len(betas), held_out.samples), np.nan)
    columns: ColumnGeneration | None = None
    with single_threaded():
        for number, beta in enumerate(betas):
            problem = TrainingProblem(
                integers[training],
                targets[training],
                float(beta) * integers.shape[1],
                loss.part(training),
                family=family,
            )
            if columns is None:
                generator = np.random.default_rng(seed)
                columns = ColumnGeneration(problem, generator, PER_ROUND, STARTS)
            else:
                columns.set_problem(problem)
            columns.run(ROUNDS, tolerance=TOLERANCE, target=lambda *_: _requested(stop))
            if _requested(stop):
                break
            found = columns.neurons
            linear = held_out.features(found.left, found.right) @ found.solution.weights
            predictions[number] = linear + found.solution.intercept
    return predictions


def _requested(stop: Stop | None) -> bool:
    return stop is not None and stop.requested


def prediction_errors(predictions: FloatArray, targets: FloatArray, task: Task) -> FloatArray:
    """Error of each row along the path, (p, n)."""
    if task == "regress":
        squares: FloatArray = ((predictions - targets) ** 2).mean(axis=2)
        return squares
    if targets.shape[1] == 1:
        wrong = (predictions[:, :, 0] > 0) != (targets[:, 0] > 0)
    else:
        wrong = predictions.argmax(axis=2) != targets.argmax(axis=1)
    return wrong.astype(np.float64)
