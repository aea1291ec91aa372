from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.benchmark.harness import clock_cost
from qdeploy.benchmark.timing import (
    GroupPlan,
    PythonTimer,
    Samples,
    Schedule,
    interleave,
    order_statistic_interval,
    plan_groups,
)


class FixedTimer:
    """Pretends that every call takes the same time, and writes down who was called."""

    def __init__(self, seconds, log=None, name=""):
        self.seconds, self.log, self.name = seconds, log, name

    def measure(self, calls, groups, warm_seconds=0.0):
        if self.log is not None and warm_seconds:
            self.log.append(self.name)
        return np.full(groups, self.seconds)


def samples_of(*rounds):
    return Samples(GroupPlan(1, len(rounds[0])), tuple(np.array(r, float) for r in rounds))


@given(cost=st.floats(1e-10, 1e-1))
def test_a_group_outweighs_a_hundred_readings_of_the_clock(cost):
    plan = plan_groups(FixedTimer(cost), Schedule(seconds=1.0))
    assert plan.calls * cost >= 100 * clock_cost() * (1 - 1e-9)
    assert plan.calls == 1 or (plan.calls - 1) * cost < 1000 * clock_cost()
    assert 1 <= plan.groups <= 2000


def test_cheaper_calls_come_in_larger_groups():
    costs = [1e-4, 1e-6, 1e-8, 1e-10]
    calls = [plan_groups(FixedTimer(cost), Schedule(seconds=1.0)).calls for cost in costs]
    assert all(fewer <= more for fewer, more in pairwise(calls))
    assert calls[0] == 1 < calls[-1]


def test_implementations_take_turns():
    log, events = [], []
    timers = {name: FixedTimer(1e-3, log, name) for name in "abc"}
    samples = interleave(timers, Schedule(seconds=0.1, rounds=6), progress=events.append)
    assert log == list("abc") * 6
    assert {name: len(taken.rounds) for name, taken in samples.items()} == dict.fromkeys("abc", 6)
    assert events[-1].completed == events[-1].total == 18


def test_the_quantile_is_that_of_all_samples_and_lies_in_its_interval():
    samples = samples_of(*[[1, 2, 3, 4 + k] for k in range(10)])
    for share in (0.0, 0.5, 0.95, 0.99):
        estimate = samples.quantile(share)
        assert estimate.value == np.quantile(samples.all, share)
        assert estimate.low <= estimate.value <= estimate.high


def test_a_ratio_is_untouched_by_what_disturbs_both():
    disturbance = np.array([1, 1, 3, 1, 2, 1, 1, 5, 1, 1.0])
    slow = samples_of(*[[10 * d, 10 * d] for d in disturbance])
    fast = samples_of(*[[2 * d, 2 * d] for d in disturbance])
    ratio = slow.ratio_to(fast)
    assert (ratio.value, ratio.low, ratio.high) == (5, 5, 5)


@pytest.mark.parametrize(
    ("count", "inner"), [(6, 0), (8, 0), (9, 1), (10, 1), (12, 2), (20, 5), (24, 6)]
)
def test_the_interval_leaves_out_as_many_as_the_binomial_allows(count, inner):
    values = np.arange(count, dtype=float)
    assert order_statistic_interval(values[::-1]) == (inner, count - 1 - inner)


def test_the_interval_covers_the_median_often_enough():
    draws = np.random.default_rng(0).exponential(size=(2000, 10))
    inside = [low <= np.log(2) <= high for low, high in map(order_statistic_interval, draws)]
    assert np.mean(inside) > 0.95


def test_python_calls_take_inputs_in_turn_and_are_counted():
    seen = []
    timer = PythonTimer(seen.append, np.array([[1], [2], [3]]))
    assert (timer.measure(calls=2, groups=2) > 0).all()
    assert [int(x[0]) for x in seen] == [1, 2, 3, 1]


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0.0}, {"seconds": 1.0, "rounds": 5}, {"seconds": 1.0, "warm_share": 1.0}]
)
def test_a_schedule_that_gives_no_interval_is_refused(wrong):
    with pytest.raises(ValueError, match="schedule"):
        Schedule(**wrong)
