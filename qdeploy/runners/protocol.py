"""The host's side of the serial protocol of MLPerf Tiny (EEMBC), over any stream of bytes.

Commands end in ``%``, lines in CR LF, and every reply ends in ``m-ready``. The device's side is
``targets/mcu/runtime/protocol.c``; docs/firmware.md describes both.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.network import Accumulator
from qdeploy.runners import check_inputs

__all__ = ["Device", "DeviceSession", "Inference", "Profile", "Stream"]

_READY = "m-ready"
_CHUNK = 31
"""Bytes of input in one command, as the official runner sends them."""
_TIMEOUT = 10.0
"""Seconds for a reply to a command that computes nothing."""


class Stream(Protocol):
    """A serial port, pipe or socket."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none when nothing arrives within a fraction of a second."""

    def write(self, data: bytes, /) -> object:
        """Send all of the bytes."""


@dataclass(frozen=True)
class Profile:
    """What the device tells of itself.

    Attributes:
        firmware: version of the protocol.
        model: name of the model.
    """

    firmware: str
    model: str


@dataclass(frozen=True)
class Inference:
    """What the device tells of a run.

    Attributes:
        results: the scores of the last inference, exact.
        iterations: inferences between the two time stamps.
        start_microseconds: the device's clock before the first of them, None in energy builds.
        end_microseconds: the device's clock after the last of them, None in energy builds.
    """

    results: tuple[int, ...]
    iterations: int
    start_microseconds: int | None
    end_microseconds: int | None

    @property
    def microseconds(self) -> float | None:
        """Time of one inference, None in energy builds."""
        if self.start_microseconds is None or self.end_microseconds is None:
            return None
        return (self.end_microseconds - self.start_microseconds) / self.iterations


class Device:
    """A device that speaks the protocol.

    Args:
        stream: where it listens and answers.
        where: what to call it in messages, such as a port.
        timeout: seconds to wait for a reply to anything but inferences.
    """

    def __init__(self, stream: Stream, where: str, *, timeout: float = _TIMEOUT) -> None:
        self._stream = stream
        self._where = where
        self._timeout = timeout
        self._received = b""

    def wait_until_ready(self) -> list[str]:
        """The lines that a device sends when it starts.

        Raises:
            QDeployError: it does not say that it is ready.
        """
        return self._reply("start-up", self._timeout)

    def synchronize(self) -> None:
        """End whatever command is half sent, and drop what the device has said until now.

        For a device that runs already: its start-up lines are long gone.

        Raises:
            QDeployError: nobody answers.
        """
        self._stream.write(b"%")
        self._reply("%", self._timeout)
        # The lines of its start may have been waiting too: their m-ready came first.
        while self._stream.read(4096):
            pass
        self._received = b""

    def command(self, text: str, *, timeout: float | None = None) -> list[str]:
        """Send a command; its reply without the last line.

        Args:
            text: the command without ``%``.
            timeout: seconds to wait for the reply; None for the device's own.

        Raises:
            QDeployError: the device refuses the command or does not answer.
        """
        self._stream.write(text.encode("ascii") + b"%")
        lines = self._reply(text, self._timeout if timeout is None else timeout)
        for line in lines:
            if line.startswith("e-["):
                reason = line.removeprefix("e-[").removesuffix("]")
                raise QDeployError(f"{self._where} refuses the command {text!r}: {reason}")
        return lines

    def name(self) -> str:
        """What the device is called."""
        return self._value("name", r"m-name-dut-\[([^]]*)\]")

    def profile(self) -> Profile:
        """Firmware and model of the device."""
        lines = self.command("profile")
        return Profile(
            self._find("profile", lines, r"m-profile-\[([^]]*)\]"),
            self._find("profile", lines, r"m-model-\[([^]]*)\]"),
        )

    def clock_hertz(self) -> int:
        """The clock that the device's core runs at, as its firmware set it up."""
        return int(self._value("clock", r"m-clock-hz-([0-9]+)"))

    def load(self, x: bytes) -> None:
        """Send the input of the next inferences.

        Args:
            x: int8 inputs of one sample as bytes.
        """
        self.command(f"db load {len(x)}")
        lines: list[str] = []
        for start in range(0, len(x), _CHUNK):
            lines = self.command(f"db {x[start : start + _CHUNK].hex()}")
        self._find("db", lines, r"(m-load-done)")

    def infer(
        self, iterations: int = 1, warmups: int = 0, *, timeout: float | None = None
    ) -> Inference:
        """Run inferences on the loaded input.

        Args:
            iterations: inferences between the two time stamps, at least 1.
            warmups: inferences before them.
            timeout: seconds to wait for all of them; None for the device's own.
        """
        text = f"infer {iterations} {warmups}"
        lines = self.command(text, timeout=timeout)
        laps = [int(found.group(1)) for found in _matches(r"m-lap-us-([0-9]+)", lines)]
        start, end = laps if len(laps) == 2 else (None, None)
        return Inference(self._scores(text, lines), iterations, start, end)

    def results(self) -> tuple[int, ...]:
        """Scores of the last inference."""
        return self._scores("results", self.command("results"))

    def _scores(self, text: str, lines: Sequence[str]) -> tuple[int, ...]:
        listed = self._find(text, lines, r"m-results-\[(-?[0-9]+(?:,-?[0-9]+)*)\]")
        return tuple(int(score) for score in listed.split(","))

    def _value(self, text: str, pattern: str) -> str:
        return self._find(text, self.command(text), pattern)

    def _find(self, text: str, lines: Sequence[str], pattern: str) -> str:
        found = next(_matches(pattern, lines), None)
        if found is None:
            raise QDeployError(
                f"{self._where} answers the command {text!r} with {' '.join(lines)!r}, "
                "which is not the protocol; flash the benchmark firmware of this qdeploy"
            )
        return found.group(1)

    def _reply(self, text: str, timeout: float) -> list[str]:
        deadline = time.monotonic() + timeout
        lines: list[str] = []
        while True:
            line, end, rest = self._received.partition(b"\n")
            if end:
                self._received = rest
                decoded = line.strip(b"\r\0").decode("ascii", "replace")
                if decoded == _READY:
                    return lines
                if decoded:
                    lines.append(decoded)
                continue
            arrived = self._stream.read(4096)
            self._received += arrived
            if not arrived and time.monotonic() > deadline:
                last = f" (its last line: {lines[-1]!r})" if lines else ""
                raise QDeployError(
                    f"{self._where} did not answer {text!r} within {timeout:g} s{last}; "
                    "reset the device and look at its port, speed and firmware"
                )


class DeviceSession:
    """Scores of samples, one after the other, from a device that speaks the protocol.

    Args:
        device: a device that is ready.
        inputs: int8 inputs of a sample.
        outputs: scores of a sample.
        score_type: "int32" or "int64".
    """

    def __init__(self, device: Device, inputs: int, outputs: int, score_type: Accumulator) -> None:
        self.device = device
        self._inputs = inputs
        self._outputs = outputs
        self._dtype = np.dtype(score_type)

    def __call__(self, x: NDArray[np.int8]) -> NDArray[np.integer]:
        """Scores (n, K) of int8 inputs (n, d)."""
        x = check_inputs(x, self._inputs)
        scores = np.empty((len(x), self._outputs), dtype=self._dtype)
        for row, sample in enumerate(x):
            self.device.load(sample.tobytes())
            results = self.device.infer().results
            if len(results) != self._outputs:
                raise QDeployError(
                    f"the device gives {len(results)} scores, the model has {self._outputs}; "
                    "flash the firmware of this model"
                )
            scores[row] = results
        return scores


def _matches(pattern: str, lines: Sequence[str]) -> Iterator[re.Match[str]]:
    return (found for line in lines if (found := re.fullmatch(pattern, line)))
