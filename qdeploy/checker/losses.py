"""Losses as the checker knows them: exact values at integer scores, and their dual forms.

For a residual t·r, t ≥ 0, each has a dual value of the form  t·a - ½ t²·‖r‖²  with its own `linear`
term a; docs/certificate.md derives it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOSSES", "ExactLoss", "Targets"]

Integers = NDArray[np.object_]


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


@dataclass(frozen=True)
class ExactLoss:
    """One loss.

    Attributes:
        value: L(c·s, y) for integer scores s (n,), a positive scale c, and targets.
        linear: the term a of the dual value, of targets and residual r (n,).
        needs_signs: whether targets must be ±1 and residuals have their sign (y_i r_i ≥ 0).
    """

    value: Callable[[Integers, Fraction, Targets], Fraction]
    linear: Callable[[Targets, Integers], Fraction]
    needs_signs: bool


def _squared(scores: Integers, scale: Fraction, targets: Targets) -> Fraction:
    y, below = targets.numerators, targets.denominator
    return (
        scale**2 * int(scores @ scores)
        - 2 * scale * Fraction(int(scores @ y), below)
        + Fraction(int(y @ y), below**2)
    ) / 2


def _squared_hinge(scores: Integers, scale: Fraction, targets: Targets) -> Fraction:
    margins = targets.numerators * scores
    # 1 - c·m > 0 with c = p/q, all in integers.
    short = margins[margins * scale.numerator < scale.denominator]
    return (len(short) - 2 * scale * int(short.sum()) + scale**2 * int(short @ short)) / 2


LOSSES = {
    "squared": ExactLoss(
        value=_squared,
        linear=lambda targets, r: Fraction(int(targets.numerators @ r), targets.denominator),
        needs_signs=False,
    ),
    "squared-hinge": ExactLoss(
        value=_squared_hinge,
        linear=lambda _, r: Fraction(int(abs(r).sum())),
        needs_signs=True,
    ),
}
"""The losses whose certificates can be checked, by the name that a certificate carries."""
