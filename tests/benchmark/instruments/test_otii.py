"""The Otii client, replaced by one whose server records what the simulated board draws.

Current comes 4000 times a second, voltage 1000 times, inputs as changes with time stamps, as
otii_tcp_client 1.0 documents them.
"""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from qdeploy.benchmark.meters import METERS
from qdeploy.benchmark.meters.instrument import Wiring
from qdeploy.errors import QDeployError


class OtiiError(Exception):
    """Like otii_exception.Otii_Exception: its arguments are the server's whole answer."""

    def __init__(self, kind, message):
        super().__init__({"errorcode": kind})
        self.type = kind
        self.message = message


@pytest.fixture
def server(otii_server, monkeypatch):
    made = otii_server
    client = ModuleType("otii_tcp_client.otii_client")

    class OtiiClient:
        def connect(self, *, try_for_seconds):
            if isinstance(made.failure, ConnectionRefusedError):
                raise made.failure
            made.connections += 1
            return made

        def disconnect(self):
            made.connections -= 1

    client.OtiiClient = OtiiClient
    client.OtiiClientException = type("OtiiClientException", (Exception,), {})
    package = ModuleType("otii_tcp_client")
    package.otii_client = client
    package.otii = ModuleType("otii_tcp_client.otii")
    package.otii.OtiiException = made.NoProjectError
    package.otii_connection = SimpleNamespace(
        DisconnectedException=type("DisconnectedException", (Exception,), {})
    )
    package.otii_exception = SimpleNamespace(Otii_Exception=OtiiError)
    monkeypatch.setitem(sys.modules, "otii_tcp_client", package)
    monkeypatch.setitem(sys.modules, "otii_tcp_client.otii", package.otii)
    made.package = package
    return made


@pytest.fixture
def meter(server):
    return METERS["otii"].wired(Wiring())


def test_energy_of_known_currents(meter, server, bench, profile):
    # Slow samples: bursts of 3 ms need more of them than the fast instruments do.
    reading = meter.measure(bench.load(seconds=6))
    assert reading.joules.value == pytest.approx(bench.joules(), rel=2e-3)
    assert reading.joules.low <= bench.joules() <= reading.joules.high
    assert "pulses on GPI1" in reading.note
    assert server.connections == 0
    assert server.devices[0].channels == ["mc", "mv", "i1"]
    assert ("set_power_regulation", "inline") in server.devices[0].calls


def test_it_powers_the_board_when_asked(meter, server, bench):
    server.project = False
    meter.wired(Wiring(volts=3.0, supplies=True)).measure(bench.load())
    assert server.devices[0].calls == [
        ("set_power_regulation", "voltage"),
        ("set_main_voltage", 3.0),
        ("set_exp_voltage", 3.0),
        ("enable_exp_port", True),
        ("set_main", True),
    ]


def test_the_second_input(meter, server, bench):
    server.wired = "i2"
    assert "no pulse on GPI1" in meter.measure(bench.load()).note
    assert "pulses on GPI2" in meter.wired(Wiring(timing_input=1)).measure(bench.load()).note


def test_a_current_out_of_range_is_an_error(meter, bench):
    bench.profile = lambda share: np.full_like(share, 5.5)
    with pytest.raises(QDeployError, match="range of 5 A"):
        meter.measure(bench.load())


def test_an_instrument_that_goes_away(meter, server, bench):
    bench.gone = bench.now + 1.8
    with pytest.raises(QDeployError, match="before the inferences did"):
        meter.measure(bench.load())
    bench.gone = bench.now
    with pytest.raises(QDeployError, match="no samples of channel mc"):
        meter.measure(bench.load())
    assert server.connections == 0


@pytest.mark.parametrize("kind", ["message", "answer", "disconnected", "time"])
def test_a_server_that_fails(meter, server, bench, kind):
    server.failure = {
        "message": OtiiError("Command failure", 'cmd Error: "failed"\tMessage: "busy"'),
        "answer": OtiiError("No license", {"type": "error", "errorcode": "No license"}),
        "disconnected": server.package.otii_connection.DisconnectedException(),
        "time": TimeoutError("timed out"),
    }[kind]
    told = {
        "message": 'cmd Error: "failed" Message: "busy"',
        "answer": "No license",
        "disconnected": "DisconnectedException",
        "time": "timed out",
    }[kind]
    with pytest.raises(QDeployError, match=rf"Otii does not work \({told}\); plug it in again"):
        meter.measure(bench.load())
    assert server.connections == 0


def test_without_server(meter, server):
    server.failure = ConnectionRefusedError(111, "Connection refused")
    assert "start it on this machine" in meter.obstacle()


def test_none_several_and_one_of_several(meter, server, bench):
    assert meter.obstacle() is None
    server.plug("Ace 2")
    assert "several of Otii are connected (Ace 2, Arc 1)" in meter.obstacle()
    assert meter.wired(Wiring(device="Arc 1")).obstacle() is None
    server.devices.clear()
    assert meter.obstacle() == "no Otii is connected"


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "otii_tcp_client", None)
    assert "pip install otii-tcp-client" in METERS["otii"].obstacle()


def test_the_simulated_client_has_the_interface_of_the_real_one():
    pytest.importorskip("otii_tcp_client")
    from otii_tcp_client import arc, otii, project, recording

    for real, simulated in (
        (arc.Arc, {"enable_channel", "set_power_regulation", "set_main_voltage", "set_main"}),
        (arc.Arc, {"set_exp_voltage", "enable_exp_port"}),
        (otii.Otii, {"get_devices", "get_active_project", "create_project"}),
        (project.Project, {"start_recording", "stop_recording", "get_last_recording"}),
        (recording.Recording, {"get_channel_data_count", "get_channel_data"}),
    ):
        assert simulated <= set(dir(real))
