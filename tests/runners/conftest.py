"""A board on a pseudo-terminal, which speaks the protocol as the issue of MLPerf Tiny tells it.

It is written apart from the firmware's C, and can misbehave.
"""

import os
import select
import threading
import time
import tty
from types import SimpleNamespace

import numpy as np
import pytest

from qdeploy.firmware import ModelInterface


def toy_scores(x):
    """Scores (K,) of int8 inputs (d,)."""
    wide = np.asarray(x, dtype=np.int64)
    return [int(wide.sum()), -int((wide * wide).sum()) * 2**40, -(2**63)]


class SimulatedBoard:
    """What is at the other end of the cable.

    Attributes:
        port: name of its serial port.
        name, model: what it says it is.
        energy: an energy build, which sends no time stamps.
        latency: seconds of an inference.
        clock: its seconds in one of the host's.
        silent_until: time (monotonic) until which it hears nothing.
        answers: other replies to commands, as lines.
        unplugged_by: command that ends it.
        commands: those that it has heard.
        ran: when its last inferences began and ended.
    """

    def __init__(self, interface):
        self.interface = interface
        self.name = "nucleo-l4r5zi"
        self.model = interface.name
        self.energy = False
        self.latency = 1e-4
        self.clock = 1.0
        self.silent_until = 0.0
        self.answers = {}
        self.unplugged_by = None
        self.commands = []
        self.ran = None
        self.x = bytearray()
        self.scores = None
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def send(self, *lines):
        os.write(self.master, "".join(f"{line}\r\n" for line in lines).encode("latin-1"))

    def boot(self):
        self.send("\0\xff", f"m-timestamp-mode-{'energy' if self.energy else 'performance'}")
        self.send("m-lap-us-3", "m-init-done", "m-ready")

    def listen(self):
        heard = b""
        while not self.ended.is_set():
            # Never blocked in a read: the number of a closed descriptor is soon another file's.
            if not select.select([self.master], [], [], 0.02)[0]:
                continue
            arrived = os.read(self.master, 1024)
            if time.monotonic() < self.silent_until:
                continue
            heard += arrived
            while b"%" in heard:
                command, heard = heard.split(b"%", 1)
                text = command.decode()
                self.commands.append(text)
                if text == self.unplugged_by:
                    os.close(self.master)
                    self.master = None
                    return
                self.answer(text)

    def answer(self, text):
        words = text.split()
        if text in self.answers:
            self.send(*self.answers[text], "m-ready")
        elif text == "name":
            self.send(f"m-name-dut-[{self.name}]", "m-ready")
        elif text == "profile":
            self.send("m-profile-[ULPMark for tinyML Firmware V0.0.1]")
            self.send(f"m-model-[{self.model}]", "m-ready")
        elif words[:2] == ["db", "load"]:
            self.x.clear()
            right = int(words[2]) == self.interface.inputs
            self.send("m-[Expecting bytes]" if right else "e-[Wrong number of bytes]", "m-ready")
        elif words[:1] == ["db"]:
            assert len(words[1]) <= 62
            self.x += bytes.fromhex(words[1])
            if len(self.x) == self.interface.inputs:
                self.send("m-load-done")
            self.send("m-ready")
        elif words[:1] == ["infer"]:
            self.infer(int(words[1]), int(words[2]))
        else:
            self.send(f"e-[Unknown command: {text}]", "m-ready")

    def infer(self, iterations, warmups):
        self.send(f"m-warmup-start-{warmups}", "m-warmup-done", f"m-infer-start-{iterations}")
        start = time.monotonic()
        time.sleep(iterations * self.latency)
        end = time.monotonic()
        self.ran = start, end
        if not self.energy:
            begin = 4294967000
            self.send(f"m-lap-us-{begin}")
            self.send(f"m-lap-us-{begin + round(iterations * self.latency * self.clock * 1e6)}")
        scores = toy_scores(np.frombuffer(bytes(self.x), dtype=np.int8))
        self.send("m-infer-done", f"m-results-[{','.join(map(str, scores))}]", "m-ready")

    def close(self):
        self.ended.set()
        self.thread.join()
        if self.master is not None:
            os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def toy_interface():
    return ModelInterface("toy", 40, 3, "int64")


@pytest.fixture
def simulated_board(toy_interface):
    pytest.importorskip("serial")
    board = SimulatedBoard(toy_interface)
    yield board
    board.close()


@pytest.fixture
def expected():
    return lambda x: np.array([toy_scores(row) for row in x], dtype=np.int64).reshape(len(x), 3)


@pytest.fixture
def usb(monkeypatch):
    """Plugs ports in: a function of (device, vendor, product, product string, serial number)."""
    list_ports = pytest.importorskip("serial.tools.list_ports")
    connected = []
    monkeypatch.setattr(list_ports, "comports", lambda: list(connected))

    class Port(SimpleNamespace):
        def __lt__(self, other):
            return self.device < other.device

    def plug(device, vid=None, pid=None, product=None, serial_number=None):
        connected.append(
            Port(
                device=device,
                vid=vid,
                pid=pid,
                product=product,
                serial_number=serial_number,
                interface=None,
                description=product or "n/a",
            )
        )

    return plug
