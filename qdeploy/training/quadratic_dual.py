"""What losses with a quadratic dual share:  t·a - ½ t² Σ r_i²/w_i  along the ray through r."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.losses import Loss

__all__ = ["largest_on_ray", "square_above"]

FloatArray = NDArray[np.float64]

UNIT_BITS = 90
"""Quotients r²/w are rounded up to multiples of 2^-90 of the largest of them."""


def square_above(loss: Loss, residual: NDArray[np.int32]) -> Fraction:
    """Σ r_i²/w_i, exactly without weights and a little above with them."""
    squares = [r * r for r in residual.tolist()]
    if loss.weights is None:
        return Fraction(sum(squares))
    pairs = list(zip(squares, loss.weights.tolist(), strict=True))
    largest = max((Fraction(square) / Fraction(weight) for square, weight in pairs), default=0)
    if not largest:
        return Fraction(0)
    exponent = largest.numerator.bit_length() - largest.denominator.bit_length() - UNIT_BITS
    unit = Fraction(2) ** exponent
    # One unit more keeps the sum above that of any checker that rounds more finely.
    return unit * (1 + sum(math.ceil(square / (Fraction(w) * unit)) for square, w in pairs))


def largest_on_ray(slope: Fraction, square: Fraction, largest_step: Fraction) -> Fraction:
    """Largest t·slope - ½t²·square over t in [0, largest_step]."""
    if slope <= 0:
        return Fraction(0)
    step = min(largest_step, slope / square) if square else largest_step
    return step * slope - step * step * square / 2
