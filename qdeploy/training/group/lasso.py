"""Group lasso on a Gram matrix: rows of a readout that all outputs share, by projected Newton.

    min over A (m, K)   ½ tr AᵀQA - tr CᵀA + λ Σ_j ‖a_j‖₂

With ‖a‖ = min over η ≥ 0 of ½(‖a‖²/η + η) (Bach, Jenatton, Mairal & Obozinski, Optimization with
sparsity-inducing penalties, 2012) and A solved for, what is left is smooth and convex in m numbers
η ≥ 0, whatever K is. Its Hessian is known in closed form; bounds by Bertsekas' projection (1982).
"""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

__all__ = ["solve_group_lasso"]

FloatArray = NDArray[np.float64]

STEPS = 200
RIDGE = 1e-10
"""Share of the mean diagonal added to the Hessian, whose dependent columns are singular."""
ENTERING = 60
"""Rows that may leave zero in one step."""
SHORTEST_STEP = 2.0**-30
DESCENT = 1e-4
"""Share of the decrease that the slope promises which a step must reach (Armijo)."""


def solve_group_lasso(
    gram: FloatArray,
    correlation: FloatArray,
    penalty: float,
    start: FloatArray,
    tolerance: float = 1e-9,
) -> FloatArray:
    """Minimiser A (m, K), or the best point found before progress ended.

    Args:
        gram: Q, positive semidefinite (m, m).
        correlation: C, (m, K).
        penalty: λ > 0.
        start: point to start from, (m, K).
        tolerance: decrease of the objective, as a share of its size, at which to stop.
    """
    sizes = np.linalg.norm(start, axis=1)
    value, weights, slopes = _at(gram, correlation, penalty, sizes)
    for _ in range(STEPS):
        # d/dη_j of the value; ‖slope_j‖ = λ where η_j is free.
        gradient = penalty / 2 * (1 - (slopes**2).sum(axis=1) / penalty**2)
        free = np.flatnonzero((sizes > 0) | (gradient < 0))
        entering = free[sizes[free] == 0]
        if entering.size > ENTERING:
            kept = entering[np.argsort(gradient[entering], kind="stable")[:ENTERING]]
            free = np.union1d(free[sizes[free] > 0], kept)
        # Rows that one step would push below zero are set to zero first.
        free = free[(sizes[free] > 1e-9 * sizes.max(initial=0.0)) | (gradient[free] <= 0)]
        if not free.size:
            break
        move = np.where(sizes > 0, -sizes, 0.0)
        move[free] = _newton(gram, penalty, sizes, slopes, gradient, free)
        promised = -float(gradient @ move)
        if promised <= tolerance * abs(value):
            break
        step = 1.0
        while step > SHORTEST_STEP:
            trial = np.maximum(sizes + step * move, 0.0)
            found = _at(gram, correlation, penalty, trial)
            if found[0] <= value + DESCENT * float(gradient @ (trial - sizes)):
                break
            step /= 2
        else:
            break
        sizes = trial
        value, weights, slopes = found
    return weights


def _at(
    gram: FloatArray, correlation: FloatArray, penalty: float, sizes: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Value at η, the best A (m, K) for it, and C - QA (m, K)."""
    used = np.flatnonzero(sizes)
    weights = np.zeros_like(correlation)
    if used.size:
        root = np.sqrt(sizes[used])
        factor = _factor(gram, penalty, used, root)
        right_side = root[:, None] * correlation[used]
        weights[used] = root[:, None] * scipy.linalg.cho_solve(factor, right_side)
    value = penalty / 2 * float(sizes.sum()) - float(np.vdot(correlation, weights)) / 2
    slopes: FloatArray = correlation - gram[:, used] @ weights[used]
    return value, weights, slopes


def _factor(
    gram: FloatArray, penalty: float, used: NDArray[np.intp], root: FloatArray
) -> tuple[FloatArray, bool]:
    """Factor of H Q H + λI on the rows in use, H = Diag(√η)."""
    system = root[:, None] * gram[np.ix_(used, used)] * root
    system[np.diag_indices_from(system)] += penalty
    factor: tuple[FloatArray, bool] = scipy.linalg.cho_factor(system, lower=True)
    return factor


def _newton(
    gram: FloatArray,
    penalty: float,
    sizes: FloatArray,
    slopes: FloatArray,
    gradient: FloatArray,
    free: NDArray[np.intp],
) -> FloatArray:
    """Newton's step of the free η; the Hessian is (Q⁻¹ + Diag(η)/λ)⁻¹ ∘ SSᵀ / λ², S = slopes."""
    used = np.flatnonzero(sizes)
    rest = gram[np.ix_(free, free)].copy()
    if used.size:
        root = np.sqrt(sizes[used])
        factor = _factor(gram, penalty, used, root)
        across = scipy.linalg.solve_triangular(
            factor[0], root[:, None] * gram[np.ix_(used, free)], lower=True
        )
        rest -= across.T @ across
    hessian = rest * (slopes[free] @ slopes[free].T) / penalty**2
    hessian[np.diag_indices_from(hessian)] += RIDGE * float(np.trace(hessian)) / free.size + 1e-300
    step: FloatArray = -scipy.linalg.lstsq(hessian, gradient[free], lapack_driver="gelsy")[0]
    return step
