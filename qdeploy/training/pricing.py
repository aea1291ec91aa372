"""The oracle that prices neurons of a family."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.level_oracle import LevelOracle
from qdeploy.training.losses import FloatArray
from qdeploy.training.neurons import LevelMatrix, NeuronFamily
from qdeploy.training.oracle import Columns, NormOracle

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
    if family.by_size:
        return LevelOracle(family.levels, generator, starts)
    signs = NormOracle(dimension, generator, starts)
    return signs if family.largest == 1 else _Corners(signs, family.largest)


class _Corners:
    """Signs times the largest level: where the cost is L², no other weights are worth more."""

    def __init__(self, signs: NormOracle, largest: int) -> None:
        self._signs = signs
        self._largest = np.int8(largest)

    def price(
        self, matrix: FloatArray, patterns: NDArray[np.int8] | None = None, effort: int = 1
    ) -> Columns:
        """See `Oracle.price`."""
        started = None if patterns is None else np.where(patterns < 0, -1, 1).astype(np.int8)
        found = self._signs.price(matrix, started, effort)
        return Columns(found.left * self._largest, found.right * self._largest, found.values)
