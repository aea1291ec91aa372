"""The residual of which the relaxed norm proves most, for all outputs at once.

    max over r   Σ_k -L*(-r_k)   subject to   relaxed norm of (G(r_k))_k ≤ λ

This is the dual of training with vectors in the place of signs; it is solved as such, by fully
corrective conditional gradients (its "neurons" are the relaxation's own solutions), queried between
the best residual so far and the latest (Wentges' smoothing, 1997).
"""

import time

import numpy as np

from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.group.norm import relax_group_norm
from qdeploy.training.group.problem import GroupProblem
from qdeploy.training.lasso import solve_lasso
from qdeploy.training.losses import FloatArray

__all__ = ["relaxed_residual"]

ROUNDS = 80
ENOUGH = 2e-3
"""Share of the relaxed objective between it and the best bound at which to stop."""
ITERATIONS, TOLERANCE = 60, 1e-6
MAJORISED = 3
"""Working responses a round; a squared loss needs one."""
SMOOTHING = 0.6
"""Share of the best residual in the one that is queried."""


def relaxed_residual(
    problem: GroupProblem,
    start: FloatArray,
    generator: np.random.Generator,
    *,
    deadline: float = np.inf,
    progress: Progress = silent,
) -> FloatArray:
    """A residual near the best for the relaxed norm, float64 (n, K).

    Args:
        problem: the problem.
        start: residual to start from, (n, K).
        generator: of the relaxation's starting points.
        deadline: `time.monotonic()` at which to stop.
        progress: told of the rounds.
    """
    inputs = problem.first.inputs
    atoms = np.empty((problem.targets.size, 0))
    amounts = np.empty(0)
    best, best_value, latest = start, -np.inf, start
    for number in range(ROUNDS):
        if time.monotonic() > deadline:
            break
        queried = latest if number == 0 else SMOOTHING * best + (1 - SMOOTHING) * latest
        relaxed = relax_group_norm(problem.matrices(queried), generator, ITERATIONS, TOLERANCE)
        value, scaled = _scaled(problem, queried, relaxed.bound)
        if value > best_value:
            best, best_value = scaled, value
        across = np.einsum("ni,ikr->nkr", inputs, relaxed.second, optimize=True)
        fresh = np.einsum("nr,nkr->nk", inputs @ relaxed.first, across)
        atoms = np.hstack([atoms, fresh.reshape(-1, 1)])
        amounts, latest, objective = _master(problem, atoms, np.append(amounts, 0.0))
        progress(
            ProgressEvent(
                "relaxation of the shared outputs",
                number,
                ROUNDS,
                {"objective": f"{objective:.5g}", "bound": f"{best_value:.5g}"},
            )
        )
        if objective - best_value <= ENOUGH * objective:
            break
    return best


def _scaled(problem: GroupProblem, residual: FloatArray, norm: float) -> tuple[float, FloatArray]:
    """The best value of multiples of each output's residual within the norm, and these (n, K)."""
    value, columns = 0.0, []
    for part, column in zip(problem.outputs, residual.T, strict=True):
        best = part.loss.best_step(column, part.targets)
        step = min(best, problem.first.penalty / norm if norm > 0 else best)
        step = step if np.isfinite(step) else 0.0
        columns.append(step * column)
        value += part.loss.dual_value(step * column, part.targets)
    return value, np.stack(columns, axis=1)


def _master(
    problem: GroupProblem, atoms: FloatArray, start: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Best amounts of the relaxation's solutions, the residual (n, K), the objective."""
    shape, penalty, loss = problem.targets.shape, problem.first.penalty, problem.first.loss
    amounts = start
    rows = atoms.reshape(*shape, -1)
    centred = np.stack([problem.centred(rows[:, :, t]).ravel() for t in range(rows.shape[2])], 1)
    size = float(np.sqrt(np.einsum("ij,ij->j", centred, centred).mean())) or 1.0
    centred /= size
    gram = centred.T @ centred
    for _ in range(1 if loss.name == "squared" else MAJORISED):
        linear = rows @ amounts
        predictions = linear + problem.best_intercepts(linear)
        response = predictions + loss.over(loss.residual(predictions, problem.targets))
        correlation = centred.T @ problem.centred(response).ravel()
        amounts = solve_lasso(gram, correlation, penalty / size, amounts * size) / size
    linear = rows @ amounts
    predictions = linear + problem.best_intercepts(linear)
    objective = penalty * float(np.abs(amounts).sum()) + problem.loss_value(predictions)
    return amounts, loss.residual(predictions, problem.targets), objective
