"""The front as a whole: what it trains, what it keeps, what it writes."""

import csv
import json
import signal
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.benchmark.timing import Estimate
from qdeploy.checker import certify
from qdeploy.cli.app import run
from qdeploy.data import read_dataset, split
from qdeploy.errors import QDeployError
from qdeploy.fronts import FrontPoint, not_dominated, trace, write_front
from qdeploy.inspection import cost
from qdeploy.onnx import load
from qdeploy.recipes import Recipe

IRIS = Recipe(data="sklearn:iris", neurons=5, time_limit=2, scaling="feature", beta=1.0)


@pytest.fixture(scope="module")
def front():
    return trace(IRIS, name="iris")


def point(accuracy, size, operations):
    quality = Estimate(accuracy, accuracy, accuracy)
    return FrontPoint("", 1, 1, size, operations, quality, accuracy, None, None)


figures = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))


@given(st.lists(figures, min_size=1, max_size=8))
def test_what_is_not_dominated_is_what_some_preference_of_all_figures_leaves(rows):
    kept = not_dominated([point(float(a), b, o) for a, b, o in rows])
    assert any(kept)
    for (accuracy, size, operations), on_front in zip(rows, kept, strict=True):
        as_good = [r for r in rows if r[0] >= accuracy and r[1] <= size and r[2] <= operations]
        assert on_front == (set(as_good) == {(accuracy, size, operations)})


def test_widths_double_up_to_the_limit_and_their_costs_are_those_of_the_networks(front):
    networks, linear = front.points[:-1], front.points[-1]
    # A search that is short of time may leave neurons silent, which are dropped.
    assert [p.neurons for p in networks][:2] == [1, 2]
    assert all(p.neurons <= most for p, most in zip(networks, (1, 2, 4, 5), strict=True))
    assert front.complete
    for p in networks:
        counted = cost(p.model.network)
        assert (p.bytes, p.operations) == (counted.bytes, counted.operations)
        assert p.quality.low <= p.quality.value <= p.quality.high
    # three outputs on four inputs: a byte a weight, four a bias
    assert (linear.bytes, linear.operations, linear.model) == (3 * 4 + 3 * 4, 12, None)
    assert linear.quality.value > 0.8


def test_files_tell_the_same_and_models_prove_themselves(front, tmp_path):
    written = write_front(front, tmp_path / "front")
    rows = list(csv.DictReader((tmp_path / "front" / "front.csv").open()))
    whole = json.loads((tmp_path / "front" / "front.json").read_text())
    assert [row["bytes"] for row in rows] == [str(p["bytes"]) for p in whole["points"]]
    for name in ("front-bytes.svg", "front-operations.svg"):
        drawing = ElementTree.parse(tmp_path / "front" / name)
        texts = "".join(drawing.getroot().itertext())
        assert "logistic regression" in texts
        assert "held-out rows" in texts
    kept = [row for row in rows if row["file"]]
    assert [row["on_front"] for row in kept] == ["True"] * len(kept)
    train_rows, test_rows = split(read_dataset("sklearn:iris"), 0.25, 0)
    for row in kept:
        assert tmp_path / "front" / row["file"] in written
        model = load(tmp_path / "front" / row["file"])
        assert model.score(test_rows.features, test_rows.target) == float(row["accuracy"])
        assert certify(model, train_rows).holds
    with pytest.raises(QDeployError, match="exists already"):
        write_front(front, tmp_path / "front")


def test_budgets_end_the_front():
    found = trace(IRIS.model_copy(update={"max_bytes": 50, "time_limit": 1}), name="iris")
    assert all(p.bytes <= 50 for p in found.points)
    with pytest.raises(QDeployError, match="a single neuron on 4 inputs takes"):
        trace(IRIS.model_copy(update={"max_ops": 5}), name="iris")
    with pytest.raises(QDeployError, match="rows that are not trained on"):
        trace(IRIS.model_copy(update={"test_size": 0.0}), name="iris")


def test_networks_of_one_width_have_files_of_their_own(front, tmp_path):
    one, two = front.points[0], front.points[1]
    better = replace(two, neurons=1, quality=Estimate(0.99, 0.99, 0.99), operations=10**6)
    written = write_front(replace(front, points=(one, better)), tmp_path / "front")
    assert {"1-neurons.onnx", "1-neurons-2.onnx"} <= {path.name for path in written}


def test_an_interruption_keeps_the_points_so_far(interruptible):
    def progress(event):
        if event.stage == "2 neurons":
            signal.raise_signal(signal.SIGINT)

    found = trace(IRIS, name="iris", progress=progress)
    assert [p.neurons for p in found.points] == [1, None]
    assert not found.complete


def test_numbers_have_a_front_too(tmp_path):
    recipe = Recipe(data="sklearn:diabetes", neurons=2, time_limit=2, scaling="feature", beta=1.0)
    found = trace(recipe, name="diabetes")
    assert found.metric == "r2"
    assert found.points[-1].label == "ridge regression"
    assert 0.3 < found.points[-1].quality.value < 0.7
    assert write_front(replace(found, data="numbers"), tmp_path)


def test_the_command_prints_the_front(tmp_path, capsys):
    words = ["front", "sklearn:iris", "--neurons", "1", "--time-limit", "1", "--json"]
    assert run([*words, "-o", str(tmp_path / "f")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [p["neurons"] for p in told["points"]] == [1, None]
    assert told["complete"]
    assert (tmp_path / "f" / "front.csv").exists()
