"""Pricing: neurons (u, v) with large |uᵀGv|, G the matrix of the master's residual.

Heuristic and fast; what it cannot find is the business of the norm bounds, which prove. Starts
come from the semidefinite relaxation of the norm (hyperplane rounding of its vectors), from random
signs and from given patterns; each is driven to a local optimum by alternating sign ascent, and the
best ones by single flips of u with v following.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.losses import FloatArray
from qdeploy.training.rounding import distinct, hyperplane_signs, sign_ascent, signs, unit_rows

__all__ = ["Columns", "NormOracle"]

SignMatrix = NDArray[np.int8]

RELAXATION_STEPS = 60
FLIPPED = 8


@dataclass(frozen=True, eq=False)
class Columns:
    """Distinct sign pairs with their |uᵀGv|, largest first.

    Attributes:
        left: u, int8 (k, d).
        right: v, int8 (k, d).
        values: float64 (k,).
    """

    left: SignMatrix
    right: SignMatrix
    values: FloatArray


class NormOracle:
    """Local maximisation of |uᵀGv| over signs, with vectors that stay warm between calls.

    Args:
        dimension: d.
        generator: source of randomness.
        starts: sign patterns tried a call.
    """

    def __init__(self, dimension: int, generator: np.random.Generator, starts: int = 192) -> None:
        rank = min(dimension, int(np.ceil(2 * np.sqrt(dimension))) + 1)
        self._generator = generator
        self._starts = starts
        self._right = unit_rows(generator.standard_normal((dimension, rank)))

    def price(
        self, matrix: FloatArray, patterns: SignMatrix | None = None, effort: int = 1
    ) -> Columns:
        """Good sign pairs for a symmetric matrix.

        Args:
            matrix: G, float64 (d, d), symmetric.
            patterns: u to start from as well, int8 (k, d).
            effort: multiplies the number of starts.
        """
        left, right = self._relax(matrix)
        count = self._starts * effort
        rounded, _ = hyperplane_signs(left, right, count // 2, self._generator)
        random = signs(self._generator.standard_normal((count - count // 2, matrix.shape[0])))
        starts = [rounded, random] if patterns is None else [rounded, random, patterns]
        found = _collect(matrix, sign_ascent(matrix, np.vstack(starts)))
        flipped = _flip(matrix, found.left[:FLIPPED].astype(np.float64))
        return _collect(matrix, np.vstack([signs(flipped), found.left]))

    def _relax(self, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Unit vectors that maximise ⟨G, left·rightᵀ⟩ approximately."""
        right = self._right
        for _ in range(RELAXATION_STEPS):
            left = unit_rows(matrix @ right)
            right = unit_rows(matrix @ left)
        self._right = right
        return left, right


def _collect(matrix: FloatArray, left: SignMatrix) -> Columns:
    """Distinct neurons (u, sign(Gu)), best first."""
    u, v, _ = distinct(left, signs(left.astype(np.float64) @ matrix))
    values = np.abs(np.einsum("kd,kd->k", u.astype(np.float64) @ matrix, v.astype(np.float64)))
    order = np.argsort(-values, kind="stable")
    return Columns(u[order], v[order], values[order])


def _flip(matrix: FloatArray, patterns: FloatArray) -> FloatArray:
    """Best single flips of u while ‖Gu‖₁ grows."""
    flipped = patterns.copy()
    for u in flipped:
        image = matrix @ u
        value = np.abs(image).sum()
        while True:
            values = np.abs(image[None, :] - 2 * u[:, None] * matrix).sum(axis=1)
            best = int(values.argmax())
            if values[best] <= value * (1 + 1e-12):
                break
            image = image - 2 * u[best] * matrix[best]
            u[best] = -u[best]
            value = values[best]
    return flipped
