"""The search on batches of rows: its length, its end in time, interruption."""

import time

import numpy as np
import pytest

from qdeploy.data import InputQuantizer
from qdeploy.progress import silent
from qdeploy.training import large_search
from qdeploy.training.large_search import search_large
from qdeploy.training.losses import losses
from qdeploy.training.search import Rows
from qdeploy.training.shared import solve_readout

RIDGE = 1e-3


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(large_search, "BATCH", 256)
    monkeypatch.setattr(large_search, "EPOCHS", 10)
    random = np.random.default_rng(0)
    features = random.standard_normal((2048, 6))
    forms = random.standard_normal((3, 6, 6))
    scores = np.einsum("ni,kij,nj->nk", features, forms, features)
    targets = np.where(scores > np.median(scores, axis=0), 1.0, -1.0)
    quantizer = InputQuantizer.fit(features, tuple("abcdef"), "tensor")
    return Rows(features, quantizer, targets, losses["squared"])


def objective(rows, candidate):
    """Of the neurons on the integers under their scales, the readout solved anew."""
    problem = rows.problem(candidate.scales, candidate.choice.ridge)
    features = problem.features(candidate.found.left, candidate.found.right)
    value = solve_readout(problem, features).objective
    assert candidate.found.readout.objective == pytest.approx(value)
    return value


def test_epochs_are_counted_and_help(rows, monkeypatch):
    told = []
    found, complete = search_large(rows, 6, RIDGE, 0, told.append)
    assert complete
    assert [event.completed for event in told] == list(range(1, 81))
    monkeypatch.setattr(large_search, "EPOCHS", 1)
    brief, _ = search_large(rows, 6, RIDGE, 0, silent)
    assert objective(rows, found) < 0.9 * objective(rows, brief)


def test_the_same_seed_gives_the_same_neurons(rows):
    one, two, other = (search_large(rows, 3, RIDGE, seed, silent)[0] for seed in (1, 1, 2))
    assert np.array_equal(one.found.left, two.found.left)
    assert np.array_equal(one.scales, two.scales)
    assert not np.array_equal(one.found.left, other.found.left)


def test_no_time_at_all_still_gives_a_network(rows):
    found, complete = search_large(rows, 3, RIDGE, 0, silent, time.monotonic() - 1)
    assert not complete
    assert objective(rows, found) > 0


def test_an_interruption_keeps_the_signs_of_that_moment(rows):
    def interrupt(event):
        if event.completed == 20:
            raise KeyboardInterrupt

    found, complete = search_large(rows, 6, RIDGE, 0, interrupt)
    assert not complete
    assert objective(rows, found) > 0
