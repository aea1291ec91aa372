"""Σ w_i ln(1 + exp(-y_i f_i)), y_i = ±1.

Logarithms are not rational: the exact side works in decimal arithmetic, whose ln and exp are
correctly rounded (Python's decimal module), and widens every term by far more than the rounding.
"""

from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import entr, expit

from qdeploy.data.dataset import Task
from qdeploy.training.losses import FloatArray, Loss, losses
from qdeploy.training.residual_rounding import round_signed

CALCULATOR = Context(prec=45, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX)
PLACES = 36
"""Terms are kept to so many decimal places."""
WIDENED = 10**7
"""Units of the last place by which a term is widened: 10⁻²⁹, where rounding on the way is below one
unit. A checker that keeps fewer places then confirms the losses of data that are fitted fully."""
BEYOND = 90
"""exp(-90) is below one unit."""
SLACK = Fraction(1, 2**48)
"""Share by which claims are weakened, so that a checker with other roundings confirms them."""

CERTAIN = 40.0
"""A margin at which the loss is below 1e-17; what a single class is given."""
NEWTON_STEPS = 100
ACCURACY = 1e-15


class Logistic(Loss):
    """Logistic loss; its domain is 0 ≤ θ_i = y_i r_i / w_i ≤ 1, its dual value Σ w_i H(θ_i).

    H(θ) = -θ ln θ - (1 - θ) ln(1 - θ) is the entropy in nats.
    """

    name: ClassVar[str] = "logistic"
    tasks: ClassVar[frozenset[Task]] = frozenset({"classify"})

    def value(self, predictions: FloatArray, targets: FloatArray) -> float:
        """Σ w_i ln(1 + exp(-y_i f_i))."""
        return float(self.times(np.logaddexp(0, -targets * predictions)).sum())

    def residual(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """w_i y_i / (1 + exp(y_i f_i))."""
        return self.times(targets * expit(-targets * predictions))

    def curvature(self, predictions: FloatArray, targets: FloatArray) -> FloatArray:
        """W p (1 - p), at most w/4."""
        return self.times(expit(predictions) * expit(-predictions))

    def best_intercept(self, predictions: FloatArray, targets: FloatArray) -> float:
        """Root of Σ r_i(b) by Newton's method, with bisection as its safeguard."""
        weights = self.times(np.ones_like(targets))
        positive = float(weights[targets > 0].sum())
        negative = float(weights[targets < 0].sum())
        if not min(positive, negative):
            sign = 1.0 if positive else -1.0
            return sign * (CERTAIN + float(np.abs(predictions).max(initial=0.0)))
        # With all |f + b| beyond this, one class outweighs the other.
        reach = np.log((positive + negative) / min(positive, negative)) + 1
        low, high = -float(predictions.max()) - reach, -float(predictions.min()) + reach
        # Newton for the log-odds of the mean prediction ends in a few steps.
        intercept = float(np.clip(np.log(positive / negative), low, high))
        for _ in range(NEWTON_STEPS):
            moved = predictions + intercept
            slope = float(self.residual(moved, targets).sum())
            if slope > 0:
                low = intercept
            else:
                high = intercept
            if abs(slope) <= ACCURACY * (positive + negative):
                break
            bend = float(self.curvature(moved, targets).sum())
            following = intercept + slope / bend if bend else low
            if not low < following < high:
                following = (low + high) / 2
            if abs(following - intercept) <= ACCURACY * max(1.0, abs(intercept)):
                break
            intercept = following
        return intercept

    def dual_value(self, residual: FloatArray, targets: FloatArray) -> float:
        """Σ w_i H(θ_i)."""
        share = self.over(targets * residual)
        if share.min(initial=0.0) < 0 or share.max(initial=0.0) > 1:
            return -np.inf
        return float(self.times(entr(share) + entr(1 - share)).sum())

    def best_step(self, residual: FloatArray, targets: FloatArray) -> float:
        """Root of the derivative Σ |r_i| ln((1 - tθ_i) / (tθ_i)), which falls without end."""
        used = residual != 0
        size = np.abs(residual[used])
        if not size.size:
            return np.inf
        share = size if self.weights is None else size / self.weights[used]
        end = 1 / float(share.max())

        def derivative(part: float) -> float:
            theta = part * (end * share)
            tiny = np.finfo(np.float64).tiny
            return float(size @ (np.log(np.maximum(1 - theta, tiny)) - np.log(theta + tiny)))

        # All θ ≤ 1/2 at half the way: the derivative is not negative there.
        nearly = 1 - 2.0**-52
        if derivative(nearly) >= 0:
            return nearly * end
        return end * float(brentq(derivative, 0.5, nearly, xtol=1e-15))

    def round_residual(self, residual: FloatArray, targets: FloatArray) -> NDArray[np.int32]:
        """Balanced between the classes, then rounded."""
        return round_signed(residual, targets)

    def exact_value(
        self, scores: NDArray[np.int64], scale: Fraction, targets: FloatArray
    ) -> Fraction:
        """The loss at scale·scores, a little above."""
        weights = self.exact_weights(len(scores))
        total = Fraction(0)
        for w, s, y in zip(weights, scores.tolist(), targets.tolist(), strict=True):
            short = -Fraction(y) * scale * s
            # ln(1 + eˣ) = max(x, 0) + ln(1 + e^-|x|)
            total += w * (max(short, Fraction(0)) + _units(_tail(abs(short))) + _units(WIDENED))
        return total * (1 + SLACK)

    def exact_dual(
        self, residual: NDArray[np.int32], targets: FloatArray, largest_step: Fraction
    ) -> Fraction:
        """Largest Σ w_i H(t|r_i|/w_i) over t in [0, largest_step], a little below."""
        sizes = [abs(r) for r in residual.tolist()]
        weights = self.exact_weights(len(sizes))
        pairs = [(w, size) for w, size in zip(weights, sizes, strict=True) if size]
        if not pairs:
            return Fraction(0)
        best = Fraction(self.best_step(residual.astype(np.float64), targets))
        step = min(best, largest_step, *(w / size for w, size in pairs))
        total = Fraction(0)
        for w, size in pairs:
            total += w * _units(max(_entropy(step * size / w) - WIDENED, 0))
        return total * (1 - SLACK)

    def expression(self, predictions: Any, targets: FloatArray) -> Any:
        """Σ w_i ln(1 + exp(-y_i f_i)) for cvxpy."""
        import cvxpy as cp

        weights = self.times(np.ones_like(targets))
        return weights @ cp.logistic(-cp.multiply(targets, predictions))


def _units(count: int) -> Fraction:
    return Fraction(count, 10**PLACES)


def _decimal(value: Fraction) -> Decimal:
    return CALCULATOR.divide(Decimal(value.numerator), Decimal(value.denominator))


def _rounded(value: Decimal) -> int:
    return int(CALCULATOR.to_integral_value(CALCULATOR.scaleb(value, PLACES)))


def _tail(size: Fraction) -> int:
    """ln(1 + e^-x) for x ≥ 0, in units, within one unit."""
    if size > BEYOND:
        return 0
    return _rounded(
        CALCULATOR.ln(CALCULATOR.add(1, CALCULATOR.exp(CALCULATOR.minus(_decimal(size)))))
    )


def _entropy(share: Fraction) -> int:
    """H(θ) for 0 < θ ≤ 1, in units, within one unit."""
    terms = Decimal(0)
    for part in (share, 1 - share):
        if part:
            value = _decimal(part)
            terms = CALCULATOR.subtract(terms, CALCULATOR.multiply(value, CALCULATOR.ln(value)))
    return _rounded(terms)


losses.register("logistic")(Logistic())
