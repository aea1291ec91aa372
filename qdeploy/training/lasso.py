"""Lasso on a Gram matrix by an active set with signs, to machine precision.

    min over x   ½ xᵀQx - cᵀx + λ‖x‖₁

Neurons are strongly correlated, so that coordinate descent needs tens of thousands of sweeps. Here
each step solves the equations on the support with its signs fixed and walks to the best point up to
a change of sign (feature-sign search: Lee, Battle, Raina & Ng, NIPS 2006), several entries entering
at a time.
"""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

__all__ = ["solve_lasso"]

FloatArray = NDArray[np.float64]

ENTERING = 12
RIDGE = 1e-12
"""Share of the mean diagonal added to it, so that dependent columns leave a solvable system."""


def solve_lasso(
    gram: FloatArray,
    correlation: FloatArray,
    penalty: float,
    start: FloatArray,
    tolerance: float = 1e-9,
) -> FloatArray:
    """Minimiser (m,), or the best point found before progress ended.

    Args:
        gram: Q, positive semidefinite (m, m).
        correlation: c, (m,).
        penalty: λ > 0.
        start: point to start from, (m,).
        tolerance: an entry at zero may enter when its |gradient| exceeds λ by this share.
    """
    matrix = gram + RIDGE * float(np.trace(gram)) / len(gram) * np.eye(len(gram))
    point = _settle(matrix, correlation, penalty, start.copy(), np.sign(start))
    entering = ENTERING
    for _ in range(20 * len(gram) + 100):
        gradient = matrix @ point - correlation
        excess = np.where(point == 0, np.abs(gradient) - penalty * (1 + tolerance), -1.0)
        candidates = np.argsort(-excess, kind="stable")[:entering]
        candidates = candidates[excess[candidates] > 0]
        if not candidates.size:
            break
        signs = np.sign(point)
        signs[candidates] = -np.sign(gradient[candidates])
        moved = _settle(matrix, correlation, penalty, point, signs)
        if _objective(matrix, correlation, penalty, moved) < _objective(
            matrix, correlation, penalty, point
        ):
            point, entering = moved, ENTERING
        elif entering > 1:
            entering = 1
        else:
            break
    return point


def _objective(matrix: FloatArray, correlation: FloatArray, penalty: float, x: FloatArray) -> float:
    return float(0.5 * x @ (matrix @ x) - correlation @ x + penalty * np.abs(x).sum())


def _settle(
    matrix: FloatArray,
    correlation: FloatArray,
    penalty: float,
    point: FloatArray,
    signs: FloatArray,
) -> FloatArray:
    """Walk to the minimiser over the entries with a sign, dropping those that cross zero."""
    point = point.copy()
    while True:
        support = np.flatnonzero(signs)
        if not support.size:
            return point
        system = matrix[np.ix_(support, support)]
        right_side = correlation[support] - penalty * signs[support]
        try:
            goal = scipy.linalg.cho_solve(
                scipy.linalg.cho_factor(system, check_finite=False), right_side, check_finite=False
            )
        except np.linalg.LinAlgError:
            goal = np.linalg.lstsq(system, right_side, rcond=None)[0]
        here = point[support]
        blocked = (here == 0) & (np.sign(goal) != signs[support])
        if blocked.any():
            signs[support[blocked]] = 0
            continue
        step = goal - here
        crossing = np.flatnonzero((here != 0) & (here * goal <= 0))
        if not crossing.size:
            point[support] = goal
            return point
        point[support] = _best_crossing(system, right_side, penalty, signs[support], here, step)
        signs = np.sign(point)


def _best_crossing(
    system: FloatArray,
    right_side: FloatArray,
    penalty: float,
    signs: FloatArray,
    here: FloatArray,
    step: FloatArray,
) -> FloatArray:
    """Best of the points here + t·step where an entry becomes zero, and of t = 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(here * (here + step) <= 0, -here / step, np.inf)
    times[here == 0] = np.inf
    order = np.argsort(times, kind="stable")
    order = order[times[order] <= 1]
    lengths = np.append(times[order], 1.0)
    points = here + lengths[:, None] * step
    points[np.arange(order.size), order] = 0.0
    # The fixed signs are part of right_side; what crosses zero pays the difference.
    smooth = np.einsum("ti,ti->t", points @ system, points) / 2 - points @ right_side
    values = smooth + penalty * (np.abs(points) - signs * points).sum(axis=1)
    return points[int(values.argmin())]
