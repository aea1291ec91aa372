"""The real ppk2_api, where it is installed, against a kit on a pseudo-terminal, in true time."""

import os
import threading
import time
import tty
from types import SimpleNamespace

import numpy as np
import pytest

from qdeploy.benchmark.meters import METERS, Load, instrument, ppk2
from qdeploy.benchmark.meters.capture import Stretch
from qdeploy.benchmark.meters.instrument import Wiring
from qdeploy.benchmark.timing import Estimate
from qdeploy.targets import Power

pytest.importorskip("ppk2_api.ppk2_api")

RANGE = 3
OHMS = 0.94
AMPERES = 4 * 1.8 / 163840 / OHMS
"""Of one unit of a word."""
METADATA = (
    "Calibrated: 1\n"
    + "".join(f"R{i}: {ohms}\n" for i, ohms in enumerate([1031.64, 101.65, 10.15, OHMS, 0.043]))
    + "".join(f"{name}{i}: {value}\n" for i in range(5) for name, value in [("GS", 0), ("GI", 1)])
    + "VDD: 3000\nHW: 9173\nmode: 1\nIA: 56\nEND"
)
BUSY, IDLE = 200, 20


class Kit:
    """Answers commands, and sends 100 000 words a second while it measures."""

    def __init__(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self.commands = []
        self.stretches = []
        self.sent = None
        self.ended = threading.Event()
        for work in (self.listen, self.stream):
            threading.Thread(target=work, daemon=True).start()

    def listen(self):
        while not self.ended.is_set():
            try:
                heard = os.read(self.master, 64)
            except OSError:
                return
            self.commands.append(heard)
            if heard == b"\x19":
                os.write(self.master, METADATA.encode())
            elif heard == b"\x06":
                self.begun, self.sent = time.monotonic(), 0
            elif heard == b"\x07":
                self.sent = None

    def stream(self):
        while not self.ended.wait(0.002):
            sent = self.sent
            if sent is None:
                continue
            until = int((time.monotonic() - self.begun) / 1e-5)
            numbers = np.arange(sent, until)
            times = self.begun + (numbers + 0.5) * 1e-5
            value = np.full(len(times), IDLE, dtype=np.uint32)
            high = np.ones(len(times), dtype=np.uint32)
            for start, end in list(self.stretches):
                value[(times >= start) & (times < end)] = BUSY
                for fall in (start - 2e-3, end):
                    high[(times >= fall) & (times < fall + 2e-3)] = 0
            counter = numbers.astype(np.uint32) & 63
            words = value | RANGE << 14 | counter << 18 | high << 24
            os.write(self.master, words.astype("<u4").tobytes())
            if self.sent is not None:
                self.sent = until

    # A board that runs when it is asked to.

    def prepare(self):
        pass

    def measure(self, calls, groups, warm_seconds=0.0):
        raise AssertionError("an instrument runs stretches")

    def run(self, calls):
        # Announced before it begins, so that the words of its time are right.
        start = time.monotonic() + 0.02
        end = start + calls * 1e-3
        self.stretches.append((start, end))
        time.sleep(max(0.0, end - time.monotonic()) + 0.02)
        return Stretch(start, end, 0.01)


@pytest.fixture
def kit(monkeypatch):
    list_ports = pytest.importorskip("serial.tools.list_ports")
    made = Kit()
    port = SimpleNamespace(
        device=made.port, serial_number="ABC", location="1-1:1.1", vid=0x1915, pid=0xC00A
    )
    monkeypatch.setattr(list_ports, "comports", lambda: [port])
    monkeypatch.setattr(ppk2, "POWER_UP_SECONDS", 0.05)
    monkeypatch.setattr(instrument, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(instrument, "PAUSE_SECONDS", 0.15)
    yield made
    made.ended.set()
    os.close(made.slave)


def test_energy_of_known_currents(kit):
    power = Power(low=1e-3, typical=2e-3, high=3e-3, kind="datasheet", source="a document")
    load = Load(kit, Estimate(1e-3, 1e-3, 1e-3), 1, 0.3, power)
    reading = METERS["ppk2"].wired(Wiring(volts=3.0, supplies=True)).measure(load)
    assert reading.joules.value == pytest.approx(3.0 * BUSY * AMPERES * 1e-3, rel=1e-3)
    assert "pulses on D0" in reading.note
    assert f"idle power {3.0 * IDLE * AMPERES:.3g} W" in reading.note
    # Source meter, 3 V, power on, a recording of each kind.
    assert b"\x11\x02\x0d\x0b\xb8\x0c\x01\x06\x07\x06\x07" in b"".join(kit.commands)
