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


class NoProjectError(Exception):
    """Like otii.OtiiException."""


class Arc:
    """An Otii Arc, as far as it is used."""

    type = "Arc"

    def __init__(self, bench, name="Arc 1"):
        self.id = f"id of {name}"
        self.name = name
        self.bench = bench
        self.calls = []
        self.channels = []

    def enable_channel(self, channel, enable):
        assert enable
        self.channels.append(channel)

    def __getattr__(self, method):
        settings = {"set_power_regulation", "set_main_voltage", "set_exp_voltage", "set_main"}
        if method not in {*settings, "enable_exp_port"}:
            raise AttributeError(method)
        return lambda value: self.calls.append((method, value))


class Recording:
    """What an Otii server recorded: current 4000 times a second, voltage 1000 times, changes."""

    def __init__(self, bench, start, end, channels, wired):
        self.bench, self.start, self.channels, self.wired = bench, start, channels, wired
        self.end = min(end, bench.gone)

    def get_channel_data_count(self, device_id, channel):
        return len(self.get_channel_data(device_id, channel, 0, 10**9)["values"])

    def get_channel_data(self, device_id, channel, index, count, strip=True):
        assert channel in self.channels
        assert device_id.startswith("id of")
        if channel.startswith("i"):
            changes = [{"timestamp": 0.0, "value": True}]
            for fall, rise in self.bench.low if channel == self.wired else ():
                if self.start < fall and rise < self.end:
                    changes += [
                        {"timestamp": fall - self.start, "value": False},
                        {"timestamp": rise - self.start, "value": True},
                    ]
            return {"data_type": "digital", "values": changes}
        interval = {"mc": 1 / 4000, "mv": 1 / 1000}[channel]
        times = self.start + (np.arange(int((self.end - self.start) / interval)) + 0.5) * interval
        values = self.bench.amperes(times) if channel == "mc" else np.full(len(times), 3.0)
        return {
            "data_type": "analog",
            "timestamp": 0.0,
            "interval": interval,
            "values": values.tolist(),
        }


class Server:
    """What otii_client.Connect and a project do."""

    NoProjectError = NoProjectError

    def __init__(self, bench):
        self.bench = bench
        self.devices = [Arc(bench)]
        self.failure = None
        self.project = True
        self.wired = "i1"
        self.kept = None
        self.connections = 0

    def plug(self, name):
        self.devices.append(Arc(self.bench, name))

    def get_devices(self, timeout=10, devicefilter=None):
        assert devicefilter == ["Arc", "Ace"]
        return self.devices

    def get_active_project(self):
        if not self.project:
            raise NoProjectError("Cannot get active project")
        return self

    def create_project(self):
        self.project = True
        return self

    def start_recording(self):
        if self.failure is not None:
            raise self.failure
        self.started = self.bench.now

    def stop_recording(self):
        channels = self.devices[0].channels
        self.kept = Recording(self.bench, self.started, self.bench.now, channels, self.wired)

    def get_last_recording(self):
        return self.kept


@pytest.fixture
def otii_server(bench):
    return Server(bench)
