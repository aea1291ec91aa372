"""Many rows: matrix products in blocks of rows, in single precision where that is enough.

Inputs are integers of at most 2⁷ times a power of two, so single precision holds them exactly, and
dot products with signs as well up to 2¹⁷ inputs. What is summed over rows is summed in single
precision within a block and in double precision over the blocks. Proofs never come from here.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK_ROWS", "is_large", "matrix_vector", "row_blocks"]

FloatArray = NDArray[np.float64]

BLOCK_ROWS = 4096
LARGE = 2**23
"""Entries of the input matrix from which training works in blocks and in single precision."""


def is_large(rows: int, dimension: int) -> bool:
    """Whether a problem of this size is worked on in blocks."""
    return rows * dimension >= LARGE


def row_blocks(rows: int) -> Iterator[slice]:
    """Slices that cover all rows."""
    for first in range(0, rows, BLOCK_ROWS):
        yield slice(first, min(first + BLOCK_ROWS, rows))


def matrix_vector(matrix: NDArray[np.floating], vector: FloatArray) -> FloatArray:
    """The product matrix·vector, float64 (n,), of a matrix (n, m) in either precision."""
    if matrix.dtype == np.float64:
        product: FloatArray = matrix @ vector
        return product
    used = np.flatnonzero(vector)
    chosen = vector[used]
    result = np.empty(len(matrix))
    for block in row_blocks(len(matrix)):
        result[block] = matrix[block][:, used].astype(np.float64) @ chosen
    return result
