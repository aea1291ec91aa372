"""From timers to samples to figures: group sizes, interleaved rounds, intervals.

A sample is the mean of a group of consecutive calls, as many as make the clock's own cost less than
1 % of the group. All implementations take turns in short rounds, so that a change of clock rate or
a busy neighbour meets all of them alike; the interval of a statistic comes from its spread between
rounds, since samples within a round are not independent.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.harness import clock_cost
from qdeploy.progress import Progress, ProgressEvent, silent

__all__ = [
    "CLOCK_SHARE",
    "COVERAGE",
    "Estimate",
    "GroupPlan",
    "PythonTimer",
    "Samples",
    "Schedule",
    "Timer",
    "interleave",
    "order_statistic_interval",
    "plan_groups",
]

CLOCK_SHARE = 0.01
"""Largest share of a group that reading the clock may take."""

COVERAGE = 0.95
"""Coverage of the intervals."""

MOST_GROUPS = 2000
"""Groups in one round at most: more add memory and no information."""

Key = TypeVar("Key", bound=Hashable)


class Timer(Protocol):
    """Something that can be called many times in a row against the clock."""

    def measure(self, calls: int, groups: int, warm_seconds: float = 0.0) -> NDArray[np.float64]:
        """Mean seconds a call of each group, (groups,), after warming up."""
        ...


class PythonTimer:
    """Times a Python callable over inputs taken in turn; the loop around it is included.

    Args:
        run: what is timed.
        inputs: its arguments; the first axis is taken in turn.
    """

    def __init__(self, run: Callable[[Any], object], inputs: NDArray[Any]) -> None:
        self._run = run
        self._inputs = list(inputs)
        self._next = 0

    def measure(self, calls: int, groups: int, warm_seconds: float = 0.0) -> NDArray[np.float64]:
        """Mean seconds a call of each group, (groups,), after warming up."""
        warm_until = time.perf_counter() + warm_seconds
        while time.perf_counter() < warm_until:
            self._group(calls)
        return np.array([self._group(calls) for _ in range(groups)])

    def _group(self, calls: int) -> float:
        order = [self._inputs[(self._next + i) % len(self._inputs)] for i in range(calls)]
        self._next += calls
        run = self._run
        start = time.perf_counter()
        for x in order:
            run(x)
        return (time.perf_counter() - start) / calls


@dataclass(frozen=True)
class Schedule:
    """How much time a measurement gets.

    Attributes:
        seconds: for each timer, over all rounds.
        rounds: turns that each timer takes; six are the fewest for a 95 % interval.
        warm_share: share of each round that is spent warming up.
    """

    seconds: float
    rounds: int = 10
    warm_share: float = 0.2

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.rounds < 6 or not 0 <= self.warm_share < 1:
            raise ValueError("a schedule needs time, six rounds or more and a warm share below 1")

    @property
    def round_seconds(self) -> float:
        """Time of one timer in one round."""
        return self.seconds / self.rounds


@dataclass(frozen=True)
class GroupPlan:
    """Calls in a group and groups in a round."""

    calls: int
    groups: int


def plan_groups(timer: Timer, schedule: Schedule, clock: float | None = None) -> GroupPlan:
    """The smallest group that the clock can resolve, and how many of them fill a round.

    Args:
        timer: what is timed.
        schedule: time and rounds.
        clock: seconds that a reading of its clock takes; None for this machine's.
    """
    shortest = (clock_cost() if clock is None else clock) / CLOCK_SHARE
    calls = 1
    while (group := float(np.median(timer.measure(calls, 5))) * calls) < shortest:
        # A margin, lest a group that is only just long enough here be too short in the run.
        calls = max(calls + 1, round(calls * min(10.0, 1.5 * shortest / group)))
    useful = schedule.round_seconds * (1 - schedule.warm_share)
    return GroupPlan(calls, int(np.clip(useful / group, 1, MOST_GROUPS)))


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Samples:
    """Seconds a call, as they were measured.

    Attributes:
        plan: calls in each sample.
        rounds: one array of samples a round.
    """

    plan: GroupPlan
    rounds: tuple[NDArray[np.float64], ...]

    @property
    def all(self) -> NDArray[np.float64]:
        """Every sample, in the order of measurement."""
        return np.concatenate(self.rounds)

    def quantile(self, share: float) -> Estimate:
        """A quantile of all samples; its interval is that of the rounds' own quantiles."""
        return _with_interval(float(np.quantile(self.all, share)), self._each(share))

    def ratio_to(self, other: "Samples") -> Estimate:
        """Ratio of the medians, self over other; both come from the same `interleave`.

        The interval is that of the ratios within each round, where what disturbed one disturbed
        the other: it is narrower than what the two intervals would allow.
        """
        value = float(np.median(self.all) / np.median(other.all))
        return _with_interval(value, self._each(0.5) / other._each(0.5))

    def _each(self, share: float) -> NDArray[np.float64]:
        return np.array([np.quantile(samples, share) for samples in self.rounds])

    @property
    def note(self) -> str:
        """What a sample is and how many there are."""
        calls = self.plan.calls
        sample = "single calls" if calls == 1 else f"means of {calls} consecutive calls"
        return (
            f"{self.all.size} samples, {sample}, in {len(self.rounds)} interleaved rounds; "
            "interval: 95 % order statistics of the rounds"
        )


def _with_interval(value: float, rounds: NDArray[np.float64]) -> Estimate:
    low, high = order_statistic_interval(rounds)
    return Estimate(value, min(low, value), max(high, value))


def order_statistic_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Interval that holds the median with 95 % or more, whatever the distribution.

    The k-th smallest and k-th largest of n independent values enclose the median with probability
    1 - 2·P(Binomial(n, ½) < k); the largest k that keeps 95 % is taken.

    Args:
        values: (n,), n ≥ 6.
    """
    from scipy.stats import binom

    ordered = np.sort(values)
    outside = int(binom.ppf((1 - COVERAGE) / 2, ordered.size, 0.5))
    # ppf gives the smallest k whose tail reaches 2.5 %, so k values can be left out on each side.
    inner = max(outside - 1, 0)
    return float(ordered[inner]), float(ordered[-1 - inner])


def interleave(
    timers: Mapping[Key, Timer],
    schedule: Schedule,
    *,
    clock: float | None = None,
    stage: str = "timing",
    progress: Progress = silent,
) -> dict[Key, Samples]:
    """Let the timers take turns until each has had its rounds.

    Args:
        timers: what to time, by any key.
        schedule: time and rounds.
        clock: seconds that a reading of their clock takes; None for this machine's.
        stage: what to call this in the progress.
        progress: told after each turn.
    """
    plans = {key: plan_groups(timer, schedule, clock) for key, timer in timers.items()}
    samples: dict[Key, list[NDArray[np.float64]]] = {key: [] for key in timers}
    warm = schedule.round_seconds * schedule.warm_share
    total = len(timers) * schedule.rounds
    for number in range(schedule.rounds):
        for place, (key, timer) in enumerate(timers.items()):
            plan = plans[key]
            samples[key].append(timer.measure(plan.calls, plan.groups, warm))
            progress(ProgressEvent(stage, number * len(timers) + place + 1, total))
    return {key: Samples(plans[key], tuple(rounds)) for key, rounds in samples.items()}
