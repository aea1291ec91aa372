"""What follows a compact search: how a time limit is shared, and that proofs come of it."""

import math
import time

import numpy as np
import pytest

from qdeploy.checker import certify
from qdeploy.data import dataset_from_arrays
from qdeploy.progress import silent
from qdeploy.training import finishing
from qdeploy.training.assembly import build_network
from qdeploy.training.finishing import plan_time
from qdeploy.training.losses import losses
from qdeploy.training.penalised import own_proofs, prove_any_width, telling_penalty
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.readout import choose_readout
from qdeploy.training.trainer import train


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    features = random.standard_normal((120, 5))
    labels = np.digitize(features[:, 0] * features[:, 1] + features[:, 2], [-0.5, 0.5])
    return dataset_from_arrays(features, labels)


def test_the_shares_come_in_their_order_and_end_with_the_limit():
    inputs = np.random.default_rng(0).integers(-128, 128, (200, 6)).astype(np.int8)
    targets = np.sign(inputs[:, :3].astype(float) + 0.5)
    began = 1000.0
    for loss in losses.values():
        for limit in (1e-3, 0.1, 10.0, 1e4):
            schedule = plan_time(lift(inputs), targets, loss, began, limit)
            times = (began, schedule.search, schedule.readout, schedule.proofs, began + limit)
            assert list(times) == sorted(times)
            assert schedule.search <= began + finishing.SEARCHING * limit
            assert schedule.readout >= began + finishing.LEAST * limit * (1 - 1e-9)
    # Where proofs take next to nothing, all that is left of the search is for better ones.
    assert schedule.search == began + finishing.SEARCHING * limit


def test_more_outputs_leave_less_time_for_the_search(monkeypatch):
    """On a clock of which every look takes a second."""
    ticks = iter(range(1000))
    monkeypatch.setattr(finishing.time, "monotonic", lambda: float(next(ticks)))
    inputs = lift(np.random.default_rng(0).integers(-128, 128, (30, 3)).astype(np.int8))
    targets = np.sign(np.random.default_rng(1).standard_normal((30, 8)))
    ends = [
        plan_time(inputs, targets[:, :outputs], losses["squared"], 0.0, 100.0).search
        for outputs in (1, 4, 8)
    ]
    assert finishing.SEARCHING * 100 == ends[0] > ends[1] > ends[2] > 0


def test_every_output_has_a_proof_without_any_time(data):
    hurried = train(data, neurons=3, time_limit=1e-3, jobs=1)
    assert certify(hurried.model, data).holds
    assert 0 < hurried.certificate.gap < 1


def test_time_left_makes_proofs_better():
    random = np.random.default_rng(3)
    integers = lift(random.integers(-128, 128, (150, 7)).astype(np.int8))
    left, right = random.choice(np.array([-1, 1], dtype=np.int8), (2, 4, 8))
    targets = np.sign(random.standard_normal((150, 2)) + integers[:, :2] / 100)
    problems = [TrainingProblem(integers, c, 20.0, losses["squared"]) for c in targets.T]
    features = problems[0].features(left, right)
    weights = np.linalg.lstsq(features, targets, rcond=None)[0]
    readout, _ = choose_readout(problems, features, weights, 8)
    network = build_network(SharedNeurons(left, right, weights), readout)
    own = own_proofs(problems, network, readout)
    assert telling_penalty(problems, network, readout, own) > 0
    quick = prove_any_width(problems, own, 0, -math.inf, silent)
    thorough = prove_any_width(problems, own, 0, time.monotonic() + 60, silent)
    for one, two in zip(quick, thorough, strict=True):
        assert one.method == "sdp"
        assert one.value < two.value


def test_no_time_for_descents_leaves_the_first_integers_and_one_width():
    random = np.random.default_rng(5)
    integers = lift(random.integers(-128, 128, (150, 7)).astype(np.int8))
    left, right = random.choice(np.array([-1, 1], dtype=np.int8), (2, 12, 8))
    targets = np.sign(random.standard_normal((150, 2)) + integers[:, :2] / 100)
    problems = [TrainingProblem(integers, c, 20.0, losses["squared"]) for c in targets.T]
    features = problems[0].features(left, right)
    weights = np.linalg.lstsq(features, targets, rcond=None)[0]
    hasty, told = choose_readout(problems, features, weights, 4, deadline=-math.inf)
    assert [width.bits for width in told] == [4]
    assert np.abs(hasty.weights).max() <= 7
    _, thorough = choose_readout(problems, features, weights, 4)
    assert [width.bits for width in thorough] == [4, 6, 8, 16]
    assert thorough[0].objective < told[0].objective
    _, every = choose_readout(problems, features, weights, "auto", deadline=-math.inf)
    assert [width.bits for width in every] == [4, 6, 8, 16]
