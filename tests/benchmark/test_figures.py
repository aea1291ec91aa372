import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qdeploy.benchmark.figures import METRICS, Figure, FigureSheet
from qdeploy.benchmark.timing import Estimate

GOOD = {
    "target": "cpu",
    "implementation": "qdeploy",
    "batch": 1,
    "metric": "latency_median",
    "unit": "s",
    "value": 1e-7,
    "low": 0.9e-7,
    "high": 1.2e-7,
    "obtained": "measured",
    "note": "made up",
}


def test_the_keys_are_those_that_scripts_rely_on():
    assert set(Figure(**GOOD).model_dump()) == {
        "target",
        "implementation",
        "batch",
        "metric",
        "unit",
        "value",
        "low",
        "high",
        "obtained",
        "note",
    }


@pytest.mark.parametrize("key", ["obtained", "note", "unit", "value", "batch"])
def test_nothing_essential_has_a_default(key):
    with pytest.raises(ValidationError):
        Figure(**{name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize(
    "change",
    [
        {"obtained": "guessed"},
        {"obtained": ""},
        {"obtained": None},
        {"metric": "speed"},
        {"unit": "ms"},
        {"value": math.nan},
        {"value": math.inf, "high": None},
        {"value": 2e-7},
        {"low": 1.1e-7},
        {"colour": "green"},
    ],
)
def test_what_is_not_a_figure_is_refused(change):
    with pytest.raises(ValidationError):
        Figure(**{**GOOD, **change})


def test_a_figure_cannot_be_changed():
    with pytest.raises(ValidationError):
        Figure(**GOOD).obtained = "estimated"


@given(
    metric=st.sampled_from(sorted(METRICS)),
    ends=st.tuples(*[st.floats(0, 1e9)] * 3).map(sorted),
    obtained=st.sampled_from(["measured", "emulated", "estimated"]),
)
def test_the_sheet_takes_units_from_the_metric(metric, ends, obtained):
    sheet = FigureSheet("cpu")
    sheet.add("qdeploy", metric, Estimate(ends[1], ends[0], ends[2]), "note", obtained=obtained)
    (figure,) = sheet.figures
    assert figure.unit == METRICS[metric].unit
    assert (figure.low, figure.value, figure.high) == tuple(ends)
    assert figure.obtained == obtained
