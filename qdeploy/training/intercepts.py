"""The best intercept of a loss: the root of Σ r_i(b), which never rises with b."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["jump_root", "piecewise_root"]

FloatArray = NDArray[np.float64]


def piecewise_root(kinks: FloatArray, slope: Callable[[float], float]) -> float:
    """Root of a continuous slope that is linear between its kinks, the middle of several.

    Args:
        kinks: where the slope may bend, (k,), at least one; it is constant outside them.
        slope: Σ r_i at an intercept.
    """
    ordered = np.unique(kinks)
    last_above = _last(ordered, lambda b: slope(b) > 0)
    first_below = _last(ordered, lambda b: slope(b) >= 0) + 1
    if first_below > last_above + 1:
        # Zero at one kink or more.
        return float((ordered[last_above + 1] + ordered[first_below - 1]) / 2)
    if last_above < 0 or first_below == ordered.size:
        return float(ordered[0 if last_above < 0 else -1])
    low, high = float(ordered[last_above]), float(ordered[first_below])
    above, below = slope(low), slope(high)
    return low + above / (above - below) * (high - low)


def jump_root(kinks: FloatArray, slope: Callable[[float], float]) -> float:
    """Where a slope that is constant between its kinks changes sign, the middle if it is zero.

    Args:
        kinks: where the slope may jump, (k,), at least one.
        slope: Σ r_i at an intercept that is no kink.
    """
    ordered = np.unique(kinks)
    middles = (ordered[1:] + ordered[:-1]) / 2
    last_above = _last(middles, lambda b: slope(b) > 0)
    last_zero = _last(middles, lambda b: slope(b) >= 0)
    return float((ordered[last_above + 1] + ordered[last_zero + 1]) / 2)


def _last(points: FloatArray, holds: Callable[[float], bool]) -> int:
    """Index of the last of some points where a condition holds that fails for good; -1 if none."""
    low, high = -1, points.size
    while high - low > 1:
        middle = (low + high) // 2
        if holds(float(points[middle])):
            low = middle
        else:
            high = middle
    return low
