"""The oracle that prices neurons of a family."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.form_oracle import FormOracle
from qdeploy.training.level_oracle import LevelOracle
from qdeploy.training.losses import FloatArray
from qdeploy.training.neurons import LevelMatrix, NeuronFamily
from qdeploy.training.oracle import Columns, NormOracle
from qdeploy.training.rounding import signs

__all__ = ["Oracle", "oracle_for"]


class Oracle(Protocol):
    """Finds neurons with a large |uᵀGv| / s, s their size."""

    def price(
        self, matrix: FloatArray, patterns: LevelMatrix | None = None, effort: int = 1
    ) -> Columns:
        """Good neurons for a symmetric matrix, best first.

        Args:
            matrix: G, float64 (d, d), symmetric.
            patterns: u to start from as well, int8 (k, d).
            effort: multiplies the number of starts.
        """


def oracle_for(
    family: NeuronFamily, dimension: int, generator: np.random.Generator, starts: int = 192
) -> Oracle:
    """The oracle of a family.

    Args:
        family: the family.
        dimension: d.
        generator: source of randomness.
        starts: patterns tried a call.
    """
    if family.activation is not None:
        size = family.activation.form_size(dimension)
        return _OneSum(FormOracle(size, generator, starts), dimension)
    if family.by_size:
        return LevelOracle(family.levels, generator, starts)
    oracle = NormOracle(dimension, generator, starts)
    return oracle if family.largest == 1 else _Corners(oracle, family)


class _OneSum:
    """Neurons of one sum: signs of a quadratic form, whose last one stands for its linear part."""

    def __init__(self, oracle: FormOracle, dimension: int) -> None:
        self._oracle = oracle
        self._dimension = dimension

    def price(
        self, matrix: FloatArray, patterns: NDArray[np.int8] | None = None, effort: int = 1
    ) -> Columns:
        """See `Oracle.price`; right is left."""
        dimension = self._dimension
        if patterns is not None:
            ones = np.ones((len(patterns), len(matrix) - dimension), dtype=np.int8)
            patterns = np.hstack([patterns, ones])
        found, values = self._oracle.price(matrix, patterns, effort)
        left = found[:, :dimension]
        return Columns(left, left, np.abs(values))


class _Corners:
    """Signs times the largest level: where the cost is L², no other weights are worth more."""

    def __init__(self, oracle: NormOracle, family: NeuronFamily) -> None:
        self._oracle = oracle
        self._family = family

    def price(
        self, matrix: FloatArray, patterns: NDArray[np.int8] | None = None, effort: int = 1
    ) -> Columns:
        """See `Oracle.price`."""
        started = None if patterns is None else signs(patterns.astype(np.float64))
        found = self._oracle.price(matrix, started, effort)
        left, right = (self._family.corners(side) for side in (found.left, found.right))
        return Columns(left, right, found.values)
