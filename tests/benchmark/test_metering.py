"""Which instrument is taken and how it is wired, from what a caller says and a target states."""

import pytest

import qdeploy
from qdeploy.benchmark import Metering
from qdeploy.benchmark.metering import find_instrument
from qdeploy.benchmark.meters import METERS
from qdeploy.errors import QDeployError
from qdeploy.targets import load_target

BOARD = load_target("nrf52840-dk")  # states 3 V
WITHOUT_VOLTS = load_target("nucleo-f446re").model_copy(
    update={"board_power": None, "sleep_power": None}
)
ORDER = ["joulescope", "ppk2", "otii", "estimate"]


@pytest.fixture
def connected(monkeypatch):
    """Names of instruments by meter; nothing is connected until a test says so."""
    devices = {"joulescope": [], "ppk2": [], "otii": []}
    for name, found in devices.items():
        monkeypatch.setattr(type(METERS[name]), "found", lambda self, found=found: found)
    return devices


def test_by_default_the_first_that_works(connected):
    connected["ppk2"].append("/dev/ttyACM1")
    connected["otii"].append("Arc 1")
    instrument, notes = find_instrument(ORDER, BOARD, None)
    assert instrument.name == "ppk2"
    assert notes == ("energy of the board by the meter 'ppk2'",)
    assert instrument.wiring.volts == 3.0
    assert "file of target 'nrf52840-dk'" in instrument.wiring.volts_source


def test_none_is_no_error_unless_one_is_asked_for(connected):
    instrument, notes = find_instrument(ORDER, BOARD, None)
    assert instrument is None
    assert notes[0] == "energy was not measured: joulescope: no Joulescope is connected"
    assert len(notes) == 3
    with pytest.raises(QDeployError, match=r"by joulescope: no Joulescope.*; ppk2: no Power.*otii"):
        find_instrument(ORDER, BOARD, Metering(volts=3.3))
    with pytest.raises(QDeployError, match="no instruments are preferred for target"):
        find_instrument(["estimate"], BOARD, Metering())


def test_the_one_that_is_named_comes_before_the_order(connected):
    for devices in connected.values():
        devices += ["first", "second"]
    asked = Metering("otii", 1.8, supplies=True, timing_input=1, device="second")
    instrument, _ = find_instrument(["joulescope"], BOARD, asked)
    wiring = instrument.wiring
    assert instrument.name == "otii"
    assert (wiring.volts, wiring.supplies, wiring.timing_input) == (1.8, True, 1)
    assert (wiring.device, wiring.volts_source) == ("second", "as stated")


def test_volts_of_nobody(connected):
    connected["ppk2"].append("/dev/ttyACM1")
    with pytest.raises(QDeployError, match=r"by ppk2: the Power .* state the volts"):
        find_instrument(ORDER, WITHOUT_VOLTS, Metering("ppk2"))
    with pytest.raises(QDeployError, match="needs to be told the volts"):
        find_instrument(ORDER, WITHOUT_VOLTS, Metering("ppk2", supplies=True))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Metering("joulescope", supplies=True), "a Joulescope powers no board"),
        (Metering("otii", timing_input=2), "no timing input 2; it has GPI1, GPI2"),
        (Metering("ppk2", 12.0), r"between 0\.8 and 5 V, not 12 V"),
        (Metering("ppk2", device="ttyACM9"), "no Power Profiler Kit II 'ttyACM9' is connected"),
    ],
)
def test_what_an_instrument_cannot_do(connected, asked, told):
    for devices in connected.values():
        devices.append("/dev/ttyACM1")
    with pytest.raises(QDeployError, match=told):
        find_instrument(ORDER, BOARD, asked)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "rapl"}, "'rapl' is no instrument .* choose one of joulescope, otii, ppk2"),
        ({"volts": float("nan")}, "must be positive"),
        ({"timing_input": -1}, "count from 0"),
    ],
)
def test_what_makes_no_sense(options, told):
    with pytest.raises(QDeployError, match=told):
        Metering(**options)


def test_it_is_told_before_anything_is_compiled(tiny, connected, monkeypatch):
    def never(*arguments):
        raise AssertionError("compiled")

    monkeypatch.setattr("qdeploy.benchmark.suites.mcu.compiled", never)
    with pytest.raises(QDeployError, match="cannot be measured by ppk2: no Power Profiler"):
        qdeploy.bench(tiny[0], target=BOARD.name, port="auto", metering=Metering("ppk2"))


def test_it_belongs_to_a_board(tiny):
    with pytest.raises(QDeployError, match="means nothing for target 'cpu'"):
        qdeploy.bench(tiny[0], metering=Metering("ppk2"))
    with pytest.raises(QDeployError, match="means nothing without a board; name the serial port"):
        qdeploy.bench(tiny[0], target=BOARD.name, metering=Metering("ppk2"))
