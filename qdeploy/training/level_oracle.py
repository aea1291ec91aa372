"""Pricing of neurons whose cost is their size: large |uᵀGv| / (‖u‖‖v‖) over weights of few levels.

For given v the best u is found exactly: at the optimum u is c·Gv rounded to the nearest level, for
some c > 0, and only finitely many c differ. Alternating that, from rounded eigenvectors of G,
combinations of them, random weights and given patterns, never lowers the value. Heuristic as a
whole; what it cannot find is the business of the bound.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.oracle import Columns
from qdeploy.training.rounding import distinct

__all__ = ["LevelOracle", "best_levels"]

FloatArray = NDArray[np.float64]
LevelMatrix = NDArray[np.int8]

STEPS = 30
NOTICEABLE = 1e-12
EIGENVECTORS = 24
SMALLEST = 1e-200
"""Stands for zero in a denominator."""


class LevelOracle:
    """Local maximisation of d·|uᵀGv| / (‖u‖‖v‖) over an alphabet.

    Args:
        levels: the alphabet, ascending and symmetric about 0.
        generator: source of randomness.
        starts: patterns tried a call.
    """

    def __init__(
        self, levels: tuple[int, ...], generator: np.random.Generator, starts: int = 192
    ) -> None:
        self._levels = levels
        self._generator = generator
        self._starts = starts

    def price(
        self, matrix: FloatArray, patterns: LevelMatrix | None = None, effort: int = 1
    ) -> Columns:
        """Good weights for a symmetric matrix.

        Args:
            matrix: G, float64 (d, d), symmetric.
            patterns: u to start from as well, int8 (k, d).
            effort: multiplies the number of starts.
        """
        count = self._starts * effort // 2
        values, vectors = np.linalg.eigh(matrix)
        order = np.argsort(-np.abs(values), kind="stable")[: EIGENVECTORS * effort]
        leading = vectors[:, order].T * np.abs(values[order, None])
        mixed = self._generator.standard_normal((count // 2, len(leading))) @ leading
        random = self._generator.standard_normal((count - count // 2, len(matrix)))
        starts = [leading, mixed, random]
        if patterns is not None:
            starts.append(patterns.astype(np.float64))
        return self._ascend(matrix, best_levels(np.vstack(starts), self._levels))

    def _ascend(self, matrix: FloatArray, left: LevelMatrix) -> Columns:
        """The neurons at which best u and best v follow from each other, best first."""
        right = best_levels(left @ matrix, self._levels)
        reached = _values(matrix, left, right)
        moving = np.arange(len(left))
        for _ in range(STEPS):
            left[moving] = best_levels(right[moving] @ matrix, self._levels)
            right[moving] = best_levels(left[moving] @ matrix, self._levels)
            after = _values(matrix, left[moving], right[moving])
            higher = after > reached[moving] * (1 + NOTICEABLE)
            reached[moving] = after
            moving = moving[higher]
            if not moving.size:
                break
        left, right, _ = distinct(_primitive(left), _primitive(right))
        values = _values(matrix, left, right)
        order = np.argsort(-values, kind="stable")
        return Columns(left[order], right[order], values[order])


def best_levels(images: FloatArray, levels: tuple[int, ...]) -> LevelMatrix:
    """The u over an alphabet that maximises uᵀg / ‖u‖, for each row g of `images`, int8 (k, d).

    With c growing, the entries of c·|g| pass the midpoints of neighbouring levels one after the
    other; the value after each is a quotient of running sums. A row of zeros gives ones.
    """
    upper = [level for level in levels if level >= 0]
    sizes = np.abs(images)
    rows, dimension = sizes.shape
    low = upper[0]
    steps = list(pairwise(upper))
    signs = np.where(images < 0, -1, 1).astype(np.int8)
    if not steps:
        return signs * np.int8(low)
    passes = np.concatenate([(a + b) / 2 / np.maximum(sizes, SMALLEST) for a, b in steps], axis=1)
    order = np.argsort(passes, axis=1, kind="stable")
    rises = np.concatenate([(b - a) * sizes for a, b in steps], axis=1)
    growth = np.repeat([float(b * b - a * a) for a, b in steps], dimension)
    start = low * sizes.sum(axis=1, keepdims=True)
    reached = start + np.cumsum(np.take_along_axis(rises, order, axis=1), axis=1)
    squares = low * low * dimension + np.cumsum(growth[order], axis=1)
    values = np.hstack(
        [start / max(low * np.sqrt(dimension), SMALLEST), reached / np.sqrt(squares)]
    )
    taken = values.argmax(axis=1)
    counts = np.zeros((rows, passes.shape[1]), dtype=np.int8)
    np.put_along_axis(counts, order, (np.arange(passes.shape[1]) < taken[:, None]), axis=1)
    places = counts.reshape(rows, len(steps), dimension).sum(axis=1)
    chosen = np.array(upper, dtype=np.int8)[places] * signs
    chosen[~chosen.any(axis=1)] = 1
    return chosen


def _values(matrix: FloatArray, left: LevelMatrix, right: LevelMatrix) -> FloatArray:
    """d·|uᵀGv| / (‖u‖‖v‖), (k,)."""
    first, second = left.astype(np.float64), right.astype(np.float64)
    products = np.abs(np.einsum("kd,kd->k", first @ matrix, second))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    values: FloatArray = products * (matrix.shape[0] / norms)
    return values


def _primitive(weights: LevelMatrix) -> LevelMatrix:
    """Each row divided by its greatest common divisor, which leaves the normalised neuron as it is.

    Levels are 0, ±1 or all the odd numbers up to the largest: quotients are levels again.
    """
    divisors = np.gcd.reduce(weights.astype(np.int64), axis=1)
    return (weights // divisors[:, None]).astype(np.int8)
