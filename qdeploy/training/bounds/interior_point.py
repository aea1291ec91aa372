"""The semidefinite relaxation of the norm, solved by a primal-dual interior-point method.

    max ⟨G, P - N⟩  over P, N ⪰ 0, diag(P + N) = 1      =      min Σz  over Diag(z) ⪰ ±G

It lies between the norm and 1.783 times the norm. The method is that of Helmberg, Rendl, Vanderbei
and Wolkowicz (SIAM J. Optim. 6, 1996) for a maximum-cut relaxation, with two blocks: each of about
fifteen steps costs a few dense factorisations of size d. Floating point: nothing here is a proof.
"""

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack

from qdeploy.progress import Progress, ProgressEvent, silent

__all__ = [
    "DominatingDiagonal",
    "SemidefiniteNorm",
    "dominating_diagonal",
    "semidefinite_norm",
    "unit_vectors",
]

FloatArray = NDArray[np.float64]

LARGEST_STEPS = 100
BACK_OFF = 0.95
"""Part of the way to the boundary of the cone that a step goes."""
SHORTEST_STEP = 1e-6


@dataclass(frozen=True, eq=False)
class SemidefiniteNorm:
    """A primal and a dual solution, feasible to rounding.

    Attributes:
        value: ⟨G, P - N⟩, at most the relaxation's optimum.
        multipliers: z, float64 (d,); Σz is at least the optimum, and Diag(z) ⪰ ±G.
        positive: P, float64 (d, d).
        negative: N, float64 (d, d).
    """

    value: float
    multipliers: FloatArray
    positive: FloatArray
    negative: FloatArray

    @property
    def bound(self) -> float:
        """Σz."""
        return float(self.multipliers.sum())

    @cached_property
    def vectors(self) -> tuple[FloatArray, FloatArray]:
        """Unit rows left, right, float64 (d, k), with left·rightᵀ = P - N."""
        return unit_vectors(self.positive, self.negative)


def unit_vectors(positive: FloatArray, negative: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Factors of P - N: left = [A | B], right = [A | -B], P = AAᵀ, N = BBᵀ, rows normalised.

    Args:
        positive: P, float64 (d, d), semidefinite up to rounding.
        negative: N, float64 (d, d), semidefinite up to rounding; P + N has a positive diagonal.
    """
    factors = []
    for block in (positive, negative):
        values, vectors = np.linalg.eigh((block + block.T) / 2)
        kept = values > 1e-12 * max(float(values[-1]), np.finfo(np.float64).tiny)
        factors.append(vectors[:, kept] * np.sqrt(values[kept]))
    norms = np.sqrt(sum((f * f).sum(axis=1) for f in factors))[:, None]
    first, second = (f / norms for f in factors)
    return np.hstack([first, second]), np.hstack([first, -second])


def semidefinite_norm(
    matrix: FloatArray,
    *,
    tolerance: float = 1e-7,
    time_limit: float | None = None,
    progress: Progress = silent,
) -> SemidefiniteNorm:
    """Solve the relaxation of the norm.

    Args:
        matrix: G, float64 (d, d), symmetric.
        tolerance: relative gap between the primal and the dual value to stop at.
        time_limit: seconds, or None; the solution at that moment is feasible all the same.
        progress: told of the gap.
    """
    solved = dominating_diagonal(
        (matrix, -matrix), tolerance=tolerance, time_limit=time_limit, progress=progress
    )
    positive, negative = solved.duals
    return SemidefiniteNorm(
        _inner(matrix, positive - negative), solved.diagonal, positive, negative
    )


@dataclass(frozen=True, eq=False)
class DominatingDiagonal:
    """A diagonal above two matrices, and the dual blocks.

    Attributes:
        diagonal: z, float64 (d,); Diag(z) - M is positive definite on the rows of each block.
        duals: X, float64 (d, d) each, zero outside the block; their diagonals sum to one.
    """

    diagonal: FloatArray
    duals: tuple[FloatArray, FloatArray]


def dominating_diagonal(
    matrices: tuple[FloatArray, FloatArray],
    rows: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None,
    *,
    tolerance: float = 1e-7,
    time_limit: float | None = None,
    progress: Progress = silent,
) -> DominatingDiagonal:
    """The smallest Σz with Diag(z) ⪰ M on the given rows, for two matrices M at once.

    Args:
        matrices: two symmetric matrices M, float64 (d, d).
        rows: rows (and columns) on which each of them counts, ascending; every index is in one of
            them at least. All rows by default.
        tolerance: relative gap between the primal and the dual value to stop at.
        time_limit: seconds, or None; the solution at that moment is feasible all the same.
        progress: told of the gap.
    """
    dimension = matrices[0].shape[0]
    started = time.monotonic()
    every = np.arange(dimension)
    places = (every, every) if rows is None else rows
    blocks = [m[np.ix_(p, p)] for m, p in zip(matrices, places, strict=True)]
    row_sums = np.zeros(dimension)
    shares = np.zeros(dimension)
    for block, place in zip(blocks, places, strict=True):
        row_sums[place] = np.maximum(row_sums[place], np.abs(block).sum(axis=1))
        shares[place] += 1
    duals = [np.diag(1 / shares[place]) for place in places]
    unit = float(row_sums.mean())

    def whole() -> tuple[FloatArray, FloatArray]:
        full = [np.zeros((dimension, dimension)) for _ in places]
        for target, place, dual in zip(full, places, duals, strict=True):
            target[np.ix_(place, place)] = dual
        return full[0], full[1]

    if unit == 0.0:
        return DominatingDiagonal(np.zeros(dimension), whole())
    blocks = [block / unit for block in blocks]
    diagonal = 1.1 * row_sums / unit + 0.1

    def rest() -> list[FloatArray]:
        return [np.diag(diagonal[p]) - b for p, b in zip(places, blocks, strict=True)]

    slacks = rest()
    gap = sum(_inner(x, s) for x, s in zip(duals, slacks, strict=True))
    centring = gap / (4 * dimension)
    for step in range(LARGEST_STEPS):
        relative = gap / np.abs(diagonal).sum()
        progress(ProgressEvent("semidefinite bound", step, None, {"gap": float(relative)}))
        if relative <= tolerance:
            break
        if time_limit is not None and time.monotonic() - started > time_limit:
            break
        inverses = [_inverse(slack) for slack in slacks]
        system = np.zeros((dimension, dimension))
        right_side = -np.ones(dimension)
        for inverse, dual, place in zip(inverses, duals, places, strict=True):
            system[np.ix_(place, place)] += inverse * dual
            right_side[place] += centring * np.diag(inverse)
        factor, failed = lapack.dpotrf(system, lower=1)
        if failed:
            break
        change = cho_solve((factor, True), right_side)
        moves = []
        for dual, inverse, place in zip(duals, inverses, places, strict=True):
            move = centring * inverse - dual - (inverse * change[place]) @ dual
            moves.append((move + move.T) / 2)
        primal_step = _step_inside(duals, moves)
        dual_step = _step_inside(slacks, [np.diag(change[place]) for place in places])
        if max(primal_step, dual_step) < SHORTEST_STEP:
            break
        duals = [x + primal_step * move for x, move in zip(duals, moves, strict=True)]
        diagonal = diagonal + dual_step * change
        slacks = rest()
        gap = sum(_inner(x, s) for x, s in zip(duals, slacks, strict=True))
        centring = gap / (4 * dimension)
        if primal_step + dual_step > 1.8:
            centring /= 4
    return DominatingDiagonal(diagonal * unit, whole())


def _inner(first: FloatArray, second: FloatArray) -> float:
    return float(np.vdot(first, second))


def _inverse(definite: FloatArray) -> FloatArray:
    """Inverse of a positive definite matrix."""
    factor, _ = lapack.dpotrf(definite, lower=1)
    inverse, _ = lapack.dpotri(factor, lower=1)
    lower = np.tril(inverse)
    full: FloatArray = lower + np.tril(inverse, -1).T
    return full


def _definite(matrix: FloatArray) -> bool:
    return bool(lapack.dpotrf(matrix, lower=1)[1] == 0)


def _step_inside(points: list[FloatArray], moves: list[FloatArray]) -> float:
    """A step up to 1 that leaves every point positive definite, most of the way to the boundary."""
    step = 1.0
    for point, move in zip(points, moves, strict=True):
        while not _definite(point + step * move):
            step *= 0.8
            if step < SHORTEST_STEP:
                return 0.0
    return step if step == 1.0 else BACK_OFF * step
