"""Numbers as text: readable, and never stronger than what was proven."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.cli.figures import (
    at_least,
    at_most,
    between_bounds,
    byte_count,
    jsonable,
    percent_gap,
    percent_score,
)

positive = st.floats(1e-9, 1e9)


@given(positive, st.integers(1, 15))
def test_rounding_has_the_stated_direction(value, digits):
    assert Fraction(at_least(value, digits)) <= Fraction(value) <= Fraction(at_most(value, digits))
    assert float(at_most(value, digits)) <= value * (1 + 10.0 ** (1 - digits)) * (1 + 1e-12)


@given(st.floats(0, 1))
def test_a_gap_is_never_shown_smaller_than_it_is(gap):
    shown = Fraction(percent_gap(gap).removesuffix(" %"))
    assert shown >= 100 * Fraction(gap)
    assert shown <= max(101 * Fraction(gap) * Fraction(11, 10), Fraction(1, 50))


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_accuracy_is_never_shown_larger_than_it_is(counts):
    right, rows = counts
    shown = Fraction(percent_score(right / rows).removesuffix(" %"))
    assert 0 <= Fraction(100 * right, rows) - shown < Fraction(1001, 10000) + Fraction(1, 10**6)


@given(positive, st.floats(1e-7, 1))
def test_objective_and_bound_are_told_apart(objective, gap):
    bound = objective * (1 - gap)
    upper, lower = between_bounds(objective, bound)
    assert Fraction(upper) >= Fraction(objective)
    assert Fraction(lower) <= Fraction(bound)
    assert upper != lower


@pytest.mark.parametrize(
    ("gap", "shown"),
    [
        (0.0, "0.00 %"),
        (0.5, "50.00 %"),
        (0.015625, "1.57 %"),
        (0.03125, "3.13 %"),
        (7e-6, "0.00070 %"),
        (float("nan"), "unknown"),
    ],
)
def test_gap_examples(gap, shown):
    assert percent_gap(gap) == shown


def test_byte_count():
    assert byte_count(1) == "1 byte"
    assert byte_count(12345) == "12 345 bytes"


def test_equal_objective_and_bound():
    assert between_bounds(2.0, 2.0) == ("2", "2")


def test_jsonable():
    values = {
        "array": np.arange(3, dtype=np.int8),
        "scalar": np.float64(0.5),
        "label": np.str_("a"),
        "unknown": float("nan"),
        "nested": ({1: None},),
    }
    assert json.loads(json.dumps(jsonable(values), allow_nan=False)) == {
        "array": [0, 1, 2],
        "scalar": 0.5,
        "label": "a",
        "unknown": None,
        "nested": [{"1": None}],
    }
