"""The numbers that options may have, with the sentence that says so; used by every way in."""

import math
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BETA",
    "BYTES",
    "CAPACITY",
    "GAP",
    "INPUTS",
    "METER_INPUT",
    "NEURONS",
    "OPERATIONS",
    "RATE",
    "READOUT_BITS",
    "RIDGE",
    "SEED",
    "TEST_SIZE",
    "TIME_LIMIT",
    "VOLTS",
    "Range",
    "auto_or",
]


@dataclass(frozen=True)
class Range:
    """An interval of finite numbers; calling it checks and converts one value.

    Attributes:
        low: smallest value.
        high: upper end, never reached.
        above: whether `low` itself is left out.
        whole: whether only integers will do.
    """

    low: float
    high: float = math.inf
    above: bool = False
    whole: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.high < math.inf:
            return f"{kind} from {self.low} up to but not including {self.high}"
        return f"{kind} {'above' if self.above else 'of at least'} {self.low}"

    def __call__(self, value: Any) -> Any:
        """`value`, a number or its text, as int or float.

        Raises:
            ValueError: it is not a number of this range.
        """
        try:
            number = int(value) if self.whole else float(value)
            exact = not isinstance(value, bool) and (isinstance(value, str) or number == value)
        except (TypeError, ValueError, OverflowError):
            exact = False
        if (
            not exact
            or not math.isfinite(number)
            or not (number > self.low if self.above else number >= self.low)
            or number >= self.high
        ):
            raise ValueError(f"must be {self}, not {value}")
        return number


TEST_SIZE = Range(0, 1)
BYTES = Range(1, whole=True)
GAP = Range(0, 1)
NEURONS = Range(1, whole=True)
OPERATIONS = Range(1, whole=True)
INPUTS = Range(1, whole=True)
SEED = Range(0, 2**32, whole=True)
TIME_LIMIT = Range(0, above=True)
BETA = Range(0, above=True)
RIDGE = Range(0, above=True)
READOUT_BITS = Range(2, 17, whole=True)
CAPACITY = Range(0, above=True)
VOLTS = Range(0, above=True)
RATE = Range(0, above=True)
METER_INPUT = Range(0, whole=True)


def auto_or(numbers: Range, value: Any) -> Any:
    """`value` as it is when it is "auto", else as a number of the range.

    Raises:
        ValueError: it is neither.
    """
    if value == "auto":
        return value
    try:
        return numbers(value)
    except ValueError:
        raise ValueError(f"must be 'auto' or {numbers}, not {value}") from None
