"""The penalty by cross-validation: a path of β with warm starts, on folds of the training rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.columns import ColumnGeneration
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.oracle import NormOracle
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.threads import single_threaded

__all__ = ["Selection", "fold_numbers", "largest_beta", "prediction_errors", "select_beta"]

FOLDS = 4
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
    """

    beta: float
    betas: FloatArray
    errors: FloatArray

    @property
    def error(self) -> float:
        """Mean held-out error at the chosen β."""
        return float(self.errors[self.betas == self.beta][0])


def largest_beta(
    integers: NDArray[np.int16], targets: FloatArray, loss: Loss, generator: np.random.Generator
) -> float:
    """Estimate of the β above which the zero network is optimal for every output.

    Args:
        integers: lifted inputs, int16 (n, d).
        targets: float64 (n, K).
        loss: the loss.
        generator: source of randomness.
    """
    oracle = NormOracle(integers.shape[1], generator)
    largest = 0.0
    for column in targets.T:
        problem = TrainingProblem(integers, column, 1.0, loss)
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
) -> Selection:
    """Choose β by cross-validation with the one-standard-error rule.

    Args:
        integers: lifted inputs, int16 (n, d).
        targets: float64 (n, K): ±1 for classes.
        loss: the loss.
        task: what is counted as an error.
        seed: of the folds and of the oracle.
        jobs: processes, as joblib counts them.
        progress: told of the folds done.
    """
    generator = np.random.default_rng(seed)
    betas = PATH * largest_beta(integers, targets, loss, generator)
    rows, outputs = targets.shape
    folds = fold_numbers(targets, task, generator)
    work = [(fold, output) for fold in range(FOLDS) for output in range(outputs)]
    paths = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(_path)(
            integers, targets[:, output], folds != fold, betas, loss, [seed, fold, output]
        )
        for fold, output in work
    )
    predictions = np.empty((len(betas), rows, outputs))
    for number, ((fold, output), path) in enumerate(zip(work, paths, strict=True), start=1):
        predictions[:, folds == fold, output] = path
        progress(ProgressEvent("choosing beta by cross-validation", number, len(work)))
    errors = prediction_errors(predictions, targets, task)
    mean = np.average(errors, axis=1, weights=loss.weights)
    best = int(mean.argmin())
    spread = float(errors[best].std(ddof=1) / np.sqrt(rows))
    chosen = int(np.flatnonzero(mean <= mean[best] + spread)[0])
    return Selection(float(betas[chosen]), betas, mean)


def fold_numbers(
    targets: FloatArray, task: Task, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Fold of each row, (n,); classes are spread evenly."""
    rows = len(targets)
    order = generator.permutation(rows)
    if task == "classify":
        classes = targets.argmax(axis=1) if targets.shape[1] > 1 else targets[:, 0] > 0
        order = order[np.argsort(classes[order], kind="stable")]
    folds = np.empty(rows, dtype=np.int64)
    folds[order] = np.arange(rows) % FOLDS
    return folds


def _path(
    integers: NDArray[np.int16],
    targets: FloatArray,
    training: NDArray[np.bool_],
    betas: Sequence[float] | FloatArray,
    loss: Loss,
    seed: list[int],
) -> FloatArray:
    """Predictions on the held-out rows along the path, float64 (p, n_held_out)."""
    held_out = TrainingProblem(integers[~training], targets[~training], 1.0, loss.part(~training))
    predictions = np.empty((len(betas), held_out.samples))
    columns: ColumnGeneration | None = None
    with single_threaded():
        for number, beta in enumerate(betas):
            problem = TrainingProblem(
                integers[training],
                targets[training],
                float(beta) * integers.shape[1],
                loss.part(training),
            )
            if columns is None:
                generator = np.random.default_rng(seed)
                columns = ColumnGeneration(problem, generator, PER_ROUND, STARTS)
            else:
                columns.set_problem(problem)
            columns.run(ROUNDS, tolerance=TOLERANCE)
            found = columns.neurons
            linear = held_out.features(found.left, found.right) @ found.solution.weights
            predictions[number] = linear + found.solution.intercept
    return predictions


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
