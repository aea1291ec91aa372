"""A simulated bench: a board that draws known currents, on a clock that nobody waits for."""

import threading

import numpy as np
import pytest

from qdeploy.benchmark.meters import Load, instrument, joulescope, otii, ppk2
from qdeploy.benchmark.meters.capture import Stretch
from qdeploy.benchmark.timing import Estimate
from qdeploy.targets import Power

PULSE = 2e-3
LATENCY = 1e-3


class Bench:
    """Board, wire and clock.

    Attributes:
        now: the host's clock.
        volts: of the supply.
        profile: amperes at a share 0 … 1 of a stretch, vectorised.
        pulses: how many pulses a stretch sends (2), for broken wires and firmware.
        lost: intervals of time in which instruments lose samples.
        gone: time from which the instrument is unplugged.
    """

    idle = 1e-3

    def __init__(self):
        self.now = 1000.0
        self.volts = 3.0
        self.profile = lambda share: np.full_like(share, 10e-3)
        self.pulses = 2
        self.lost = []
        self.gone = np.inf
        self.stretches = []  # (start, end) of the inferences
        self.low = []  # (start, end) of pulses
        self.prepared = 0
        self.listeners = []
        self.lock = threading.Lock()

    def advance(self, seconds):
        with self.lock:
            self.now += seconds
        for listener in self.listeners:
            listener()

    def monotonic(self):
        return self.now

    def _pulse(self, present):
        if present:
            self.low.append((self.now, self.now + PULSE))
        self.advance(PULSE)

    # The board, as a StretchTimer.

    def prepare(self):
        self.prepared += 1

    def run(self, calls):
        self.advance(0.05)  # the command, the warm-up, the lines before
        self._pulse(self.pulses >= 1)
        start, end = self.now, self.now + calls * LATENCY
        self.stretches.append((start, end))
        if self.pulses > 2:
            middle = (start + end) / 2
            self.low.append((middle, middle + PULSE))
        self.advance(calls * LATENCY)
        self._pulse(self.pulses >= 2)
        self.advance(0.05)
        return Stretch(start - 0.01, end + 0.02, 0.03)

    def measure(self, calls, groups, warm_seconds=0.0):
        raise AssertionError("an instrument runs stretches")

    # What instruments see.

    def amperes(self, times):
        values = np.full(len(times), self.idle)
        for start, end in self.stretches:
            inside = (times >= start) & (times < end)
            values[inside] = self.profile((times[inside] - start) / (end - start))
        return values

    def high(self, times):
        levels = np.ones(len(times), dtype=bool)
        for start, end in self.low:
            levels &= ~((times >= start) & (times < end))
        return levels

    def keep(self, times):
        kept = times < self.gone
        for start, end in self.lost:
            kept &= ~((times >= start) & (times < end))
        return kept

    def joules(self, stretch=0):
        """The true energy of a call of a stretch."""
        start, end = self.stretches[stretch]
        share = (np.arange(200_000) + 0.5) / 200_000
        calls = (end - start) / LATENCY
        return float(self.volts * self.profile(share).mean() * (end - start) / calls)

    def load(self, seconds=0.6):
        power = Power(low=1e-3, typical=2e-3, high=3e-3, kind="datasheet", source="a document")
        return Load(self, Estimate(LATENCY, LATENCY, LATENCY), 1, seconds, power)


@pytest.fixture
def bench(monkeypatch):
    made = Bench()
    monkeypatch.setattr(instrument, "sleep", made.advance)
    for module in (ppk2, otii):
        monkeypatch.setattr(module, "sleep", made.advance)
    for module in (instrument, joulescope, ppk2, otii):
        monkeypatch.setattr(module, "monotonic", made.monotonic)
    return made


def constant(share):
    return np.full_like(share, 10e-3)


def ramp(share):
    return 2e-3 + 18e-3 * share


def bursts(share):
    return np.where((share * 20) % 1 < 0.3, 40e-3, 1e-3)


@pytest.fixture(params=[constant, ramp, bursts], ids=lambda profile: profile.__name__)
def profile(request, bench):
    bench.profile = request.param
    return request.param
