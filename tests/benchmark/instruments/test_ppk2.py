"""The PPK2's package, replaced by one that makes the words which the kit sends.

A word holds the value in 14 bits (here units of 10 µA), the range, a counter of 6 bits and the
eight inputs, as in ppk2_api 0.9 and Nordic's own program.
"""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.mcu import board
from qdeploy.benchmark.metering import Metering, find_instrument
from qdeploy.benchmark.meters import METERS
from qdeploy.benchmark.meters.instrument import Wiring, choose_instrument
from qdeploy.errors import QDeployError
from qdeploy.runners.protocol import Inference
from qdeploy.runners.serial_board import TimedInference
from qdeploy.targets import load_target

UNIT = 10  # microamperes
PERIOD = 1e-5


class Kit:
    """ppk2_api.PPK2_API, as far as it is used."""

    calibrated = True
    input = 0

    def __init__(self, port, **serial):
        if self.bench.gone <= self.bench.now:
            raise OSError(f"could not open port {port}")
        self.ser = SimpleNamespace(close=lambda: self.commands.append("close"))
        self.commands = []
        self.current_vdd = None
        self.measuring = None
        self.rest = b""
        type(self).last = self

    def get_modifiers(self):
        return True if self.calibrated else None

    def use_source_meter(self):
        self.commands.append("source")

    def use_ampere_meter(self):
        self.commands.append("ampere")

    def set_source_voltage(self, mV):
        self.current_vdd = mV
        self.commands.append(mV)

    def toggle_DUT_power(self, state):  # noqa: N802
        self.commands.append(state)

    def start_measuring(self):
        self.measuring = round(self.bench.now / PERIOD)
        self.first = self.measuring

    def stop_measuring(self):
        self.measuring = None

    def get_data(self):
        if self.measuring is None:
            data, self.rest = self.rest, b""
            return data
        with self.bench.lock:
            until = round(self.bench.now / PERIOD)
            if self.bench.gone <= self.bench.now:
                raise OSError("device reports readiness to read but returned no data")
            numbers = np.arange(self.measuring, until)
            self.measuring = until
            times = (numbers + 0.5) * PERIOD
            value = np.round(self.bench.amperes(times) * 1e6 / UNIT).astype(np.uint32)
            others = 0xFF ^ (1 << self.input)
            inputs = others | self.bench.high(times).astype(np.uint32) << self.input
            counter = (numbers - self.first).astype(np.uint32) & 63
            words = value | 4 << 14 | counter << 18 | inputs << 24
            data = self.rest + words[self.bench.keep(times)].astype("<u4").tobytes()
        # A read ends anywhere, also within a word.
        cut = len(data) - len(data) % 7 if len(data) > 7 else 0
        self.rest = data[cut:]
        return data[:cut]

    def get_samples(self, buf):
        assert len(buf) % 4 == 0
        assert self.current_vdd is not None
        words = np.frombuffer(buf, "<u4")
        return list((words & 0x3FFF) * float(UNIT)), list(words >> 24)


def port(device, serial_number, location, vid=0x1915, pid=0xC00A):
    return SimpleNamespace(
        device=device, serial_number=serial_number, location=location, vid=vid, pid=pid
    )


@pytest.fixture
def ports(monkeypatch):
    connected = [
        port("/dev/ttyACM1", "ABC", "1-2:1.1"),
        port("/dev/ttyACM2", "ABC", "1-2:1.3"),
        port("/dev/ttyACM0", "XYZ", "1-1:1.0", 0x0483, 0x374B),
        port("/dev/ttyS0", None, None, None, None),
    ]
    list_ports = pytest.importorskip("serial.tools.list_ports")
    monkeypatch.setattr(list_ports, "comports", lambda: connected)
    return connected


@pytest.fixture
def meter(bench, ports, monkeypatch):
    package, module = ModuleType("ppk2_api"), ModuleType("ppk2_api.ppk2_api")
    module.PPK2_API = type("PPK2_API", (Kit,), {"bench": bench})
    monkeypatch.setitem(sys.modules, "ppk2_api", package)
    monkeypatch.setitem(sys.modules, "ppk2_api.ppk2_api", module)
    made = METERS["ppk2"].wired(Wiring(volts=3.0))
    made.kit = module.PPK2_API
    return made


def test_energy_of_known_currents(meter, bench, profile):
    reading = meter.measure(bench.load())
    assert reading.joules.value == pytest.approx(bench.joules(), rel=1e-3)
    assert reading.joules.low <= bench.joules() <= reading.joules.high
    assert "pulses on D0" in reading.note
    assert "supply 3 V as stated" in reading.note
    assert bench.prepared == 1
    assert meter.kit.last.commands == ["ampere", 3000, "ON", "close"]


def test_it_powers_the_board_when_asked(meter, bench):
    bench.volts = 1.8
    source = meter.wired(Wiring(volts=1.8, supplies=True))
    assert source.measure(bench.load()).joules.value == pytest.approx(bench.joules(), rel=1e-3)
    assert meter.kit.last.commands == ["source", 1800, "ON", "close"]


def test_the_input_that_is_wired_tells_the_window(meter, bench, monkeypatch):
    monkeypatch.setattr(meter.kit, "input", 5)
    assert "no pulse on D0" in meter.measure(bench.load()).note
    assert "pulses on D5" in meter.wired(Wiring(3.0, timing_input=5)).measure(bench.load()).note


def test_lost_samples_leave_the_rest_in_place(meter, bench, monkeypatch):
    bench.profile = lambda share: 2e-3 + 18e-3 * share
    run = bench.run

    def losing(calls):
        # Fewer than 64 at a time, or the counter cannot tell.
        bench.lost += [(bench.now + 0.1 + i * 5e-3, bench.now + 0.1003 + i * 5e-3) for i in (0, 1)]
        return run(calls)

    monkeypatch.setattr(bench, "run", losing)
    reading = meter.measure(bench.load())
    assert reading.joules.value == pytest.approx(bench.joules(), rel=0.005)
    assert reading.joules.low < bench.joules() < reading.joules.high
    assert "pulses on D0" in reading.note


def test_many_lost_samples_are_an_error(meter, bench, monkeypatch):
    run = bench.run

    def losing(calls):
        bench.lost += [
            (bench.now + 0.1 + i * 1e-3, bench.now + 0.1005 + i * 1e-3) for i in range(9)
        ]
        return run(calls)

    monkeypatch.setattr(bench, "run", losing)
    with pytest.raises(QDeployError, match="samples were lost"):
        meter.measure(bench.load())


def test_a_current_out_of_range_is_an_error(meter, bench, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "UNIT", 100)
    bench.profile = lambda share: np.where(share < 0.5, 10e-3, 1.2)
    with pytest.raises(QDeployError, match="range of 1 A"):
        meter.measure(bench.load())


def test_a_kit_that_goes_away(meter, bench):
    bench.gone = bench.now + 2.2  # after starting up and the idle power
    with pytest.raises(QDeployError, match=r"the PPK2 does not work \(device reports .*\); plug"):
        meter.measure(bench.load())
    with pytest.raises(QDeployError, match="could not open port /dev/ttyACM1"):
        meter.measure(bench.load())


def test_a_kit_that_sends_nothing(meter, bench):
    bench.lost.append((0.0, np.inf))
    with pytest.raises(QDeployError, match="sent no samples"):
        meter.measure(bench.load())


def test_what_is_no_kit(meter, bench, monkeypatch):
    monkeypatch.setattr(meter.kit, "calibrated", False)
    with pytest.raises(QDeployError, match="/dev/ttyACM1 sends no calibration"):
        meter.measure(bench.load())
    assert meter.kit.last.commands == ["close"]


@pytest.mark.parametrize("volts", [0.5, 12.0])
def test_volts_that_it_cannot_give(meter, bench, volts):
    with pytest.raises(QDeployError, match=r"between 0\.8 and 5 V"):
        meter.wired(Wiring(volts=volts)).measure(bench.load())


def test_a_board_has_power_before_it_is_flashed(meter, bench, monkeypatch):
    """The whole way: wiring, latency by the board's clock, energy by the kit."""
    target = load_target("nucleo-l4r5zi")
    model = SimpleNamespace(network=SimpleNamespace(forward=lambda rows: rows[:, :1]))
    artifact = SimpleNamespace(
        model=model, firmware_elf="performance", energy_firmware_elf="energy"
    )

    class Session:
        device = SimpleNamespace(clock_hertz=lambda: 120e6)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def __call__(self, rows):
            return rows[:, :1]

        def load(self, x):
            pass

        def close(self):
            pass

        def infer(self, iterations, *, timeout):
            seen = bench.run(iterations)
            start, end = bench.stretches[-1]
            done = Inference((0,), iterations, 0, round((end - start) * 1e6))
            return TimedInference(done, seen.start, seen.end, seen.uncertainty)

    def opened(self, artifact):
        assert meter.kit.last.commands[:3] == ["source", 3300, "ON"]
        return Session()

    monkeypatch.setattr(board.SerialBoardRunner, "open", opened)
    monkeypatch.setattr(meter.kit, "input", 3)
    bench.volts = 3.3
    sheet = FigureSheet(target.name)
    asked = Metering("ppk2", supplies=True, timing_input=3, device="ttyACM1")
    instrument, notes = find_instrument(["joulescope"], target, asked)
    inputs = np.zeros((2, 4), dtype=np.int8)
    options = {"port": "auto", "seconds": 0.6, "instrument": instrument}
    board.measure_board(sheet, artifact, target, inputs, 1e-3, **options)
    latency, energy = sheet.figures
    assert notes == ("energy of the board by the meter 'ppk2'",)
    assert latency.value == pytest.approx(1e-3)
    assert energy.obtained == "measured"
    assert energy.value == pytest.approx(bench.joules(-1), rel=1e-3)
    assert "supply 3.3 V as the file of target 'nucleo-l4r5zi' states" in energy.note
    assert "pulses on D3" in energy.note


def test_it_cannot_do_without_volts(meter, bench):
    with pytest.raises(QDeployError, match="does not measure the voltage; state the volts"):
        meter.wired(Wiring()).measure(bench.load())
    assert "state the volts" in meter.wired(Wiring()).obstacle()


def test_a_kit_with_two_ports_is_one(meter, ports):
    assert meter.found() == ["/dev/ttyACM1"]
    assert meter.obstacle() is None
    ports.append(port("/dev/ttyACM7", "DEF", "1-3:1.1"))
    assert "several of Power Profiler Kit II are connected" in meter.obstacle()
    assert meter.wired(Wiring(3.0, device="ttyACM7")).obstacle() is None
    ports[:] = ports[2:4]
    assert meter.obstacle() == "no Power Profiler Kit II is connected"


def test_the_first_instrument_that_works_is_chosen(meter, ports, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyjoulescope_driver", None)
    names = ["estimate", "joulescope", "ppk2", "rapl"]
    chosen, reasons = choose_instrument(names, Wiring(3.0, timing_input=4))
    assert chosen.name == "ppk2"
    assert chosen.wiring.timing_input == 4
    assert len(reasons) == 1
    assert reasons[0].startswith("joulescope: Joulescope has no timing input 4; it has IN0")
    chosen, reasons = choose_instrument(names, Wiring())
    assert chosen is None
    assert "pip install" in reasons[0]
    assert "state the volts" in reasons[1]


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "ppk2_api", None)
    monkeypatch.setitem(sys.modules, "ppk2_api.ppk2_api", None)
    assert "pip install ppk2-api" in METERS["ppk2"].obstacle()


def test_the_simulated_kit_decodes_as_the_real_one():
    real = pytest.importorskip("ppk2_api.ppk2_api").PPK2_API
    for method in vars(Kit):
        if not method.startswith("_") and callable(getattr(Kit, method)):
            assert callable(getattr(real, method))
