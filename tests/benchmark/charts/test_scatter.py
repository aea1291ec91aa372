from xml.etree import ElementTree

import pytest

from qdeploy.benchmark.charts import Shares, Spot, scatter, shares
from qdeploy.benchmark.timing import Estimate


def spot(name, x, y, own=False):
    return Spot(name, Estimate(x, 0.8 * x, 1.3 * x), Estimate(y, y - 0.02, y + 0.01), name, own)


SPOTS = [
    spot("qdeploy", 1e-6, 0.97, own=True),
    spot("a peer & another", 3e-6, 0.96),
    spot("<b>", 3e-5, 0.98),
]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("spots", [SPOTS, SPOTS[:1], SPOTS[1:]])
def test_every_point_has_its_name(spots, wide):
    labels = ("energy", "accuracy")
    drawing = scatter(spots, ("J", "fraction"), labels, title="A & B", wide=wide)
    texts = [element.text for element in ElementTree.fromstring(drawing).iter("text")]
    for each in spots:
        assert each.label in texts
    assert "energy" in texts
    assert "var(--own)" in drawing or not any(each.own for each in spots)


def test_the_two_widths_share_no_reference():
    drawings = [
        scatter(SPOTS, ("J", "fraction"), ("x", "y"), title="t", wide=wide) for wide in (0, 1)
    ]
    first, second = (
        {element.get("id") for element in ElementTree.fromstring(each).iter() if element.get("id")}
        for each in drawings
    )
    assert not first & second


def test_parts_fill_the_whole():
    rows = [
        Shares("qdeploy", "100 instructions", {"sums": 60, "loads": 40}, True),
        Shares("nothing", "0 instructions", {"sums": 0, "loads": 0}, False),
    ]
    drawing = shares(rows, title="classes")
    texts = [element.text for element in ElementTree.fromstring(drawing).iter("text")]
    assert {"qdeploy", "nothing", "100 instructions", "sums", "loads"} <= set(texts)
