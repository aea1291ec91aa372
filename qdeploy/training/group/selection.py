"""The penalty of shared neurons by cross-validation, as `selection.py` does it for one output."""

import joblib
import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.group.columns import GroupColumns, price
from qdeploy.training.group.problem import GroupProblem, check_provable
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.selection import (
    FOLDS,
    NOISE,
    PATH,
    Selection,
    fold_numbers,
    one_standard_error,
    prediction_errors,
)
from qdeploy.training.threads import single_threaded

__all__ = ["largest_group_beta", "select_group_beta"]

ROUNDS = 8
PER_ROUND = 40
STARTS = 96
TOLERANCE = 5e-3


def largest_group_beta(
    integers: NDArray[np.int16], targets: FloatArray, loss: Loss, generator: np.random.Generator
) -> float:
    """Estimate of the β above which the zero network is optimal.

    Args:
        integers: lifted inputs, int16 (n, d).
        targets: float64 (n, K).
        loss: the loss.
        generator: source of randomness.
    """
    problem = GroupProblem.of(integers, targets, 1.0, loss)
    residual = GroupColumns(problem, generator).solution.residual
    norm = float(price(problem.matrices(residual), generator, 4 * STARTS).values[0])
    # Contradictory data leave a norm of zero, or of rounding errors: no β may be as small.
    rows = np.abs(problem.first.inputs).sum(axis=1) ** 2
    trivial = float((np.linalg.norm(residual, axis=1) * rows).sum())
    return max(norm, NOISE * trivial) / integers.shape[1]


def select_group_beta(
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

    Raises:
        QDeployError: the outputs cannot be trained with shared neurons.
    """
    check_provable(integers, targets, loss)
    generator = np.random.default_rng(seed)
    betas = PATH * largest_group_beta(integers, targets, loss, generator)
    folds = fold_numbers(targets, task, generator)
    paths = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(_path)(integers, targets, folds != fold, betas, loss, [seed, fold])
        for fold in range(FOLDS)
    )
    predictions = np.empty((len(betas), *targets.shape))
    for fold, path in enumerate(paths):
        predictions[:, folds == fold] = path
        progress(ProgressEvent("choosing beta by cross-validation", fold + 1, FOLDS))
    errors = prediction_errors(predictions, targets, task)
    place, mean = one_standard_error(errors, loss.weights)
    return Selection(float(betas[place]), betas, mean)


def _path(
    integers: NDArray[np.int16],
    targets: FloatArray,
    training: NDArray[np.bool_],
    betas: FloatArray,
    loss: Loss,
    seed: list[int],
) -> FloatArray:
    """Predictions on the held-out rows along the path, float64 (p, n_held_out, K)."""
    held_out = GroupProblem.of(integers[~training], targets[~training], 1.0, loss).first
    predictions = np.empty((len(betas), int((~training).sum()), targets.shape[1]))
    columns: GroupColumns | None = None
    with single_threaded():
        for number, beta in enumerate(betas):
            problem = GroupProblem.of(
                integers[training],
                targets[training],
                float(beta) * integers.shape[1],
                loss.part(training),
            )
            if columns is None:
                columns = GroupColumns(problem, np.random.default_rng(seed), PER_ROUND, STARTS)
            else:
                columns.set_problem(problem)
            columns.run(ROUNDS, tolerance=TOLERANCE)
            found = columns.neurons
            linear = held_out.features(found.left, found.right) @ found.weights
            predictions[number] = linear + columns.solution.intercepts
    return predictions
