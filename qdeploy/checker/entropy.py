"""The logarithms of the logistic loss, enclosed in integers of 128 binary places.

    ln(1 + e^x)   and   H(θ) = -θ ln θ - (1 - θ) ln(1 - θ)

Every step rounds by less than one unit 2^-128 a term; results are widened by 2^-100, far more.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

__all__ = ["best_multiple", "entropy_below", "softplus_above"]

PLACES = 128
ONE = 1 << PLACES
WIDENED = Fraction(1, 2**100)
BEYOND = 80
"""e^-80 is below 2^-115, itself below what results are widened by."""
BISECTIONS = 60


def softplus_above(x: Fraction) -> Fraction:
    """An upper bound on ln(1 + e^x)."""
    size = abs(x)
    # ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
    tail = 0 if size > BEYOND else _logarithm(ONE + _exponential(-_fixed(size)))
    return max(x, Fraction(0)) + Fraction(tail, ONE) + WIDENED


def entropy_below(share: Fraction) -> Fraction:
    """A lower bound on H(θ), 0 ≤ θ ≤ 1, that is not negative."""
    theta = _fixed(share)
    terms = sum(part * -_logarithm(part) for part in (theta, ONE - theta) if part > 0)
    # An error of 2^-128 in θ changes H by at most 2^-128 · ln 2^128.
    return max(Fraction(terms, ONE * ONE) - WIDENED, Fraction(0))


def best_multiple(
    pairs: Sequence[tuple[Fraction, int]], limit: Fraction, price: Fraction
) -> Fraction:
    """About the t in [0, limit] where Σ w H(t·size/w) - t·price is largest.

    Whatever t is, it proves a bound.

    Args:
        pairs: weight and size, both positive.
        limit: largest t, where no t·size/w exceeds one.
        price: of one unit of t.
    """
    shares = [(float(size), float(limit * size / w)) for w, size in pairs]
    cost = float(price)

    def rises(part: float) -> bool:
        """Whether the sum rises with t at this part of the limit."""
        slope = -cost
        for size, share in shares:
            theta = min(part * share, 1.0)
            if theta > 0:
                slope += size * (math.log(max(1 - theta, 1e-300)) - math.log(theta))
        return slope >= 0

    low, high = 0.0, 1.0
    if rises(high):
        return limit
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) else (low, middle)
    return limit * Fraction(low)


def _fixed(value: Fraction) -> int:
    return (value.numerator << PLACES) // value.denominator


def _exponential(x: int) -> int:
    """e^x for x ≤ 0, all in units of 2^-128."""
    # e^x = 2^-k e^y, y = x + k ln 2 in [0, ln 2), and e^y by its series at y / 256.
    halvings = -(x // _ln2())
    y = (x + halvings * _ln2()) >> 8
    term = total = ONE
    for k in range(1, 24):
        term = term * y // (k << PLACES)
        total += term
    for _ in range(8):
        total = total * total >> PLACES
    return total >> halvings


def _logarithm(x: int) -> int:
    """Ln x for x > 0, all in units of 2^-128."""
    doublings = x.bit_length() - PLACES - 1
    mantissa = x >> doublings if doublings >= 0 else x << -doublings
    # The mantissa m is in [1, 2): ln m = ln c + ln(m/c) with c a multiple of 1/64 near m.
    place = mantissa >> (PLACES - 6)
    centre = place << (PLACES - 6)
    return doublings * _ln2() + _ln_of(place) + _series(mantissa - centre, mantissa + centre)


def _series(above: int, below: int) -> int:
    """ln((b + a)/(b - a)) = 2 artanh(a/b) by its series, for 0 ≤ a/b ≤ 1/3."""
    ratio = (above << PLACES) // below
    square = ratio * ratio >> PLACES
    power, total, k = ratio, 0, 1
    while power:
        total += power // k
        power = power * square >> PLACES
        k += 2
    return 2 * total


@cache
def _ln2() -> int:
    return _series(1, 3)


@cache
def _ln_of(place: int) -> int:
    """ln(place/64) for 64 ≤ place < 128."""
    return _series(place - 64, place + 64)
