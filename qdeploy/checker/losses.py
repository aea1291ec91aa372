"""Losses as the checker knows them: values at integer scores, and their dual forms.

Each has a dual value along the ray t·r, t ≥ 0, that docs/certificate.md derives. Values are exact,
or widened where they are not rational: a loss is never understated, a dual value never overstated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.checker.entropy import best_multiple, entropy_below, softplus_above

__all__ = ["LOSSES", "ExactLoss", "Targets", "Weights"]

Integers = NDArray[np.object_]
Weights = list[Fraction] | None
"""Sample weights, all positive; None for ones."""

FREE = Fraction(0)


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of one output as exact rationals y_i = numerators_i / denominator.

    Attributes:
        numerators: Python integers (n,).
        denominator: a power of two.
    """

    numerators: Integers
    denominator: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Targets":
        """The exact values of finite float64 targets (n,)."""
        ratios = [value.as_integer_ratio() for value in values.tolist()]
        denominator = max(below for _, below in ratios)
        numerators = np.empty(len(ratios), dtype=object)
        numerators[:] = [above * (denominator // below) for above, below in ratios]
        return cls(numerators, denominator)

    @property
    def are_signs(self) -> bool:
        """Whether every target is +1 or -1."""
        return self.denominator == 1 and all(abs(y) == 1 for y in self.numerators)


class Dual(Protocol):
    """Dual value along a ray; see `ExactLoss`."""

    def __call__(
        self,
        targets: Targets,
        residual: Integers,
        weights: Weights,
        largest_step: Fraction | None,
        price: Fraction = FREE,
        /,
    ) -> Fraction: ...


@dataclass(frozen=True)
class ExactLoss:
    """One loss.

    Attributes:
        value: L(c·s, y) for integer scores s (n,), a positive scale c, targets and weights.
        dual: a lower bound on the largest dual value of t·r less t times a price, 0 ≤ t ≤ the
            largest step (None: no limit), of targets, residual r (n,), weights, largest step and
            price ≥ 0.
        needs_signs: whether targets must be ±1 and residuals have their sign (y_i r_i ≥ 0).
    """

    value: Callable[[Integers, Fraction, Targets, Weights], Fraction]
    dual: Dual
    needs_signs: bool


def _weighted(terms: Integers, weights: Weights) -> Fraction:
    """Σ w_i·terms_i of integers or rationals."""
    if weights is None:
        return Fraction(terms.sum())
    return sum((w * term for w, term in zip(weights, terms, strict=True)), Fraction(0))


def _squared(scores: Integers, scale: Fraction, targets: Targets, weights: Weights) -> Fraction:
    y, below = targets.numerators, targets.denominator
    return (
        scale**2 * _weighted(scores * scores, weights)
        - 2 * scale * _weighted(scores * y, weights) / below
        + _weighted(y * y, weights) / below**2
    ) / 2


def _shortfalls(scores: Integers, scale: Fraction, targets: Targets) -> Integers:
    """q·max(0, 1 - y_i c s_i) in integers, with q the denominator of c."""
    short = scale.denominator - targets.numerators * scores * scale.numerator
    return np.where(short > 0, short, 0)


def _hinge(scores: Integers, scale: Fraction, targets: Targets, weights: Weights) -> Fraction:
    return _weighted(_shortfalls(scores, scale, targets), weights) / scale.denominator


def _squared_hinge(
    scores: Integers, scale: Fraction, targets: Targets, weights: Weights
) -> Fraction:
    short = _shortfalls(scores, scale, targets)
    return _weighted(short * short, weights) / scale.denominator**2 / 2


def _logistic(scores: Integers, scale: Fraction, targets: Targets, weights: Weights) -> Fraction:
    terms = np.empty(len(scores), dtype=object)
    terms[:] = [softplus_above(-scale * margin) for margin in targets.numerators * scores]
    return _weighted(terms, weights)


def _quotients_above(sizes: Integers, weights: Weights) -> Fraction:
    """Σ r_i²/w_i, exact without weights.

    With them every quotient is rounded up, by at most 2^-149 of the largest one, so that no common
    denominator of thousands of weights is needed.
    """
    if weights is None:
        return Fraction(int(sizes @ sizes))
    quotients = [int(size * size) / w for size, w in zip(sizes, weights, strict=True)]
    largest = max(quotients, default=Fraction(0))
    if not largest:
        return Fraction(0)
    unit = Fraction(2) ** (largest.numerator.bit_length() - largest.denominator.bit_length() - 150)
    return unit * sum(
        -(-q.numerator * unit.denominator // (q.denominator * unit.numerator)) for q in quotients
    )


def _parabola(
    linear: Fraction, residual: Integers, weights: Weights, largest_step: Fraction | None
) -> Fraction:
    """Maximum over 0 ≤ t ≤ largest_step of  t·a - ½ t² Σ r_i²/w_i."""
    square = _quotients_above(residual, weights)
    if linear <= 0 or not square:
        return Fraction(0)
    step = linear / square
    if largest_step is not None:
        step = min(step, largest_step)
    return step * linear - step**2 * square / 2


def _squared_dual(
    targets: Targets,
    residual: Integers,
    weights: Weights,
    largest_step: Fraction | None,
    price: Fraction = FREE,
) -> Fraction:
    linear = Fraction(int(targets.numerators @ residual), targets.denominator)
    return _parabola(linear - price, residual, weights, largest_step)


def _squared_hinge_dual(
    _: Targets,
    residual: Integers,
    weights: Weights,
    largest_step: Fraction | None,
    price: Fraction = FREE,
) -> Fraction:
    return _parabola(int(abs(residual).sum()) - price, residual, weights, largest_step)


def _domain_end(residual: Integers, weights: Weights) -> Fraction | None:
    """Largest t with t|r_i| ≤ w_i for all i; None when r is zero."""
    sizes = abs(residual)
    if weights is None:
        peak = int(sizes.max())
        return Fraction(1, peak) if peak else None
    ends = (w / int(size) for w, size in zip(weights, sizes, strict=True) if size)
    return min(ends, default=None)


def _hinge_dual(
    _: Targets,
    residual: Integers,
    weights: Weights,
    largest_step: Fraction | None,
    price: Fraction = FREE,
) -> Fraction:
    end = _domain_end(residual, weights)
    if end is None:
        return Fraction(0)
    step = end if largest_step is None else min(end, largest_step)
    return step * max(int(abs(residual).sum()) - price, Fraction(0))


def _logistic_dual(
    _: Targets,
    residual: Integers,
    weights: Weights,
    largest_step: Fraction | None,
    price: Fraction = FREE,
) -> Fraction:
    end = _domain_end(residual, weights)
    if end is None:
        return Fraction(0)
    limit = end if largest_step is None else min(end, largest_step)
    sizes = abs(residual)
    ones = [Fraction(1)] * len(sizes) if weights is None else weights
    pairs = [(w, int(size)) for w, size in zip(ones, sizes, strict=True) if size]
    step = best_multiple(pairs, limit, price)
    entropy = sum((w * entropy_below(step * size / w) for w, size in pairs), Fraction(0))
    return max(entropy - step * price, Fraction(0))


LOSSES = {
    "hinge": ExactLoss(_hinge, _hinge_dual, needs_signs=True),
    "logistic": ExactLoss(_logistic, _logistic_dual, needs_signs=True),
    "squared": ExactLoss(_squared, _squared_dual, needs_signs=False),
    "squared-hinge": ExactLoss(_squared_hinge, _squared_hinge_dual, needs_signs=True),
}
"""The losses whose certificates can be checked, by the name that a certificate carries."""
