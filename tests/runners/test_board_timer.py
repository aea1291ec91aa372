"""Latency of a simulated board by its own clock, and stretches for an instrument."""

import time
from contextlib import contextmanager

import numpy as np
import pytest

from qdeploy.benchmark import board_timer
from qdeploy.benchmark.board_timer import BoardTimer
from qdeploy.benchmark.meters import Load
from qdeploy.benchmark.meters.capture import Capture, Pulse, Trace
from qdeploy.benchmark.meters.instrument import Instrument, StretchTimer
from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError
from qdeploy.runners.serial_board import connect
from qdeploy.runners.serial_ports import BoardPort
from qdeploy.targets import Power, load_target

BOARD = load_target("nucleo-l4r5zi")


@pytest.fixture
def timer(simulated_board, toy_interface):
    port = BoardPort(simulated_board.port)
    x = np.arange(40, dtype=np.int8)
    with BoardTimer(lambda: connect(BOARD, toy_interface, port), x) as made:
        yield made


@pytest.mark.parametrize("latency", [5e-6, 1e-3])
def test_latency_by_the_boards_clock(timer, simulated_board, latency):
    simulated_board.latency = latency
    found = timer.latency(0.6)
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(latency)


def test_the_interval_holds_a_tick_of_the_clock(timer, simulated_board, monkeypatch):
    monkeypatch.setattr(
        simulated_board, "infer", lambda iterations, warmups: fixed(simulated_board, iterations)
    )
    monkeypatch.setattr(board_timer, "_check_clock", lambda rounds: None)
    found = timer.latency(0.012)  # rounds of 2 ms
    assert found.value == pytest.approx(4e-6)
    calls = 500
    assert found.high - found.value == pytest.approx(1e-6 / calls)
    assert found.value - found.low == pytest.approx(1e-6 / calls)


def fixed(board, iterations):
    board.send("m-warmup-done", f"m-infer-start-{iterations}", "m-lap-us-0")
    board.send(f"m-lap-us-{4 * iterations}", "m-infer-done", "m-results-[1,2,3]", "m-ready")


@pytest.mark.parametrize("clock", [0.5, 2.0])
def test_a_clock_that_is_not_what_the_file_says(timer, simulated_board, clock):
    simulated_board.clock = clock
    with pytest.raises(QDeployError, match="look at clock_megahertz and setup"):
        timer.latency(1.2)


def test_an_oscillator_may_be_off_by_a_percent(timer, simulated_board):
    simulated_board.clock = 1.01
    timer.latency(0.6)


def test_an_energy_build_runs_stretches_and_tells_no_latency(timer, simulated_board):
    simulated_board.energy = True
    assert isinstance(timer, StretchTimer)
    stretch = timer.run(500)
    start, end = simulated_board.ran
    assert abs(stretch.start - start) < stretch.uncertainty
    assert abs(stretch.end - end) < stretch.uncertainty
    with pytest.raises(QDeployError, match="flash the performance build"):
        timer.latency(0.1)


def test_groups_after_a_warm_up(timer, simulated_board):
    times = timer.measure(10, 3, 0.01)
    assert times.shape == (3,)
    np.testing.assert_allclose(times, simulated_board.latency)
    assert [text for text in simulated_board.commands if text.startswith("infer")] == [
        "infer 10 0"
    ] * 4


def test_the_board_is_connected_once_and_when_needed(timer, simulated_board):
    assert simulated_board.commands == []
    timer.prepare()
    heard = list(simulated_board.commands)
    assert any(text.startswith("db load") for text in heard)
    timer.prepare()
    assert simulated_board.commands == heard
    timer.close()
    timer.run(1)
    assert len(simulated_board.commands) == 2 * len(heard) + 1


class Shunt(Instrument):
    """An instrument that records the simulated board in true time, current 10 mA while it runs."""

    name = "shunt"
    title = "Shunt"
    most_amperes = 1.0
    inputs = ("D0",)
    volts_measured = True

    def __init__(self, board):
        super().__init__()
        self.board = board

    def found(self):
        return ["1"]

    @contextmanager
    def opened(self, device):
        yield self

    def start(self):
        self.begun = time.monotonic()

    def stop(self):
        period = 1e-4
        times = self.begun + period * np.arange(int((time.monotonic() - self.begun) / period))
        start, end = self.board.ran or (0.0, 0.0)
        amperes = np.where((times >= start) & (times < end), 10e-3, 1e-3)
        pulses = [Pulse(start - 2e-3, start), Pulse(end, end + 2e-3)] if start > self.begun else []
        trace = Trace(self.begun, period, amperes)
        watts = Trace(self.begun, period, 3.0 * amperes)
        return Capture(watts, trace, tuple(pulses), period, 0.0, 0.0)


def test_an_instrument_and_a_board_give_the_energy(timer, simulated_board):
    simulated_board.energy = True
    simulated_board.latency = 1e-3
    power = Power(low=1e-3, typical=2e-3, high=3e-3, kind="datasheet", source="a document")
    load = Load(timer, Estimate(1e-3, 1e-3, 1e-3), 1, 0.6, power)
    reading = Shunt(simulated_board).measure(load)
    # The simulation sleeps, and wakes up late: what it drew is what is measured.
    start, end = simulated_board.ran
    assert reading.joules.value == pytest.approx(30e-3 * (end - start) / 200, rel=0.1)
    assert reading.joules.low <= reading.joules.value <= reading.joules.high
    assert "3 stretches of 200 inferences; window by the pulses on D0" in reading.note
    assert "idle power 0.003 W" in reading.note
