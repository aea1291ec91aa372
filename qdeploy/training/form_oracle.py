"""Pricing of neurons that are a quadratic form of their signs: large |qᵀMq|, q ∈ {±1}^D.

One-flip local search on qᵀMq and on -qᵀMq. Starts: signs of the outermost eigenvectors, hyperplane
rounding of vectors that climb the semidefinite relaxation of either side, random signs, and given
patterns. Heuristic: what it cannot find is the business of the norm bounds.
"""

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.losses import FloatArray
from qdeploy.training.rounding import signs, unit_rows

__all__ = ["FormOracle", "climb"]

SignMatrix = NDArray[np.int8]

RELAXATION_STEPS = 60
EIGENVECTORS = 4
"""Outermost eigenvectors of either side whose signs are tried."""
NEIGHBOURS = 8
"""Of so many of the best, every single flip is a candidate too."""
NOISE = 1e-12
"""Share of the largest gain below which a flip gains nothing but rounding."""


class FormOracle:
    """Local maximisation of |qᵀMq| over signs, with vectors that stay warm between calls.

    Args:
        dimension: D.
        generator: source of randomness.
        starts: sign patterns tried a call.
    """

    def __init__(self, dimension: int, generator: np.random.Generator, starts: int = 192) -> None:
        rank = min(dimension, int(np.ceil(2 * np.sqrt(dimension))) + 1)
        self._generator = generator
        self._starts = starts
        self._vectors = [unit_rows(generator.standard_normal((dimension, rank))) for _ in range(2)]

    def price(
        self, matrix: FloatArray, patterns: SignMatrix | None = None, effort: int = 1
    ) -> tuple[SignMatrix, FloatArray]:
        """Distinct sign vectors with a last sign of +1, int8 (k, D), and qᵀMq, best |·| first.

        Args:
            matrix: M, float64 (D, D), symmetric.
            patterns: q to start from as well, int8 (k, D).
            effort: multiplies the number of starts.
        """
        dimension = len(matrix)
        count = max(self._starts * effort // 4, 1)
        values, eigenvectors = np.linalg.eigh(matrix)
        found = []
        for side, sign in enumerate((1.0, -1.0)):
            outer = eigenvectors[:, -EIGENVECTORS:] if side == 0 else eigenvectors[:, :EIGENVECTORS]
            floor = values[0] if side == 0 else -values[-1]
            vectors = self._relax(side, sign * matrix, max(-float(floor), 0.0))
            normals = self._generator.standard_normal((count, vectors.shape[1]))
            random = self._generator.standard_normal((count, dimension))
            starts = [signs(outer.T), signs(normals @ vectors.T), signs(random)]
            if patterns is not None and len(patterns):
                starts.append(patterns)
            found.append(climb(sign * matrix, np.vstack(starts)))
        best, _ = _distinct(matrix, np.vstack(found))
        near = np.repeat(best[:NEIGHBOURS], dimension, axis=0)
        places = np.tile(np.arange(dimension), len(near) // dimension)
        near[np.arange(len(near)), places] *= -1
        return _distinct(matrix, np.vstack([best, near]))

    def _relax(self, side: int, matrix: FloatArray, shift: float) -> FloatArray:
        """Unit vectors that climb ⟨M, VVᵀ⟩; with the shift M is semidefinite and no step falls."""
        vectors = self._vectors[side]
        for _ in range(RELAXATION_STEPS):
            vectors = unit_rows(matrix @ vectors + shift * vectors)
        self._vectors[side] = vectors
        return vectors


def climb(matrix: FloatArray, starts: SignMatrix) -> SignMatrix:
    """Best single flips of every q while qᵀMq grows.

    Args:
        matrix: M, float64 (D, D), symmetric.
        starts: q, int8 (k, D).
    """
    q = starts.astype(np.float64)
    images = q @ matrix
    diagonal = np.diag(matrix)
    enough = NOISE * float(np.abs(matrix).sum(axis=1).max(initial=0.0))
    moving = np.arange(len(q))
    while moving.size:
        gains = diagonal - q[moving] * images[moving]
        places = gains.argmax(axis=1)
        better = gains[np.arange(moving.size), places] > enough
        moving, places = moving[better], places[better]
        q[moving, places] *= -1
        images[moving] += 2 * q[moving, places][:, None] * matrix[places]
    return signs(q)


def _distinct(matrix: FloatArray, found: SignMatrix) -> tuple[SignMatrix, FloatArray]:
    """One of q and -q each, once, with qᵀMq, largest magnitude first."""
    unique = np.unique(found * found[:, -1:], axis=0)
    floating = unique.astype(np.float64)
    values = ((floating @ matrix) * floating).sum(axis=1)
    order = np.argsort(-np.abs(values), kind="stable")
    return unique[order], values[order]
