import numpy as np
import pytest

from qdeploy.benchmark.quality import quality
from qdeploy.data.dataset import Dataset


def rows(target, task):
    target = np.asarray(target)
    return Dataset(np.zeros((len(target), 1)), target, ("x",), ("y",), task, "made up")


def test_accuracy_with_wilsons_interval():
    test = rows(["a"] * 9 + ["b"], "classify")
    metric, estimate, note = quality(np.array(["a"] * 10), test)
    assert (metric, estimate.value) == ("accuracy", 0.9)
    # From the closed form at z = 1.96, n = 10, p = 0.9.
    assert (estimate.low, estimate.high) == pytest.approx((0.5958, 0.9821), abs=1e-3)
    assert note.startswith("9 of 10")


def test_a_perfect_regression():
    target = np.arange(20.0)
    metric, estimate, _ = quality(target, rows(target, "regress"))
    assert metric == "r2"
    assert (estimate.low, estimate.value, estimate.high) == (1, 1, 1)


def test_predicting_the_mean_explains_nothing_of_two_outputs():
    target = np.random.default_rng(0).normal(size=(50, 2))
    _, estimate, _ = quality(np.tile(target.mean(0), (50, 1)), rows(target, "regress"))
    assert estimate.value == pytest.approx(0)
    assert estimate.low <= 0 <= estimate.high
