"""The real otii_tcp_client, where it is installed, against a server that answers by TCP."""

import json
import socket
import threading

import pytest

from qdeploy.benchmark.meters import METERS
from qdeploy.benchmark.meters.instrument import Wiring
from qdeploy.errors import QDeployError

otii_client = pytest.importorskip("otii_tcp_client.otii_client")


class TcpServer:
    """Lines of JSON in and out, over the simulated server of the other tests."""

    def __init__(self, simulated):
        self.simulated = simulated
        self.refused = None
        self.heard = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rw", encoding="utf-8", newline="\r\n") as lines:
                self.send(lines, type="information", info="connected", data={})
                for line in lines:
                    request = json.loads(line)
                    self.heard.append(request["cmd"])
                    answer = {"cmd": request["cmd"], "trans_id": request["trans_id"]}
                    if request["cmd"] == self.refused:
                        self.send(lines, type="error", errorcode="No license", **answer)
                    else:
                        data = self.answer(request["cmd"], request.get("data", {}))
                        self.send(lines, type="response", data=data, **answer)

    @staticmethod
    def send(lines, **message):
        lines.write(json.dumps(message) + "\r\n")
        lines.flush()

    def answer(self, command, data):
        simulated, arc = self.simulated, self.simulated.devices[0]
        match command:
            case "otii_is_logged_in":
                return {"logged_in": True}
            case "otii_get_licenses":
                one = {"id": 1, "type": "Automation", "available": True, "reserved_to": "me"}
                return {"licenses": [one]}
            case "otii_get_devices":
                return {"devices": [{"device_id": arc.id, "name": arc.name, "type": "Arc"}]}
            case "otii_get_active_project":
                return {"project_id": 1 if simulated.project else -1}
            case "otii_create_project":
                simulated.create_project()
                return {"project_id": 1}
            case "arc_enable_channel":
                arc.enable_channel(data["channel"], data["enable"])
            case "project_start_recording":
                simulated.start_recording()
            case "project_stop_recording":
                simulated.stop_recording()
            case "project_get_last_recording":
                return {"recording_id": 1, "name": "recording"}
            case "recording_get_channel_data_count":
                kept = simulated.kept
                return {"count": kept.get_channel_data_count(data["device_id"], data["channel"])}
            case "recording_get_channel_data":
                first, count = data["index"], data["count"]
                all_of_it = simulated.kept.get_channel_data(
                    data["device_id"], data["channel"], first, count
                )
                return all_of_it | {"values": all_of_it["values"][first : first + count]}
        return {}


@pytest.fixture
def server(otii_server, monkeypatch):
    made = TcpServer(otii_server)
    host, port = made.listener.getsockname()
    connect = otii_client.OtiiClient.connect
    monkeypatch.setattr(
        otii_client.OtiiClient,
        "connect",
        lambda self, **options: connect(self, host=host, port=port, **options),
    )
    yield made
    made.listener.close()


def test_energy_of_known_currents(server, bench, profile):
    server.simulated.project = False
    reading = METERS["otii"].measure(bench.load(seconds=6))
    assert reading.joules.value == pytest.approx(bench.joules(), rel=2e-3)
    assert reading.joules.low <= bench.joules() <= reading.joules.high
    assert "pulses on GPI1" in reading.note
    assert {"arc_set_power_regulation", "arc_set_main", "arc_enable_exp_port"} <= set(server.heard)


def test_the_board_is_powered(server, bench):
    METERS["otii"].wired(Wiring(volts=3.0, supplies=True)).measure(bench.load())
    assert {"arc_set_main_voltage", "arc_set_exp_voltage"} <= set(server.heard)


@pytest.mark.parametrize("refused", ["arc_set_main", "project_start_recording"])
def test_what_the_server_refuses_is_told(server, bench, refused):
    server.refused = refused
    with pytest.raises(QDeployError, match=r"Otii does not work \(No license\)"):
        METERS["otii"].measure(bench.load())


def test_without_server():
    assert "Otii server does not work" in METERS["otii"].obstacle()
