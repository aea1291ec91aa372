"""The Joulescope's driver, replaced by one that streams what the simulated board draws.

The messages are those of pyjoulescope_driver 2.2: sample numbers at the full rate of the signal,
values after decimation, inputs as packed bits.
"""

import sys
from types import ModuleType

import numpy as np
import pytest

from qdeploy.benchmark.meters import METERS
from qdeploy.benchmark.meters.instrument import Wiring
from qdeploy.errors import QDeployError

RATES = {"s/i": (2_000_000, 20), "s/v": (2_000_000, 20)}
INPUT_RATE = (1_000_000, 10)
BLOCK = 5000


class Driver:
    """pyjoulescope_driver.Driver, as far as it is used."""

    paths = ("u/js220/000123",)
    failing = ()

    def __init__(self, timeout=None):
        self.published = []
        self.functions = {}
        self.streams = {}
        self.open_path = None
        Driver.last = self

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.finalize()

    def finalize(self, timeout=None):
        Driver.bench.listeners.clear()

    def device_paths(self, timeout=None):
        return list(self.paths)

    def open(self, device_prefix, mode=None, timeout=None):
        if "open" in self.failing:
            raise RuntimeError(f"jsdrv_open failed 4 | {device_prefix}")
        assert mode == "restore"  # anything else switches the board off
        self.open_path = device_prefix
        self.bench.listeners.append(self.pump)

    def close(self, device_prefix, timeout=None):
        assert device_prefix == self.open_path
        self.open_path = None

    def subscribe(self, topic, flags, fn, timeout=None):
        assert flags == "pub"
        self.functions[topic] = fn

    def unsubscribe(self, topic, fn, timeout=None):
        assert self.functions.pop(topic) is fn

    def publish(self, topic, value, timeout=None):
        self.published.append((topic, value))
        if "publish" in self.failing:
            raise TimeoutError(f"{topic} timed out")
        if topic.endswith("/ctrl"):
            signal = topic.removesuffix("/ctrl").removeprefix(f"{self.open_path}/")
            if value:
                rate, factor = RATES.get(signal, INPUT_RATE)
                # A decimated sample starts at a multiple of the factor.
                self.streams[signal] = int(self.bench.now * rate / factor)
            else:
                self.pump()
                del self.streams[signal]

    def pump(self):
        """Send what was measured since the last time, in blocks as the instrument does."""
        for signal in list(self.streams):
            rate, factor = RATES.get(signal, INPUT_RATE)
            until = int(self.bench.now * rate / factor)
            while self.streams[signal] < until:
                first = self.streams[signal]
                count = min(BLOCK, until - first)
                self.streams[signal] += count
                times = (first + np.arange(count) + 0.5) * factor / rate
                if not self.bench.keep(times).all():
                    continue
                topic = f"{self.open_path}/{signal}/!data"
                self.functions[topic](
                    topic,
                    {
                        "sample_id": first * factor,
                        "field_id": 0,
                        "index": 0,
                        "sample_rate": rate,
                        "decimate_factor": factor,
                        "data": self.data(signal, times),
                    },
                )

    def data(self, signal, times):
        match signal:
            case "s/i":
                return self.bench.amperes(times).astype(np.float32)
            case "s/v":
                return np.full(len(times), self.bench.volts, dtype=np.float32)
            case _:
                wired = signal == f"s/gpi/{self.bench_input}"
                high = self.bench.high(times) if wired else np.ones(len(times), dtype=bool)
                return np.packbits(high, bitorder="little")


@pytest.fixture
def meter(bench, monkeypatch):
    module = ModuleType("pyjoulescope_driver")
    module.Driver = type("Driver", (Driver,), {"bench": bench, "bench_input": 0})
    Driver.bench = bench
    monkeypatch.setitem(sys.modules, "pyjoulescope_driver", module)
    made = METERS["joulescope"].wired(Wiring())
    made.driver = module.Driver
    return made


def test_energy_of_known_currents(meter, bench, profile):
    reading = meter.measure(bench.load())
    assert reading.obtained == "measured"
    assert reading.joules.value == pytest.approx(bench.joules(), rel=1e-3)
    assert reading.joules.low <= bench.joules() <= reading.joules.high
    assert (reading.joules.high - reading.joules.low) < 1e-3 * reading.joules.value
    assert bench.prepared == 1
    assert "pulses on IN0" in reading.note
    assert "idle power 0.003 W is not subtracted" in reading.note


def test_the_input_that_is_wired_tells_the_window(meter, bench):
    meter.driver.bench_input = 2
    assert "no pulse on IN0" in meter.measure(bench.load()).note
    reading = meter.wired(Wiring(timing_input=2)).measure(bench.load())
    assert "pulses on IN2" in reading.note
    assert reading.joules.value == pytest.approx(bench.joules(), rel=1e-3)


def test_without_pulses_the_interval_is_wider_and_still_right(meter, bench):
    bench.pulses = 0
    reading = meter.measure(bench.load())
    # 130 ms at each end of 200 ms.
    assert reading.joules.low <= bench.joules() <= reading.joules.high
    assert reading.joules.high > 1.1 * reading.joules.value
    assert "no pulse on IN0" in reading.note


def test_wrong_pulses_are_an_error(meter, bench):
    bench.pulses = 1
    with pytest.raises(QDeployError, match="1 pulses were seen on IN0"):
        meter.measure(bench.load())


def lose(bench, monkeypatch, seconds):
    """Lose samples in the middle of each stretch."""
    run = bench.run

    def losing(calls):
        start = bench.now + 0.1
        bench.lost.append((start, start + seconds))
        return run(calls)

    monkeypatch.setattr(bench, "run", losing)


def test_many_lost_samples_are_an_error(meter, bench, monkeypatch):
    lose(bench, monkeypatch, 0.01)  # a whole block goes
    with pytest.raises(QDeployError, match="samples were lost"):
        meter.measure(bench.load())


def test_few_lost_samples_widen_the_interval(meter, bench, monkeypatch):
    bench.profile = lambda share: 2e-3 + 18e-3 * share
    lose(bench, monkeypatch, 0.01)
    reading = meter.measure(bench.load(seconds=60))  # 50 ms of 20 s
    assert reading.joules.value == pytest.approx(bench.joules(), rel=0.01)
    assert reading.joules.low < bench.joules() < reading.joules.high


def test_a_current_out_of_range_is_an_error(meter, bench):
    bench.profile = lambda share: np.where(share < 0.5, 10e-3, 12.0)
    with pytest.raises(QDeployError, match="range of 10 A"):
        meter.measure(bench.load())


def test_an_instrument_that_goes_away(meter, bench, monkeypatch):
    bench.gone = bench.now + 0.85  # in the first stretch
    with pytest.raises(QDeployError, match="before the inferences did; look at the connection"):
        meter.measure(bench.load())
    bench.gone = bench.now
    with pytest.raises(QDeployError, match="sent no samples of s/i; plug it in again"):
        meter.measure(bench.load())
    monkeypatch.setattr(meter.driver, "failing", ("publish",))
    with pytest.raises(QDeployError, match=r"the Joulescope does not work \(.* timed out\)"):
        meter.measure(bench.load())
    monkeypatch.setattr(meter.driver, "failing", ("open",))
    with pytest.raises(QDeployError, match="jsdrv_open failed"):
        meter.measure(bench.load())


@pytest.mark.parametrize(
    ("model", "topics"),
    [
        ("js110", {"s/i/range/select": "auto", "s/v/range/select": "15 V"}),
        ("js220", {"s/i/range/mode": "auto", "s/v/range/mode": "auto"}),
        ("js320", {"s/i/range/mode": "auto", "s/v/range/mode": "auto"}),
    ],
)
def test_ranges_are_automatic(meter, bench, monkeypatch, model, topics):
    path = f"u/{model}/42"
    monkeypatch.setattr(meter.driver, "paths", (path,))
    meter.measure(bench.load())
    published = dict(Driver.last.published)
    assert published[f"{path}/h/fs"] == 100_000
    assert {topic: published[f"{path}/{topic}"] for topic in topics} == topics
    assert Driver.last.open_path is None
    assert not Driver.last.streams


def test_none_several_and_one_of_several(meter, monkeypatch):
    assert meter.obstacle() is None
    monkeypatch.setattr(meter.driver, "paths", ())
    assert meter.obstacle() == "no Joulescope is connected"
    monkeypatch.setattr(meter.driver, "paths", ("u/js220/1", "u/js220/2", "u/other/3"))
    assert "several of Joulescope" in meter.obstacle()
    assert "u/other" not in meter.obstacle()
    assert meter.wired(Wiring(device="2")).obstacle() is None
    assert "no Joulescope '9'" in meter.wired(Wiring(device="9")).obstacle()


def test_it_powers_no_board(meter, bench):
    with pytest.raises(QDeployError, match="powers no board"):
        meter.wired(Wiring(volts=3.0, supplies=True)).measure(bench.load())


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyjoulescope_driver", None)
    assert "pip install pyjoulescope_driver" in METERS["joulescope"].obstacle()


@pytest.mark.parametrize(
    ("wiring", "told"),
    [
        ({"volts": -1.0}, "must be positive"),
        ({"supplies": True}, "told the volts"),
        ({"timing_input": -1}, "count from 0"),
        ({"timing_input": 4}, "it has IN0, IN1, IN2, IN3"),
    ],
)
def test_wiring_that_cannot_be(wiring, told):
    with pytest.raises(QDeployError, match=told):
        METERS["joulescope"].wired(Wiring(**wiring))


def test_the_simulated_driver_has_the_interface_of_the_real_one():
    real = pytest.importorskip("pyjoulescope_driver").Driver
    for method in ("device_paths", "open", "close", "publish", "subscribe", "unsubscribe"):
        assert callable(getattr(real, method))
