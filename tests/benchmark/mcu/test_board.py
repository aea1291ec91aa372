"""Figures of a board, from a session that stands for one."""

from types import SimpleNamespace

import pytest

from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.mcu import board
from qdeploy.benchmark.meters import EnergyReading
from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError
from qdeploy.runners.protocol import Inference
from qdeploy.runners.serial_board import TimedInference
from qdeploy.targets import load_target

TARGET = load_target("nucleo-l4r5zi")
SECONDS = 25e-6


class Session:
    """A board that takes 25 µs for an inference, and a little less or more by turns."""

    def __init__(self, model, stamps=True, wrong=False):
        self.model, self.stamps, self.wrong = model, stamps, wrong
        self.loaded, self.turn = None, 0
        self.device = SimpleNamespace(clock_hertz=lambda: 120_000_000, synchronize=lambda: None)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def __call__(self, x):
        return self.model.network.forward(x) + self.wrong

    def load(self, x):
        self.loaded = x

    def close(self):
        self.loaded = None

    def infer(self, iterations, warmups=0, *, timeout):
        assert self.loaded is not None
        assert timeout > (iterations + warmups) * SECONDS
        self.turn += 1
        ends = 1000, 1000 + round(iterations * 25) + self.turn % 3
        done = Inference((0,), iterations, *(ends if self.stamps else (None, None)))
        return TimedInference(done, 10.0, 10.0 + iterations * SECONDS, 0.02)


@pytest.fixture
def measured(tiny, monkeypatch):
    def measure(session=None, instrument=None, energy_build="energy.elf"):
        session = session or Session(tiny[0])
        flashed = []

        def opened(self, artifact):
            assert instrument is None or instrument.on
            flashed.append(artifact.energy_firmware_elf if self._energy else artifact.firmware_elf)
            session.stamps &= not self._energy
            return session

        monkeypatch.setattr(board.SerialBoardRunner, "open", opened)
        sheet = FigureSheet(TARGET.name)
        board.measure_board(
            sheet,
            SimpleNamespace(
                model=tiny[0],
                interface=None,
                board=TARGET,
                firmware_elf="performance.elf",
                energy_firmware_elf=energy_build,
            ),
            TARGET,
            tiny[0].quantize(tiny[1][1].features),
            SECONDS,
            port="/dev/ttyACM0",
            seconds=0.5,
            instrument=instrument,
        )
        return sheet.figures, flashed

    return measure


def test_the_boards_own_time_stamps_are_measured(measured):
    (latency,), flashed = measured()
    assert latency.metric == "latency"
    assert latency.obtained == "measured"
    assert latency.value == pytest.approx(SECONDS, rel=1e-3)
    assert latency.low <= latency.value <= latency.high
    assert "120 MHz" in latency.note
    assert flashed == ["performance.elf"]


@pytest.mark.parametrize("build", ["energy.elf", None])
def test_an_instrument_watches_the_energy_build_where_there_is_one(measured, build):
    class Instrument:
        on = False

        def switch_on(self):
            self.on = True

        def measure(self, load):
            load.timer.prepare()
            stretch = load.timer.run(1000)
            joules = 0.04 * (stretch.end - stretch.start) / 1000
            return EnergyReading(Estimate(joules, joules, joules), "measured", "an instrument")

    (_, energy), flashed = measured(instrument=Instrument(), energy_build=build)
    assert energy.metric == "energy"
    assert energy.obtained == "measured"
    assert energy.value == pytest.approx(0.04 * SECONDS)
    assert flashed == ["performance.elf", build or "performance.elf"]


def test_another_model_on_the_board_is_told(measured, tiny):
    with pytest.raises(QDeployError, match="other scores than the model for 16 of 16 rows"):
        measured(Session(tiny[0], wrong=True))


def test_an_energy_build_is_told(measured, tiny):
    with pytest.raises(QDeployError, match="energy build, which sends no time stamps"):
        measured(Session(tiny[0], stamps=False))
