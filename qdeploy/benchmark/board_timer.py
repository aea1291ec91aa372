"""Times a connected board by its own clock, and runs stretches of inferences for an instrument.

The device's time stamps are whole microseconds before and after the inferences, without the serial
port. They are as right as the clock that the target's file states, so the host's clock, coarse but
honest, checks them.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.meters.capture import Stretch
from qdeploy.benchmark.timing import Estimate, order_statistic_interval
from qdeploy.errors import QDeployError
from qdeploy.runners.serial_board import BoardSession, TimedInference

__all__ = ["ROUNDS", "BoardTimer"]

ROUNDS = 6
"""The fewest for a 95 % interval."""
_TICK = 1e-6
_SHORTEST = 1e-3
"""Seconds that a trial must last to tell how many inferences fill a round."""
_CLOCK_TOLERANCE = 0.03
"""Oscillators without crystal are off by 1 to 2 %; a wrong divider is off by far more."""
_MARGIN_SECONDS = 10.0
_MOST = 2**31 - 16
"""Inferences that one command can ask for."""


class BoardTimer:
    """A board that is connected when it is first needed, so that an instrument can power it.

    Args:
        open_board: connects to the board.
        x: input (d,) of all inferences; the time must not depend on it.
        seconds: roughly, of one inference; a reply that takes twice as long is waited for.
    """

    def __init__(
        self,
        open_board: Callable[[], BoardSession],
        x: NDArray[np.int8],
        seconds: float = _SHORTEST,
    ) -> None:
        self._open_board = open_board
        self._x = x
        self._session: BoardSession | None = None
        self._seconds = seconds

    def prepare(self) -> None:
        """Connect and send the input."""
        if self._session is None:
            self._session = self._open_board()
            self._session.load(self._x)

    def run(self, calls: int) -> Stretch:
        """Run inferences in a row, and say when this machine saw them."""
        done = self._infer(calls)
        return Stretch(done.start, done.end, done.uncertainty)

    def measure(self, calls: int, groups: int, warm_seconds: float = 0.0) -> NDArray[np.float64]:
        """Mean seconds an inference of each group, (groups,), after warming up.

        Raises:
            QDeployError: the firmware is an energy build, which sends no time stamps.
        """
        if warm_seconds > 0:
            self._infer(min(_MOST, max(1, round(warm_seconds / self._seconds))))
        return np.array([_seconds(self._infer(calls)) for _ in range(groups)])

    def latency(self, seconds: float) -> Estimate:
        """Median time of an inference; the interval is that of the rounds and of a clock's tick.

        Args:
            seconds: how long to measure.

        Raises:
            QDeployError: an energy build, or the board's clock is not what its file says.
        """
        calls = 1
        while (one := _seconds(self._infer(calls))) * calls < _SHORTEST and calls < _MOST // 8:
            calls *= 8
        self._seconds = max(one, _TICK / calls)
        calls = min(_MOST, max(1, round(seconds / ROUNDS / self._seconds)))
        done = [self._infer(calls) for _ in range(ROUNDS)]
        _check_clock(done)
        rounds = np.array([_seconds(each) for each in done])
        low, high = order_statistic_interval(rounds)
        value, tick = float(np.median(rounds)), _TICK / calls
        return Estimate(value, max(0.0, low - tick), high + tick)

    def _infer(self, calls: int) -> TimedInference:
        self.prepare()
        assert self._session is not None
        # Twice the time that is expected, since the first estimate is a rough one.
        timeout = _MARGIN_SECONDS + 2 * calls * self._seconds
        return self._session.infer(calls, timeout=timeout)

    def close(self) -> None:
        """Give the port back."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> "BoardTimer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _seconds(done: TimedInference) -> float:
    microseconds = done.inference.microseconds
    if microseconds is None:
        raise QDeployError(
            "the firmware is an energy build, which sends no time stamps; "
            "flash the performance build to measure latency"
        )
    return microseconds * 1e-6


def _check_clock(rounds: Sequence[TimedInference]) -> None:
    """Compare the device's clock with this machine's, as far as that can tell."""
    if not all(_disagrees(done) for done in rounds):
        # This machine may be late now and then, but not always.
        return
    told = sum(_seconds(done) * done.inference.iterations for done in rounds)
    seen = sum(done.end - done.start for done in rounds)
    raise QDeployError(
        f"the board says that {told:.3f} s passed where this machine saw {seen:.3f} s; "
        "its clock is not what the target's file says, so look at clock_megahertz and setup"
    )


def _disagrees(done: TimedInference) -> bool:
    told = _seconds(done) * done.inference.iterations
    seen = done.end - done.start
    return abs(told - seen) > 2 * done.uncertainty + _CLOCK_TOLERANCE * max(told, seen)
