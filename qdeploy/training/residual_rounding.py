"""Residuals in integers, on a scale where every sum of the certificate is exact."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["round_centred", "round_signed"]

FloatArray = NDArray[np.float64]

LARGEST_PEAK = 2**22
"""Fine enough that rounding a residual costs a bound less than a millionth."""
LARGEST_TOTAL = 2**38
"""With inputs of at most 2⁷ in magnitude, every entry of Xᵀdiag(r)X stays below 2⁵² (exact even in
floating point) when Σ|r| does not exceed this."""


def round_centred(residual: FloatArray, peak: float = 0.0) -> NDArray[np.int32]:
    """Centre, scale to int32, round, and give the remainder back where it costs least.

    Args:
        residual: float64 (n,).
        peak: what the largest integer stands for, if more than the largest magnitude.
    """
    centred = residual - residual.mean()
    peak = max(float(np.abs(centred).max(initial=0.0)), peak)
    if not peak:
        return np.zeros(residual.shape, dtype=np.int32)
    exact = centred * _integer_scale(peak, len(centred))
    rounded = np.rint(exact).astype(np.int64)
    _take_away(exact, rounded, int(rounded.sum()))
    return rounded.astype(np.int32)


def round_signed(residual: FloatArray, targets: FloatArray, peak: float = 0.0) -> NDArray[np.int32]:
    """Integers with y_i r_i ≥ 0 and sum 0, for targets ±1.

    The heavier class is scaled down to the lighter one, so that no |r_i| grows against the others;
    corrections are made only where y_i r_i stays ≥ 0. `peak` is as in `round_centred`.
    """
    size = np.maximum(targets * residual, 0)
    first, second = targets > 0, targets < 0
    totals = float(size[first].sum()), float(size[second].sum())
    if min(totals) <= 0:
        return np.zeros(residual.shape, dtype=np.int32)
    size = np.where(first, size * totals[1], size * totals[0]) / max(totals)
    exact = size * _integer_scale(max(float(size.max()), peak), len(size))
    rounded = np.rint(exact).astype(np.int64)
    excess = int(rounded[first].sum() - rounded[second].sum())
    heavier = first if excess > 0 else second
    lowered = rounded[heavier]
    _take_away(exact[heavier], lowered, abs(excess), positive_only=True)
    rounded[heavier] = lowered
    return (rounded * np.sign(targets)).astype(np.int32)


def _integer_scale(peak: float, rows: int) -> float:
    """Factor that takes residuals of magnitude at most `peak` to integers for `rows` rows."""
    return min(LARGEST_PEAK, LARGEST_TOTAL // rows - 1) / peak


def _take_away(
    exact: FloatArray, rounded: NDArray[np.int64], excess: int, *, positive_only: bool = False
) -> None:
    """Lower the sum of `rounded` by `excess`, one unit a place, where rounding went up the most.

    Args:
        exact: what was rounded, (n,).
        rounded: its integers, changed in place.
        excess: units to take away; negative to add.
        positive_only: leave zeros alone, so that nothing becomes negative (`excess` ≥ 0 then).
    """
    sign = 1 if excess > 0 else -1
    while excess:
        places = np.flatnonzero(rounded > 0) if positive_only else np.arange(rounded.size)
        order = np.argsort(sign * (exact[places] - rounded[places]), kind="stable")
        moved = places[order[: abs(excess)]]
        rounded[moved] -= sign
        excess -= sign * moved.size
