"""What the two quadratic losses share: their dual value is yᵀr - ½‖r‖² on their domains."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LARGEST_PEAK = 2**22
"""Fine enough that rounding a residual costs a bound less than a millionth."""
LARGEST_TOTAL = 2**38
"""With inputs of at most 2⁷ in magnitude, every entry of Xᵀdiag(r)X stays below 2⁵² (exact even in
floating point) when Σ|r| does not exceed this."""


def dual_value(residual: FloatArray, targets: FloatArray) -> float:
    """yᵀr - ½‖r‖²."""
    return float(targets @ residual - 0.5 * residual @ residual)


def exact_dual(
    residual: NDArray[np.int32], targets: FloatArray, largest_step: Fraction
) -> Fraction:
    """Largest t·yᵀr - ½t²‖r‖² over t in [0, largest_step], exactly."""
    integers = residual.tolist()
    slope = sum(
        (Fraction(y) * r for y, r in zip(targets.tolist(), integers, strict=True)), Fraction(0)
    )
    square = sum(r * r for r in integers)
    if not square or slope <= 0:
        return Fraction(0)
    step = min(largest_step, slope / square)
    return step * slope - step * step * square / 2


def integer_scale(peak: float, rows: int) -> float:
    """Factor that takes residuals of magnitude at most `peak` to integers for `rows` rows."""
    return min(LARGEST_PEAK, LARGEST_TOTAL // rows - 1) / peak


def take_away(
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
