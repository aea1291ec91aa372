"""Weighing by a clock: timers of candidates take turns, the two of a race for longer."""

from collections.abc import Sequence

from qdeploy.benchmark.timing import Estimate, Samples, Schedule, Timer, interleave
from qdeploy.compiler.plan import Candidate
from qdeploy.tuning.measures import BATCH_ROWS, Subject, Weighing

__all__ = ["POOL", "TimedWeighing", "rows_of"]

POOL = 64
"""Inputs that calls take in turn."""

_RACE = 4
"""How many times the time of a candidate each of the two in a race gets."""


def rows_of(candidate: Candidate) -> int:
    """Samples of one timed call."""
    return 1 if candidate.use == "single" else BATCH_ROWS


class TimedWeighing(Weighing):
    """Candidates that a clock weighs.

    Args:
        subject: what is tuned.
        found: the candidates.
        where: machine, in words.
        timers: one a candidate; a call is `rows_of` samples.
        clock: seconds that a reading of their clock takes; None for this machine's.
    """

    def __init__(
        self,
        subject: Subject,
        found: Sequence[Candidate],
        where: str,
        timers: Sequence[Timer],
        clock: float | None = None,
    ) -> None:
        self._clock = clock
        self.where = where
        self._subject = subject
        self._rows = [rows_of(candidate) for candidate in found]
        self._timers = timers

    def costs(self) -> list[Estimate]:
        """Seconds a sample of each candidate."""
        numbers = range(len(self._timers))
        samples = self._measure(numbers, self._subject.seconds, "tuning")
        return [self._each(number, samples[number]) for number in numbers]

    def ratio(self, first: int, second: int) -> Estimate:
        """Time of one over that of another."""
        samples = self._measure((first, second), _RACE * self._subject.seconds, "racing")
        return samples[first].ratio_to(samples[second])

    def _measure(self, numbers: Sequence[int], seconds: float, stage: str) -> dict[int, Samples]:
        timers = {number: self._timers[number] for number in numbers}
        return interleave(
            timers,
            Schedule(seconds),
            clock=self._clock,
            stage=stage,
            progress=self._subject.progress,
        )

    def _each(self, number: int, taken: Samples) -> Estimate:
        median, rows = taken.quantile(0.5), self._rows[number]
        return Estimate(median.value / rows, median.low / rows, median.high / rows)
