"""The optimum over real weights under the size penalty: a nuclear norm.

With u and v real, Σ|α_j|‖u_j‖‖v_j‖ is least at Z = Σ α_j u_j v_jᵀ when the neurons are its singular
vectors, so that the problem is convex:

    min over Z, b   L((x̂ᵢᵀ Z x̂ᵢ)_i + b, y) + β ‖Z‖_*        β = λ/d

and is solved over Z = AAᵀ - BBᵀ by L-BFGS, where ‖Z‖_* is the least ‖A‖² + ‖B‖² (squared Frobenius
norms). Its residual r makes the largest |eigenvalue| of G(r) equal to β, which the dual asks.
"""

import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["RealOptimum", "solve_real"]

WIDTHS = (0.3, 0.1, 0.03, 0.01)
"""Widths to which kinks are smoothed, one after the other; without kinks there is one round."""
ROUNDS = 12
STEPS = 400
START = 1e-2
MEMORY = 20


@dataclass(frozen=True, eq=False)
class RealOptimum:
    """What real weights reach, approximately.

    Attributes:
        residual: r, float64 (n,), in the domain of the loss.
        vectors: singular vectors of Z times the root of their value, float64 (k, d).
        objective: of the smoothed loss.
        bound: what r proves in floating point.
    """

    residual: FloatArray
    vectors: FloatArray
    objective: float
    bound: float


def solve_real(
    problem: TrainingProblem,
    generator: np.random.Generator,
    *,
    tolerance: float = 1e-5,
    deadline: float = np.inf,
) -> RealOptimum:
    """Minimise over real weights.

    Args:
        problem: the problem, λ = β·d.
        generator: of the start.
        tolerance: relative gap at which to stop.
        deadline: `time.monotonic()` at which to stop.
    """
    inputs, targets = problem.inputs, problem.targets
    dimension = problem.dimension
    beta = problem.penalty / dimension
    rank = min(dimension, int(np.ceil(np.sqrt(2 * problem.samples))) + 1)
    scale = START / float(np.sqrt((inputs**2).sum(axis=1).mean() * rank) + 1e-12)
    point = scale * generator.standard_normal(2 * dimension * rank)
    best: RealOptimum | None = None
    for width in WIDTHS if problem.loss.kinked else (1.0,):
        loss = problem.loss.smoothed(width)

        def value(flat: FloatArray, loss=loss) -> tuple[float, FloatArray]:  # type: ignore[no-untyped-def]
            factors = flat.reshape(2, dimension, rank)
            images = [inputs @ factor for factor in factors]
            linear = (images[0] ** 2).sum(axis=1) - (images[1] ** 2).sum(axis=1)
            predictions = linear + loss.best_intercept(linear, targets)
            residual = loss.residual(predictions, targets)
            slopes = [
                2 * beta * factor - sign * 2 * (inputs.T @ (residual[:, None] * image))
                for factor, image, sign in zip(factors, images, (1, -1), strict=True)
            ]
            total = loss.value(predictions, targets) + beta * float(flat @ flat)
            return total, np.stack(slopes).ravel()

        for _ in range(ROUNDS):
            options = {"maxiter": STEPS, "maxcor": MEMORY, "ftol": 1e-14, "gtol": 1e-12}
            found = minimize(value, point, jac=True, method="L-BFGS-B", options=options)
            moved = float(np.abs(found.x - point).max())
            point = found.x
            state = _state(problem, loss, point.reshape(2, dimension, rank), beta)
            if best is None or state.bound > best.bound:
                best = state
            done = state.objective - state.bound <= tolerance * abs(state.objective)
            if done or not moved or time.monotonic() > deadline:
                break
            # A column that is zero is a stationary point of its own; a little noise leaves it.
            size = float(np.abs(point).max())
            point = point + 1e-5 * size * generator.standard_normal(point.size)
    assert best is not None
    return best


def _state(problem: TrainingProblem, loss, factors: FloatArray, beta: float) -> RealOptimum:  # type: ignore[no-untyped-def]
    matrix = factors[0] @ factors[0].T - factors[1] @ factors[1].T
    values, vectors = np.linalg.eigh(matrix)
    linear = np.einsum("ij,ij->i", problem.inputs @ matrix, problem.inputs)
    predictions = linear + loss.best_intercept(linear, problem.targets)
    residual = loss.residual(predictions, problem.targets)
    radius = float(np.abs(np.linalg.eigvalsh(problem.matrix(residual))).max())
    scaled = min(1.0, beta / max(radius, np.finfo(np.float64).tiny)) * residual
    used = np.abs(values) > 1e-6 * max(float(np.abs(values).max()), np.finfo(np.float64).tiny)
    return RealOptimum(
        residual=residual,
        vectors=(vectors[:, used] * np.sqrt(np.abs(values[used]))).T,
        objective=loss.value(predictions, problem.targets) + beta * float(np.abs(values).sum()),
        bound=loss.dual_value(scaled, problem.targets),
    )
