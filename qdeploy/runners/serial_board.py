"""A real board: its firmware is flashed, then spoken to over its serial port.

The protocol is that of every other place where the firmware runs (`qdeploy.runners.protocol`); here
is what a cable adds: a port to find, a device that may be another one, and a connection that may
end.
"""

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.runners import RUNNERS, Interface, check_inputs
from qdeploy.runners.flashing import flash
from qdeploy.runners.protocol import Device, DeviceSession, Inference
from qdeploy.runners.qemu import FirmwareArtifact
from qdeploy.runners.serial_ports import BoardPort, SerialStream, find_port
from qdeploy.targets import McuTarget

__all__ = ["BoardArtifact", "BoardSession", "SerialBoardRunner", "TimedInference", "connect"]

_START_SECONDS = 6.0
"""What a board gets to start: flash programs let it go before it is up."""
_ATTEMPT_SECONDS = 1.0
_LATENCY_SECONDS = 0.02
"""Of a serial port over USB: adapters hand over what arrived every 16 ms or sooner."""
_BUFFERED_CHARACTERS = 32
"""Largest buffer of a serial port of a microcontroller, which may still be full of lines."""
_BITS = 10
"""A character on the line: start, 8 data bits, stop."""


class BoardArtifact(FirmwareArtifact, Protocol):
    """What the runner needs to know of an artifact."""

    @property
    def energy_firmware_elf(self) -> Path | None:
        """The firmware that pulses a pin in place of time stamps, where it was built."""


@dataclass(frozen=True)
class TimedInference:
    """A run of inferences as the device tells it and as the host saw it.

    Attributes:
        inference: what the device tells.
        start: the host's clock (time.monotonic) when the first inference began.
        end: the host's clock when the last one had ended.
        uncertainty: seconds by which either may be off.
    """

    inference: Inference
    start: float
    end: float
    uncertainty: float


class BoardSession(DeviceSession):
    """A connected board; it ends with `close` or at the end of a ``with`` block.

    Args:
        stream: the port, of a device that is ready.
        interface: how the model is called.
    """

    def __init__(self, stream: SerialStream, interface: Interface) -> None:
        super().__init__(
            Device(stream, str(stream.port)),
            interface.inputs,
            interface.outputs,
            interface.score_type,
        )
        self._stream = stream
        self._width = interface.inputs

    def load(self, x: NDArray[np.int8]) -> None:
        """Send the input (d,) of the next inferences."""
        self.device.load(check_inputs(x[np.newaxis], self._width).tobytes())

    def infer(self, iterations: int, warmups: int = 0, *, timeout: float) -> TimedInference:
        """Run inferences on the loaded input, and note when the host saw them.

        Args:
            iterations: inferences between the time stamps.
            warmups: inferences before them.
            timeout: seconds to wait for all of them.
        """
        done = self.device.infer(iterations, warmups, timeout=timeout)
        seen = self._stream.arrival(b"m-infer-start-")
        if seen is None:
            raise QDeployError(
                f"{self._stream.port} does not say when it infers; "
                "flash the benchmark firmware of this qdeploy"
            )
        buffered = _BUFFERED_CHARACTERS * _BITS / self._stream.baud
        return TimedInference(done, *seen, buffered + _LATENCY_SECONDS)

    def close(self) -> None:
        """Give the port back; the board goes on."""
        self._stream.close()

    def __enter__(self) -> "BoardSession":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def connect(
    board: McuTarget,
    interface: Interface,
    port: BoardPort | None = None,
    *,
    energy: bool = False,
) -> BoardSession:
    """Speak to the firmware that is on a board.

    Args:
        board: the target.
        interface: how its model is called.
        port: where it is; by default the only one with a debug probe behind it.
        energy: whether it is an energy build, which speaks more slowly.

    Raises:
        QDeployError: there is no such port, nobody answers, or it is another board or model.
    """
    if board.uart is None:
        raise QDeployError(f"target {board.name} has no serial port; add a [uart] table")
    port = port or find_port()
    stream = SerialStream(port, board.uart.energy_baud if energy else board.uart.baud)
    try:
        _wait(stream)
        session = BoardSession(stream, interface)
        _compare(port, "board", session.device.name(), board.name)
        _compare(port, "model", session.device.profile().model, interface.name)
    except BaseException:
        stream.close()
        raise
    return session


def _wait(stream: SerialStream) -> None:
    """Wait until a board that may still be starting answers, and has said all that it had to say.

    A command that is none comes back in its refusal. Each attempt has one of its own, so that what
    the board says late to an earlier one, or has said before, is not taken for the answer.
    """
    deadline = time.monotonic() + _START_SECONDS
    for attempt in itertools.count():
        if _answers(stream, f"attempt-{attempt}".encode()):
            return
        if time.monotonic() > deadline:
            raise QDeployError(
                f"nothing answers on {stream.port} at {stream.baud} bits a second; "
                "flash the firmware, reset the board, and look at its wires and its build "
                "(energy builds speak at another speed)"
            )


def _answers(stream: SerialStream, command: bytes) -> bool:
    """Whether a command that is none is refused."""
    # The first % ends what an interrupted program may have begun.
    stream.write(b"%" + command + b"%")
    deadline = time.monotonic() + _ATTEMPT_SECONDS
    heard = b""
    while time.monotonic() < deadline:
        heard += stream.read(4096)
        if b"m-ready\r\n" in heard.partition(b"[Unknown command: " + command + b"]")[2]:
            return True
    return False


def _compare(port: BoardPort, what: str, told: str, expected: str) -> None:
    if told != expected:
        raise QDeployError(
            f"the {what} on {port} is {told!r}, not {expected!r}; "
            "name another port, or flash the firmware of this model for this board"
        )


class SerialBoardRunner:
    """Flashes the artifact's firmware and connects to the board.

    Args:
        port: name of the serial port; by default the only one with a debug probe behind it.
        flashing: whether to flash first; otherwise the firmware must be there.
        energy: whether to flash the energy build, or whether it is there.
    """

    name = "board"
    title = "board on a serial port"
    family = "mcu"

    def __init__(
        self, port: str | None = None, *, flashing: bool = True, energy: bool = False
    ) -> None:
        self._port = port
        self._flashing = flashing
        self._energy = energy

    def open(self, artifact: BoardArtifact) -> BoardSession:
        """Flash and connect.

        Raises:
            QDeployError: the artifact has no firmware, there is no board or several, or it cannot
                be flashed or does not answer.
        """
        port = find_port(self._port)
        if self._flashing:
            flash(artifact.board, self._firmware(artifact), port.serial_number)
        return connect(artifact.board, artifact.interface, port, energy=self._energy)

    def _firmware(self, artifact: BoardArtifact) -> Path:
        firmware = artifact.energy_firmware_elf if self._energy else artifact.firmware_elf
        if firmware is None:
            build = "energy build of its firmware" if self._energy else "firmware"
            raise QDeployError(
                f"the artifact has no {build} for {artifact.board.name}; compile it again for a "
                f"target with {'a [pulse] and ' if self._energy else ''}a [uart] table"
            )
        return firmware


RUNNERS.register(SerialBoardRunner.name)(SerialBoardRunner())
