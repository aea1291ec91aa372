"""Ranges of options: what is let through, and the sentence for what is not."""

import pytest

from qdeploy.ranges import BETA, GAP, NEURONS, SEED, TEST_SIZE, TIME_LIMIT, Range, auto_or


@pytest.mark.parametrize(
    ("numbers", "value", "result"),
    [
        (GAP, "0.01", 0.01),
        (GAP, 0, 0.0),
        (TEST_SIZE, "0", 0.0),
        (NEURONS, "12", 12),
        (NEURONS, 12.0, 12),
        (SEED, 2**32 - 1, 2**32 - 1),
        (TIME_LIMIT, "1e3", 1000.0),
    ],
)
def test_numbers_of_the_range(numbers, value, result):
    assert numbers(value) == result
    assert isinstance(numbers(value), int) == numbers.whole


@pytest.mark.parametrize(
    ("numbers", "value"),
    [
        (GAP, 1),
        (GAP, -1e-9),
        (GAP, "nan"),
        (GAP, "much"),
        (GAP, None),
        (NEURONS, 0),
        (NEURONS, 1.5),
        (NEURONS, "1.5"),
        (NEURONS, "inf"),
        (NEURONS, float("inf")),
        (SEED, -1),
        (SEED, 2**32),
        (BETA, 0),
        (BETA, "inf"),
        (BETA, True),
    ],
)
def test_others_are_refused_by_name_of_the_range(numbers, value):
    with pytest.raises(ValueError, match="must be") as caught:
        numbers(value)
    assert str(numbers) in str(caught.value)
    assert str(value) in str(caught.value)


def test_words():
    assert str(Range(0, 1)) == "a number from 0 up to but not including 1"
    assert str(BETA) == "a number above 0"
    assert str(NEURONS) == "a whole number of at least 1"


def test_auto():
    assert auto_or(BETA, "auto") == "auto"
    assert auto_or(BETA, "0.5") == 0.5
    with pytest.raises(ValueError, match="must be 'auto' or a number above 0, not automatic"):
        auto_or(BETA, "automatic")
