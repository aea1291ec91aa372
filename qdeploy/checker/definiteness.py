"""Proof in integers that Diag(z) + G is positive semidefinite.

A floating-point Cholesky factor is only a hint. It is scaled by 2^e and rounded to integers L, and
what is left, R = 4^e (Diag(z) + G) - L Lᵀ, is computed exactly. LLᵀ is semidefinite whatever L is;
R is semidefinite because every diagonal entry is at least the sum of the magnitudes in its row
(Gershgorin). No rounding error can make an indefinite matrix pass, a hint that is not good enough
makes a semidefinite one fail: `required_margin` says how far from singular is far enough.
"""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_certainly_semidefinite", "required_margin"]

EXACT_BITS = 53
"""Integers of magnitude up to 2⁵³ are float64 values, so float64 sums of them are exact."""

BLOCK_ENTRIES = 1 << 18
"""Python integers held at a time."""


def is_certainly_semidefinite(diagonal: list[int], gram: NDArray[np.int64], sign: int) -> bool:
    """Whether Diag(z) + sign·G is proven positive semidefinite.

    Args:
        diagonal: z, d Python integers.
        gram: G, symmetric int64 (d, d).
        sign: +1 or -1.

    Returns:
        True only with a proof in exact integer arithmetic.
    """
    whole = [z + sign * g for z, g in zip(diagonal, np.diag(gram).tolist(), strict=True)]
    rest = sign * gram
    np.fill_diagonal(rest, 0)
    used = np.array([value != 0 for value in whole])
    # A zero on the diagonal of a semidefinite matrix means a row of zeros.
    if min(whole) < 0 or rest[~used].any():
        return False
    entries = [value for value in whole if value]
    if not entries:
        return True
    rest = rest[np.ix_(used, used)]
    if _remainder_dominates(entries, rest, np.zeros(rest.shape), 0, 0):
        return True

    half = _limb_bits(len(entries))
    exponent = _exponent(entries, half)
    shifted = rest * 4.0**exponent
    np.fill_diagonal(
        shifted,
        np.array([float(value) for value in entries]) * 4.0**exponent - _shift(entries, exponent),
    )
    try:
        hint = np.rint(np.linalg.cholesky(shifted))
    except np.linalg.LinAlgError:
        return False
    return _remainder_dominates(entries, rest, hint, exponent, half)


def required_margin(multipliers: list[int]) -> float:
    """Smallest eigenvalue of Diag(z) ± G that surely suffices for a proof.

    With M_ii ≤ 2 z_i this is about 2^(4-2b) d^1.5 max z with b = ⌊(53 - ⌈log₂ d⌉)/2⌋: 1e-11 of the
    largest multiplier at d = 31, 1e-7 at d = 800.

    Args:
        multipliers: z, d Python integers.
    """
    entries = [2 * value for value in multipliers if value > 0]
    if not entries:
        return 0.0
    exponent = _exponent(entries, _limb_bits(len(entries)))
    # Twice the shift: once for the rounding of L, once for that of the factorisation.
    return 2 * float(_shift(entries, exponent).max()) / 4.0**exponent


def _limb_bits(size: int) -> int:
    """Bits b for which a dot product of `size` pairs of b-bit integers stays within 2⁵³."""
    return (EXACT_BITS - (size - 1).bit_length()) // 2


def _exponent(entries: list[int], half: int) -> int:
    """Largest e for which 2^e times a Cholesky factor stays below 2^(2·half - 1)."""
    return max(2 * half - 1 - (max(entries).bit_length() + 1) // 2, 0)


def _shift(entries: list[int], exponent: int) -> NDArray[np.float64]:
    """What to take off the diagonal of 4^e M before factoring it, so that R is dominant.

    Rounding moves each entry of L by at most 1/2, hence (LLᵀ)_ij by at most
    (‖L_i‖₁ + ‖L_j‖₁)/2 + d/4 with ‖L_i‖₁ ≤ √d ℓ_i, ℓ_i = 2^e √M_ii; the factorisation errs by
    about d·2⁻⁵² ℓ_i ℓ_j. The shift is the row sum of both. A guess too low only fails the proof.
    """
    size = len(entries)
    lengths = np.sqrt([float(value) for value in entries]) * 2.0**exponent
    total = lengths.sum()
    rounding = math.sqrt(size) / 2 * (size * lengths + total) + size * size / 4
    return rounding + (size + 2) * 2.0**-52 * lengths * total


def _remainder_dominates(
    entries: list[int],
    rest: NDArray[np.int64],
    factor: NDArray[np.float64],
    exponent: int,
    half: int,
) -> bool:
    """Whether R = 4^e M - L Lᵀ has R_ii ≥ Σ_{j≠i} |R_ij| in every row, in exact arithmetic.

    Args:
        entries: diagonal of M.
        rest: M with zeros on the diagonal, int64 (d, d), d = len(entries).
        factor: L, float64 (d, d), integer values; any others are refused.
        exponent: e ≥ 0.
        half: b; L is split as high·2^b + low with |high|, |low| ≤ 2^b.
    """
    high = np.rint(factor / 2.0**half)
    low = factor - high * 2.0**half
    limit = 2.0**half
    # Each product below then sums d integers of at most 4^b, so it stays within 2⁵³ in any order.
    if not (
        (np.abs(high) <= limit).all()
        and (np.abs(low) <= limit / 2).all()
        and (low == np.rint(low)).all()
    ):
        return False
    high_high = high @ high.T
    crossed = high @ low.T
    crossed = crossed + crossed.T
    low_low = low @ low.T

    size = len(entries)
    rows = max(BLOCK_ENTRIES // size, 1)
    for first in range(0, size, rows):
        block = slice(first, first + rows)
        remainder = (
            (_exact(rest[block]) << 2 * exponent)
            - (_exact(high_high[block]) << 2 * half)
            - (_exact(crossed[block]) << half)
            - _exact(low_low[block])
        )
        for row, values in enumerate(remainder.tolist(), start=first):
            own = values[row] + (entries[row] << 2 * exponent)
            if own < sum(map(abs, values)) - abs(values[row]):
                return False
    return True


def _exact(values: NDArray[np.generic]) -> NDArray[np.object_]:
    """Python integers of an integer-valued array."""
    return values.astype(np.int64).astype(object)
