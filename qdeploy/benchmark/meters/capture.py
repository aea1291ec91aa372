"""What an instrument recorded, and the energy of a part of it: current times voltage, summed.

A sample is the mean of its period, so that the sum over a window counts the samples at its ends by
the share of them that lies inside. Lost samples are NaN; they widen the interval, and too many are
refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError

__all__ = [
    "Capture",
    "Pulse",
    "Stretch",
    "Trace",
    "Window",
    "energy",
    "find_window",
    "median_of",
    "power_of",
    "pulses_of",
]

MOST_LOST = 0.01
"""Share of a window whose samples may be lost."""


@dataclass(frozen=True)
class Trace:
    """Samples at a steady rate.

    Attributes:
        start: when the first sample begins, seconds on the instrument's clock.
        period: seconds a sample.
        values: (n,) float64, the mean over each period; NaN where a sample was lost.
    """

    start: float
    period: float
    values: NDArray[np.float64]

    @property
    def end(self) -> float:
        """When the last sample ends."""
        return self.start + self.period * len(self.values)


@dataclass(frozen=True)
class Pulse:
    """A time at which the timing input fell, and rose again, on the instrument's clock."""

    fall: float
    rise: float


@dataclass(frozen=True)
class Capture:
    """What an instrument recorded.

    Attributes:
        watts: power of the board.
        amperes: its current, to tell when it left the instrument's range.
        pulses: of the timing input.
        resolution: seconds by which the edges of pulses may be off.
        host_offset: what added to the instrument's clock gives the host's (time.monotonic).
        host_uncertainty: seconds by which `host_offset` may be off.
    """

    watts: Trace
    amperes: Trace
    pulses: tuple[Pulse, ...]
    resolution: float
    host_offset: float
    host_uncertainty: float


@dataclass(frozen=True)
class Stretch:
    """When the host saw a stretch of inferences run, on its own clock (time.monotonic).

    Attributes:
        start: the first one began.
        end: the last one had ended.
        uncertainty: seconds by which either may be off.
    """

    start: float
    end: float
    uncertainty: float


@dataclass(frozen=True)
class Window:
    """The part of a capture in which the inferences ran.

    Attributes:
        start: on the instrument's clock.
        end: on the instrument's clock.
        uncertainty: seconds by which either may be off.
        how: what told them, in words.
    """

    start: float
    end: float
    uncertainty: float
    how: str


def power_of(current: Trace, voltage: Trace) -> Trace:
    """Power of a current and a voltage that may be sampled at other times.

    Args:
        current: amperes.
        voltage: volts; between samples it is interpolated.
    """
    known = ~np.isnan(voltage.values)
    if not known.any():
        return Trace(current.start, current.period, np.full(len(current.values), np.nan))
    at = _middles(current)
    volts = np.interp(at, _middles(voltage)[known], voltage.values[known])
    return Trace(current.start, current.period, current.values * volts)


def pulses_of(levels: NDArray[np.bool_], start: float, period: float) -> tuple[Pulse, ...]:
    """The complete pulses of a sampled input that rests high.

    An edge lies somewhere between two samples; it is put halfway.

    Args:
        levels: (n,) true where the input is high.
        start: when the first sample was taken.
        period: seconds a sample.
    """
    steps = np.diff(levels.astype(np.int8))
    falls = np.flatnonzero(steps < 0)
    rises = np.flatnonzero(steps > 0)
    # An input that starts low rises first: that pulse began before the recording.
    rises = rises[rises > falls[0]] if len(falls) else rises[:0]
    times = (
        (start + (fall + 0.5) * period, start + (rise + 0.5) * period)
        for fall, rise in zip(falls, rises, strict=False)
    )
    return tuple(Pulse(fall, rise) for fall, rise in times)


def find_window(capture: Capture, stretch: Stretch, wire: str) -> Window:
    """Where the inferences are: between two pulses, or where the host saw them.

    The energy build pulses right before the first inference and right after the last one, so they
    ran from the rise of the first pulse to the fall of the second.

    Args:
        capture: a recording of one stretch.
        stretch: what the host saw of it.
        wire: the timing input, for messages.

    Raises:
        QDeployError: the recording ends before the inferences did, or there are pulses, but not
            two.
    """
    uncertainty = stretch.uncertainty + capture.host_uncertainty
    missing = stretch.end - (capture.watts.end + capture.host_offset)
    if missing > uncertainty:
        raise QDeployError(
            f"the recording ends {missing:.2f} s before the inferences did; "
            "look at the connection of the instrument"
        )
    match capture.pulses:
        case [first, second]:
            return Window(
                first.rise, second.fall, capture.resolution, f"window by the pulses on {wire}"
            )
        case []:
            return Window(
                stretch.start - capture.host_offset,
                stretch.end - capture.host_offset,
                uncertainty,
                f"no pulse on {wire}, so window by the host's time stamps, "
                f"±{uncertainty * 1e3:.0f} ms at each end",
            )
        case pulses:
            raise QDeployError(
                f"{len(pulses)} pulses were seen on {wire} where one before and one after the "
                "inferences belong; look at the wire to the pin of the energy build, and at the "
                "ground beside it"
            )


def energy(capture: Capture, window: Window, *, most_amperes: float) -> Estimate:
    """Energy of a window in joules.

    The interval moves both ends of the window by their uncertainty, and gives lost samples the
    least and the greatest power of the window. It does not hold the instrument's own accuracy.

    Args:
        capture: the recording.
        window: the part that counts.
        most_amperes: the most that the instrument can measure.

    Raises:
        QDeployError: the window is empty or not recorded, too many samples were lost, or the
            current was out of range.
    """
    start, end, margin = window.start, window.end, window.uncertainty
    trace = capture.watts
    if not start < end:
        raise QDeployError(
            "the recording shows no time between start and end of the inferences; run more of them"
        )
    # Half a period of slack: the last sample of a stream may still be on its way.
    if start < trace.start - trace.period / 2 or end > trace.end + trace.period / 2:
        raise QDeployError(
            f"the recording from {trace.start:.3f} to {trace.end:.3f} s does not cover the "
            f"inferences from {start:.3f} to {end:.3f} s; look at the connection of the instrument"
        )
    amperes = capture.amperes.values[_weights(capture.amperes, start, end) > 0]
    known = amperes[~np.isnan(amperes)]
    if known.size and np.abs(known).max() >= most_amperes:
        raise QDeployError(
            f"the current left the instrument's range of {most_amperes:g} A; "
            "measure the microcontroller's supply alone"
        )
    inner = _integrals(trace, start + margin, end - margin) if end - start > 2 * margin else None
    outer = _integrals(trace, start - margin, end + margin)
    middle = _integrals(trace, start, end)
    low = 0.0 if inner is None else inner.low
    return Estimate(middle.value, min(low, middle.low), max(outer.high, middle.high))


def _integrals(trace: Trace, start: float, end: float) -> Estimate:
    """Integral of a trace, with the interval that its lost samples leave."""
    weights = _weights(trace, start, end)
    inside = weights > 0
    weights, values = weights[inside], trace.values[inside]
    lost = np.isnan(values)
    lost_seconds, seconds = float(weights[lost].sum()), float(weights.sum())
    if lost_seconds > MOST_LOST * seconds:
        raise QDeployError(
            f"{lost_seconds / seconds:.0%} of the samples were lost on the way to this machine; "
            "close other programs, or plug the instrument into another port"
        )
    kept, known = weights[~lost], values[~lost]
    total = float(kept @ known)
    if not lost.any():
        return Estimate(total, total, total)
    return Estimate(
        total + lost_seconds * total / float(kept.sum()),
        total + lost_seconds * float(known.min()),
        total + lost_seconds * float(known.max()),
    )


def _weights(trace: Trace, start: float, end: float) -> NDArray[np.float64]:
    """Seconds of each sample that lie between start and end."""
    edges = trace.start + trace.period * np.arange(len(trace.values) + 1)
    return np.diff(np.clip(edges, start, end))


def _middles(trace: Trace) -> NDArray[np.float64]:
    count = np.arange(len(trace.values), dtype=np.float64)
    return trace.start + trace.period * (count + 0.5)


def median_of(readings: Sequence[Estimate]) -> Estimate:
    """The median of several readings, and an interval that holds all of theirs."""
    return Estimate(
        float(np.median([reading.value for reading in readings])),
        min(reading.low for reading in readings),
        max(reading.high for reading in readings),
    )
