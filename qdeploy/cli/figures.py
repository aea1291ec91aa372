"""Numbers as text, rounded so that no claim grows stronger.

A gap, a cost and an objective are rounded up, a bound and an accuracy down.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

__all__ = [
    "at_least",
    "at_most",
    "between_bounds",
    "byte_count",
    "jsonable",
    "percent_gap",
    "percent_score",
    "score_text",
]

_SIGNIFICANT = 3


def at_most(value: float, digits: int = _SIGNIFICANT) -> str:
    """`value` rounded up to so many significant digits: it is at most what is shown."""
    return _rounded(value, digits, ROUND_CEILING)


def at_least(value: float, digits: int = _SIGNIFICANT) -> str:
    """`value` rounded down to so many significant digits: it is at least what is shown."""
    return _rounded(value, digits, ROUND_FLOOR)


def percent_gap(gap: float) -> str:
    """A relative gap in percent, rounded up: two decimals, more where it is below 0.1 %."""
    if not math.isfinite(gap):
        return "unknown"
    exact = Decimal(gap) * 100
    places = max(2, 1 - exact.adjusted()) if exact else 2
    return f"{exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_CEILING):f} %"


def percent_score(score: float) -> str:
    """A share in percent with one decimal, rounded down."""
    return f"{math.floor(1000 * score + 1e-9) / 10:.1f} %"


def score_text(task: str, score: float) -> str:
    """An accuracy in percent, or an R², rounded down."""
    return percent_score(score) if task == "classify" else f"R² {at_least(score)}"


def between_bounds(objective: float, bound: float) -> tuple[str, str]:
    """Objective (rounded up) and bound (down), with the digits that tell them apart.

    Args:
        objective: value of the network.
        bound: proven lower bound on it.
    """
    difference = abs(objective - bound)
    digits = 6
    if difference > 0 and objective != 0:
        apart = math.floor(math.log10(abs(objective))) - math.floor(math.log10(difference))
        digits = min(15, max(digits, apart + 2))
    return at_most(objective, digits), at_least(bound, digits)


def byte_count(count: int) -> str:
    """A number of bytes, exact, with thousands set apart."""
    return f"{count:,} byte{'' if count == 1 else 's'}".replace(",", " ")


def jsonable(value: Any) -> Any:
    """`value` in the types of JSON: arrays as lists, numpy scalars as numbers, NaN as null."""
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [jsonable(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _rounded(value: float, digits: int, direction: str) -> str:
    if not math.isfinite(value):
        return "unknown"
    rounded = Context(prec=digits, rounding=direction).create_decimal(Decimal(value))
    return f"{rounded:f}" if -7 < rounded.adjusted() < 16 else f"{rounded:e}"
