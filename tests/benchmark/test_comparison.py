import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.benchmark.comparison import compare_figures
from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.timing import Estimate

positive = st.floats(1e-3, 1e6)


def figures(*entries):
    sheet = FigureSheet("board")
    for name, metric, value, obtained in entries:
        sheet.add(name, metric, value, "made up", obtained=obtained)
    return sheet.figures


@given(st.tuples(positive, positive, positive).map(sorted), st.tuples(*[positive] * 3).map(sorted))
def test_estimates_may_differ_as_far_as_both_bands_allow(own, other):
    (ratio,) = compare_figures(
        figures(
            ("qdeploy", "cycles", Estimate(own[1], own[0], own[2]), "estimated"),
            ("peer", "cycles", Estimate(other[1], other[0], other[2]), "estimated"),
        ),
        "qdeploy",
        ["cycles"],
    )
    assert ratio.low == pytest.approx(other[0] / own[2])
    assert ratio.ratio == pytest.approx(other[1] / own[1])
    assert ratio.high == pytest.approx(other[2] / own[0])


def test_counts_are_exact_whatever_their_range():
    (ratio,) = compare_figures(
        figures(
            ("qdeploy", "instructions", Estimate(100, 90, 110), "emulated"),
            ("peer", "instructions", Estimate(300, 10, 900), "emulated"),
        ),
        "qdeploy",
        ["instructions"],
    )
    assert (ratio.low, ratio.ratio, ratio.high) == (3, 3, 3)
    assert ratio.obtained == "emulated"


def test_only_like_is_compared_with_like():
    assert not compare_figures(
        figures(
            ("qdeploy", "latency", Estimate(1, 1, 1), "measured"),
            ("peer", "latency", Estimate(2, 1, 3), "estimated"),
            ("peer", "flash", 10.0, "measured"),
            ("qdeploy", "ram", 0.0, "emulated"),
            ("peer", "ram", 5.0, "emulated"),
        ),
        "qdeploy",
        ["latency", "flash", "ram"],
    )
