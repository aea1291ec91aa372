"""The search against the clock: what it does in which time, on a clock that work moves."""

import itertools

import numpy as np
import pytest

from qdeploy.data import InputQuantizer
from qdeploy.training import joint_training, timed
from qdeploy.training.joint_training import train_jointly
from qdeploy.training.losses import losses
from qdeploy.training.search import RIDGES, Rows
from qdeploy.training.shared import solve_readout
from qdeploy.training.straight_through import straight_through
from qdeploy.training.timed import Pace, Way, search_in_time

START = 1e9


class Clock:
    """Stands still unless it is asked: each question takes a tick.

    It is far ahead of the machine's own clock, by which polish would stop.
    """

    def __init__(self, tick=1.0):
        self.now, self.tick = START, tick

    def __call__(self):
        self.now += self.tick
        return self.now


def rows_of(seed=0, count=150, inputs=6, outputs=3, loss="squared"):
    random = np.random.default_rng(seed)
    features = random.standard_normal((count, inputs)) * np.geomspace(0.5, 4, inputs)
    scores = np.einsum(
        "ni,kij,nj->nk", features, random.standard_normal((outputs,) + 2 * (inputs,)), features
    )
    targets = np.where(scores > np.median(scores, axis=0), 1.0, -1.0)
    quantizer = InputQuantizer.fit(features, tuple(map(str, range(inputs))), "tensor")
    return Rows(features, quantizer, targets, losses[loss])


def search(rows, clock, seconds, width=4):
    told = []
    best, complete = search_in_time(
        [Way(rows, 1.0, 0)], RIDGES, "classify", width, 0, Pace(START + seconds, clock), told.append
    )
    return best, complete, told


def test_the_number_of_steps_leaves_time_for_polish():
    pace = Pace(deadline=100.0, clock=lambda: 0.0, step=0.1, sweep=5.0)
    assert pace.steps(300) == 300
    assert pace.steps(3000) == 800  # four sweeps take 20 of the 100 seconds
    pace.sweep = 50.0
    assert pace.steps(3000) == 600  # they may take 40, no more
    assert Pace(deadline=-1.0, clock=lambda: 0.0, step=0.1).steps(300) == 0


def test_no_time_at_all_still_gives_a_network():
    best, complete, told = search(rows_of(), Clock(), -5.0)
    assert best.found.left.shape == (4, 7)
    assert not complete
    assert len(told) == 1


def test_more_time_is_never_worse_and_means_more_starts(monkeypatch):
    monkeypatch.setattr(timed, "CHOOSING", 0.0)
    found = [search(rows_of(), Clock(), seconds) for seconds in (500.0, 1500.0, 4000.0)]
    objectives = [best.found.readout.objective for best, _, _ in found]
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[0] > objectives[-1]
    counts = [len(told) for _, _, told in found]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_the_clock_is_kept_within_one_check():
    clock = Clock()
    search(rows_of(), clock, 2000.0)
    assert 1500 < clock.now - START < 2100


def test_held_out_rows_are_asked_only_where_there_is_time():
    for seconds, asked in ((300.0, False), (3000.0, True)):
        _, _, told = search(rows_of(), Clock(), seconds)
        assert any(event.stage.startswith("choosing") for event in told) == asked


def test_without_improvement_it_ends_before_its_time():
    clock = Clock(1e-3)
    best, complete, _ = search(rows_of(count=40, inputs=2, outputs=1), clock, 1e6, width=1)
    assert complete
    assert clock.now < START + 1e3
    assert best.found.left.shape == (1, 3)


def test_an_interruption_keeps_the_best_so_far():
    def interrupt(event):
        if event.stage.startswith("searching") and event.completed == 2:
            raise KeyboardInterrupt

    rows = rows_of()
    best, complete = search_in_time(
        [Way(rows, 1.0, 0)], RIDGES, "classify", 4, 0, Pace(2 * START, Clock()), interrupt
    )
    assert not complete
    problem = rows.problem(best.scales, best.choice.ridge)
    solved = solve_readout(problem, problem.features(best.found.left, best.found.right))
    assert best.found.readout.objective == pytest.approx(solved.objective)


def test_the_ridge_is_the_one_with_the_lowest_loss_on_held_out_rows(monkeypatch):
    """Labels are noise, so that whatever fits the training rows closely predicts badly."""
    rows = rows_of(count=60)
    noise = np.random.default_rng(1).choice([-1.0, 1.0], rows.targets.shape)
    rows = Rows(rows.features, rows.quantizer, noise, rows.loss)
    values = {}
    held_out = timed._TimedSearch._held_out

    def kept(self, way, scaled, mask, seed, steps):
        values[scaled, seed] = held_out(self, way, scaled, mask, seed, steps)
        return values[scaled, seed]

    monkeypatch.setattr(timed._TimedSearch, "_held_out", kept)
    best, _, _ = search(rows, Clock(0.1), 500.0, width=12)
    totals = {
        scaled: sum(found for (kind, _), found in values.items() if kind == scaled)
        for scaled in (True, False)
    }
    assert totals[best.choice.scaled].min() == min(total.min() for total in totals.values())
    position = int(totals[best.choice.scaled].argmin())
    assert best.choice.ridge == RIDGES[position] == max(RIDGES)


@pytest.mark.parametrize("loss", ["squared", "logistic", "squared-hinge"])
def test_learned_scales_fit_more_closely_in_the_same_steps(loss):
    rows = rows_of(loss=loss)
    options = {"rate": 0.1, "steps": 150, "ridge": 1e-3}
    objectives = {0.0: 0.0, 0.1: 0.0}
    for scale_rate, seed in itertools.product(objectives, range(4)):
        found = train_jointly(
            rows.steps(), rows.targets, rows.loss.smoothed(), 4, np.random.default_rng(seed),
            scale_rate=scale_rate, **options,
        )  # fmt: skip
        assert found.scales[-1] == 1
        assert 0.125 * (1 - 1e-6) <= found.scales.min() <= found.scales.max() <= 4 * (1 + 1e-6)
        problem = rows.problem(found.scales, 1e-3)
        readout = solve_readout(problem, problem.features(found.left, found.right))
        objectives[scale_rate] += readout.objective
    assert objectives[0.1] < objectives[0.0]


def test_fixed_scales_give_what_straight_through_training_gives():
    rows = rows_of()
    plain = np.ones(rows.dimension)
    problem = rows.problem(plain, 1e-3)
    left, right = straight_through(problem, 4, np.random.default_rng(2), rate=0.1, steps=40)
    found = train_jointly(
        rows.steps(), rows.targets, rows.loss, 4, np.random.default_rng(2),
        rate=0.1, steps=40, ridge=1e-3, scale_rate=0.0,
    )  # fmt: skip
    values = [
        solve_readout(problem, problem.features(*signs)).objective
        for signs in ((left, right), (found.left, found.right))
    ]
    assert values[1] == pytest.approx(values[0], rel=0.05)


@pytest.mark.parametrize("width", [1, 4, 12])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_never_above_straight_through_training_of_as_many_steps(width, seed):
    """On the clock a step takes a tick; the baseline has no polish, no scales, no held-out rows."""
    rows = rows_of(seed)
    best, _, _ = search(rows, Clock(), 1500.0, width=width)
    problem = rows.problem(np.ones(rows.dimension), best.choice.ridge)
    baseline = min(
        solve_readout(
            problem,
            problem.features(
                *straight_through(problem, width, np.random.default_rng(k), rate=rate, steps=300)
            ),
        ).objective
        for k, rate in enumerate((0.2, 0.05, 0.1, 0.03, 0.2))
    )
    assert best.found.readout.objective <= baseline


def test_batches_see_every_row_and_learn():
    rows = rows_of(count=3000)
    objectives = []
    for steps in (1, 200):
        found = train_jointly(
            rows.steps(), rows.targets, rows.loss, 8, np.random.default_rng(0),
            rate=0.1, steps=steps, ridge=1e-3, batch=256,
        )  # fmt: skip
        problem = rows.problem(found.scales, 1e-3)
        readout = solve_readout(problem, problem.features(found.left, found.right))
        objectives.append(readout.objective)
    assert objectives[1] < 0.7 * objectives[0]


@pytest.mark.parametrize(("loss", "share"), [("squared-hinge", 0.98), ("logistic", 0.85)])
def test_on_batches_a_loss_goes_on_from_the_readout_before(monkeypatch, loss, share):
    """Started from the targets at every step, a readout is not solved within its few steps."""

    def objective():
        total = 0.0
        for seed in range(3):
            rows = rows_of(seed, count=2000, loss=loss)
            found = train_jointly(
                rows.steps(), rows.targets, rows.loss.smoothed(), 8, np.random.default_rng(0),
                rate=0.1, steps=150, ridge=1e-3, batch=256,
            )  # fmt: skip
            problem = rows.problem(found.scales, 1e-3)
            total += solve_readout(problem, problem.features(found.left, found.right)).objective
        return total

    followed = objective()
    monkeypatch.setattr(joint_training, "_response", lambda *_: None)
    assert followed < share * objective()
