"""The restricted master: the best real readout for given neurons, an ℓ₁-penalised convex problem.

    min over α, b   L(Φα + b, y) + λ Σ|α_j|

Proximal Newton: the loss is replaced by its quadratic model, whose lasso is solved exactly; for the
squared loss the first model is the problem itself. A loss with kinks makes it a linear programme,
whose dual solution is the residual.
"""

from dataclasses import dataclass, replace

import numpy as np

from qdeploy.training.blocks import BLOCK_ROWS, matrix_vector, row_blocks
from qdeploy.training.lasso import solve_lasso
from qdeploy.training.linear_programme import solve_linear
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["MasterSolution", "solve_master"]

NEWTON_STEPS = 60
SMALLEST_STEP = 2.0**-20


@dataclass(frozen=True, eq=False)
class MasterSolution:
    """Solution of the restricted master.

    Attributes:
        weights: α, float64 (m,).
        intercept: b.
        predictions: Φα + b, float64 (n,).
        objective: L + λ Σ|α|.
        residual: r = -∇L(f), float64 (n,); at a kink the one that proves the solution.
    """

    weights: FloatArray
    intercept: float
    predictions: FloatArray
    objective: float
    residual: FloatArray


def evaluate(problem: TrainingProblem, features: FloatArray, weights: FloatArray) -> MasterSolution:
    """Objective at `weights` (m,) with the best intercept for them."""
    linear = matrix_vector(features, weights)
    intercept = problem.loss.best_intercept(linear, problem.targets)
    predictions = linear + intercept
    objective = problem.loss.value(predictions, problem.targets)
    objective += problem.penalty * float(np.abs(weights).sum())
    residual = problem.loss.residual(predictions, problem.targets)
    return MasterSolution(weights, intercept, predictions, objective, residual)


def solve_master(
    problem: TrainingProblem,
    features: FloatArray,
    start: FloatArray | None = None,
    tolerance: float = 1e-9,
) -> MasterSolution:
    """Best real readout for fixed neurons.

    Args:
        problem: targets, loss and penalty.
        features: Φ, float64 (n, m), not centred.
        start: α to start from, (m,).
        tolerance: relative decrease of the objective at which to stop.
    """
    width = features.shape[1]
    if problem.loss.kinked:
        weights, residual = solve_linear(problem, features)
        return replace(evaluate(problem, features, weights), residual=residual)
    current = evaluate(problem, features, np.zeros(width) if start is None else start)
    if not width:
        return current
    for _ in range(NEWTON_STEPS):
        curvature = problem.loss.curvature(current.predictions, problem.targets)
        weights = _newton_target(problem, features, current, curvature, tolerance)
        step = 1.0
        while True:
            trial = evaluate(
                problem, features, current.weights + step * (weights - current.weights)
            )
            if trial.objective < current.objective or step < SMALLEST_STEP:
                break
            step /= 2
        decrease = current.objective - trial.objective
        if decrease > 0:
            current = trial
        # A quadratic loss was its own model if the same samples still count.
        exact = step == 1 and np.array_equal(
            curvature, problem.loss.curvature(current.predictions, problem.targets)
        )
        if exact or decrease <= tolerance * abs(current.objective):
            break
    return current


def _newton_target(
    problem: TrainingProblem,
    features: FloatArray,
    at: MasterSolution,
    curvature: FloatArray,
    tolerance: float,
) -> FloatArray:
    """Minimiser, (m,), of the quadratic model of the loss plus the penalty."""
    active = curvature > 0
    if not active.any():
        return at.weights
    if features.dtype != np.float64:
        return _blockwise_target(problem, features, at, curvature, tolerance)
    root = np.sqrt(curvature[active])
    residual = at.residual[active]
    response = root * (at.predictions[active] + residual / curvature[active])
    design = root[:, None] * features[active]
    # The unpenalised intercept is projected out.
    direction = root / np.linalg.norm(root)
    design -= direction[:, None] * (direction @ design)
    response -= direction * (direction @ response)
    return _lasso(design, response, problem.penalty, at.weights, tolerance)


def _blockwise_target(
    problem: TrainingProblem,
    features: FloatArray,
    at: MasterSolution,
    curvature: FloatArray,
    tolerance: float,
) -> FloatArray:
    """`_newton_target` of many rows: sums over blocks, so that no second (n, m) matrix is held."""
    width = features.shape[1]
    products, sums, pulls = np.zeros((width, width)), np.zeros(width), np.zeros(width)
    # Centred on the first rows, the sums below lose no digits to a common offset.
    offset = features[:BLOCK_ROWS].mean(axis=0, dtype=np.float64)
    pull = curvature * at.predictions + at.residual
    for block in row_blocks(len(features)):
        rows = features[block] - offset
        weighted = curvature[block, None] * rows
        products += rows.T @ weighted
        sums += weighted.sum(axis=0)
        pulls += pull[block] @ rows
    total = float(curvature.sum())
    products -= np.outer(sums, sums) / total
    pulls -= sums * (float(pull.sum()) / total)
    size = float(np.sqrt(np.diag(products).mean()))
    if not size:
        return np.zeros_like(at.weights)
    scaled = solve_lasso(
        products / size**2, pulls / size, problem.penalty / size, at.weights * size, tolerance
    )
    return scaled / size


def _lasso(
    design: FloatArray, response: FloatArray, penalty: float, start: FloatArray, tolerance: float
) -> FloatArray:
    """Minimiser of ½‖response - design·w‖² + penalty·‖w‖₁, on columns of comparable size."""
    size = float(np.sqrt(np.einsum("ij,ij->j", design, design).mean()))
    if not size:
        return np.zeros_like(start)
    scaled = design / size
    return (
        solve_lasso(scaled.T @ scaled, scaled.T @ response, penalty / size, start * size, tolerance)
        / size
    )
