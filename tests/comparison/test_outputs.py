"""The comparison of shared and separate outputs: networks of both paths, bytes, table."""

import numpy as np
import pytest

from qdeploy.comparison import outputs
from qdeploy.comparison.outputs import BUDGETS, EMPTY, Gap, Point
from qdeploy.training.problem import lift


@pytest.fixture(scope="module")
def path(monkeypatch_module):
    generator = np.random.default_rng(0)
    inputs = generator.integers(-80, 81, (60, 3)).astype(np.int8)
    labels = np.digitize(inputs[:, 0].astype(float) * inputs[:, 1], [-800, 800])
    targets = np.where(labels[:, None] == np.arange(3), 1.0, -1.0)
    networks = {
        "separate": list(outputs._separate(lift(inputs), targets, 0)),
        "shared": list(outputs._shared(lift(inputs), targets, 0)),
    }
    return inputs, labels, networks


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs, "SHARES", np.array([0.5, 0.05]))
        yield patch


@pytest.mark.parametrize("method", ["separate", "shared"])
def test_a_smaller_penalty_fits_better_and_costs_bytes(path, method):
    inputs, labels, networks = path
    first, second = networks[method]
    accuracy = [(n.forward(inputs).argmax(axis=1) == labels).mean() for n in (first, second)]
    assert accuracy[1] > max(accuracy[0], 0.9)
    assert outputs._bytes(second) > outputs._bytes(first)


def test_bytes_are_signs_and_readout(path):
    network = path[2]["shared"][1]
    width = network.layers[0].width
    assert outputs._bytes(network) == -(-2 * 4 * width // 8) + 3 * width


def test_the_table_takes_the_largest_networks_that_fit():
    points = [
        Point("shared", 0, 100, 0.5),
        Point("shared", 0, 200, 0.7),
        Point("shared", 1, 130, 0.9),
        Point("separate", 0, 10**9, 1.0),
    ]
    assert outputs._cell(points, "shared", 128) == EMPTY
    assert outputs._cell(points, "shared", 150) == "70.0% ± 28.3%"
    assert outputs._cell(points, "shared", 250) == "80.0% ± 14.1%"
    text = outputs._section("data", points, [Gap("shared", 0.1, 7, 0.125, 3.0)])
    rows = [line for line in text.splitlines() if line.startswith("| ") and "±" in line]
    assert rows == [f"| {BUDGETS[1]} | {EMPTY} | 80.0% ± 14.1% | {EMPTY} |"]
    assert "| shared neurons | 0.1 | 7 | 12.5% | 3 |" in text
