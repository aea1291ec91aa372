"""Proof in floating point that Diag(z) + G is positive semidefinite for integers z and G.

S. M. Rump's criterion (Verification of positive definiteness, BIT 46, 2006): lower the diagonal a
little; if a floating-point Cholesky factorisation of the result runs to completion, the matrix
itself is positive semidefinite. The constants are derived here, in `lowered_diagonal`.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_proven_semidefinite"]

FloatArray = NDArray[np.float64]
IntegerMatrix = NDArray[np.int64]

UNIT = Fraction(1, 2**53)
"""Relative error of one float64 operation rounded to nearest."""

UNDERFLOW = Fraction(1, 2**900)
"""Far above all that underflow can add: with pivots below 2^63 (so factors below 2^32) a row takes
at most 2d² operations, each off by at most 2^-1022 · 2^32 (2^-1074 with gradual underflow)."""


def is_proven_semidefinite(diagonal: IntegerMatrix, matrix: IntegerMatrix) -> bool:
    """Whether Diag(z) + G is certainly positive semidefinite.

    Rigorous if float64 additions, multiplications, divisions and square roots are rounded to
    nearest, and the linear algebra library forms dot products by them, in any order, with fused
    operations or without (no fast matrix products).

    Args:
        diagonal: z, int64 (d,).
        matrix: G, int64 (d, d), symmetric, entries below 2^62.
    """
    whole = diagonal + np.diag(matrix)
    if (whole < 0).any():
        return False
    rest = matrix.copy()
    np.fill_diagonal(rest, 0)
    # A row of zeros is semidefinite by itself, and has no positive pivot.
    used = (whole > 0) | rest.any(axis=1)
    whole, rest = whole[used], rest[np.ix_(used, used)]
    nearest = rest.astype(np.float64)
    conversion = np.abs(rest - nearest.astype(np.int64)).sum(axis=1)
    lowered = lowered_diagonal(whole, conversion)
    if lowered is None:
        return False
    np.fill_diagonal(nearest, lowered)
    return _factorises(nearest)


def lowered_diagonal(whole: IntegerMatrix, conversion: IntegerMatrix) -> FloatArray | None:
    """The diagonal of the matrix B whose factorisation proves that A is semidefinite.

    If the factorisation of B completes, its factor R has RᵀR = B + Δ with
    |Δ_ij| ≤ γ_k (|Rᵀ||R|)_ij + underflow, γ_k = k·u/(1 - k·u), where k = d + 1 counts the
    operations that an entry passes through (Higham, Accuracy and Stability, theorem 10.3); twice
    that and more is taken here, for libraries that sum in blocks or scale. By Cauchy and Schwarz
    (|Rᵀ||R|)_ij ≤ ‖r_i‖‖r_j‖, and ‖r_i‖² ≤ B_ii / (1 - γ_k); so |Δ_ij| ≤ κ √(B_ii B_jj) with
    κ = γ_k / (1 - γ_k). The matrix √(B_ii B_jj) is at most d·Diag(B_ii), therefore
    B ⪰ -d·κ·Diag(B_ii). Off the diagonal A - B is the rounding of G to float64, at most
    Diag(conversion) by Gershgorin. Hence A ⪰ 0 if for every i, in exact arithmetic,

        A_ii - B_ii ≥ d·κ·B_ii + conversion_i + underflow.

    Args:
        whole: A_ii, int64 (d,), not negative.
        conversion: Σ_j |A_ij - B_ij| over j ≠ i, int64 (d,).

    Returns:
        B_ii > 0, float64 (d,), that satisfy this, or None when there are none.
    """
    dimension = whole.size
    operations = (2 * dimension + 16) * UNIT
    growth = operations / (1 - operations)
    share = dimension * growth / (1 - growth)
    # Twice the share leaves the other half for the rounding of this line itself.
    lowered = whole * (1.0 - 2.0 * float(share)) - 2.0 * conversion
    for entry, below, error in zip(
        whole.tolist(), lowered.tolist(), conversion.tolist(), strict=True
    ):
        exact = Fraction(below)
        if exact <= 0 or entry - exact < share * exact + error + UNDERFLOW:
            return None
    return lowered


def _factorises(matrix: FloatArray) -> bool:
    """Whether the Cholesky factorisation, column by column, meets only positive pivots.

    The columns are written out so that nothing but dot products is left to the library: some
    factor matrices by inverting blocks, which the error bound above does not cover.
    """
    size = matrix.shape[0]
    factor = np.zeros_like(matrix)
    for j in range(size):
        column = matrix[j:, j] - factor[j:, :j] @ factor[j, :j]
        if not column[0] > 0:
            return False
        pivot = np.sqrt(column[0])
        factor[j, j] = pivot
        factor[j + 1 :, j] = column[1:] / pivot
    return True
