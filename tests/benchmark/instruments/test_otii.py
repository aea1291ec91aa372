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
    """Like otii_exception.Otii_Exception: its own arguments are not the message."""


class Arc:
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

    def __init__(self, bench):
        self.bench = bench
        self.devices = [Arc(bench)]
        self.failure = None
        self.project = True
        self.wired = "i1"
        self.kept = None
        self.connections = 0

    def get_devices(self, timeout=10, devicefilter=None):
        assert devicefilter == ["Arc", "Ace"]
        return self.devices

    def get_active_project(self):
        return self if self.project else None

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
def server(bench, monkeypatch):
    made = Server(bench)
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
    package.otii_connection = SimpleNamespace(
        DisconnectedException=type("DisconnectedException", (Exception,), {})
    )
    package.otii_exception = SimpleNamespace(Otii_Exception=OtiiError)
    monkeypatch.setitem(sys.modules, "otii_tcp_client", package)
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


@pytest.mark.parametrize("kind", ["exception", "disconnected", "time"])
def test_a_server_that_fails(meter, server, bench, kind):
    server.failure = {
        "exception": OtiiError("No license"),
        "disconnected": server.package.otii_connection.DisconnectedException(),
        "time": TimeoutError("timed out"),
    }[kind]
    told = {"exception": "No license", "disconnected": "Disconnected", "time": "timed out"}[kind]
    with pytest.raises(QDeployError, match=rf"Otii does not work \({told}"):
        meter.measure(bench.load())
    assert server.connections == 0


def test_without_server(meter, server):
    server.failure = ConnectionRefusedError(111, "Connection refused")
    assert "start it on this machine" in meter.obstacle()


def test_none_several_and_one_of_several(meter, server, bench):
    assert meter.obstacle() is None
    server.devices.append(Arc(bench, "Ace 2"))
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
