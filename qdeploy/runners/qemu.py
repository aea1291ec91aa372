"""The benchmark firmware booted in QEMU, spoken to over its serial port.

The real image runs: start-up code, serial driver, protocol, model. Virtual time is that of the
instructions (``-icount``), so a run takes the same time on every machine; it is not a cycle model.
QEMU is a program of the system and optional.
"""

import contextlib
import queue
import shutil
import subprocess
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO, Protocol

from qdeploy.errors import QDeployError
from qdeploy.runners import RUNNERS, Interface
from qdeploy.runners.protocol import Device, DeviceSession
from qdeploy.targets import Emulator, McuTarget

__all__ = ["FirmwareArtifact", "QemuMachine", "QemuRunner", "obstacle"]

_SHIFT = 5
"""An instruction takes 2^5 = 32 ns of virtual time, about a cycle of the emulated boards."""
_WAIT = 0.2
"""Seconds that one read waits."""
_PACKAGES = {
    "qemu-system-arm": "Debian's qemu-system-arm",
    "qemu-system-riscv32": "Debian's qemu-system-misc",
}


class FirmwareArtifact(Protocol):
    """What a runner of firmware needs to know of an artifact."""

    @property
    def interface(self) -> Interface:
        """How the model is called."""

    @property
    def board(self) -> McuTarget:
        """The target that it was compiled for."""

    @property
    def firmware_elf(self) -> Path | None:
        """The benchmark firmware, where it was built."""


def obstacle(board: McuTarget) -> str | None:
    """Why QEMU cannot run the firmware of a target here; None when it can."""
    if board.emulator is None:
        return f"target {board.name} names no machine of QEMU; take the runner 'emulator'"
    program = board.emulator.program
    if shutil.which(program) is None:
        return (
            f"{program} is not installed; install {_PACKAGES[program]}, "
            "or take the runner 'emulator'"
        )
    return None


class QemuMachine:
    """A machine of QEMU that runs a firmware; a stream of bytes to its serial port.

    It ends with `close`, at the end of a ``with`` block, or when nothing refers to it any more.

    Args:
        firmware: the ELF file.
        emulator: program and machine.

    Raises:
        QDeployError: the program is not installed.
    """

    def __init__(self, firmware: Path, emulator: Emulator) -> None:
        program = shutil.which(emulator.program)
        if program is None:
            raise QDeployError(f"{emulator.program} is not installed")
        self._name = f"{emulator.program} ({emulator.machine})"
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (it lives with the process)
        self._process = subprocess.Popen(
            [
                *(program, "-machine", emulator.machine),
                *("-display", "none", "-monitor", "none"),
                *("-chardev", "stdio,id=uart,signal=off", "-serial", "chardev:uart"),
                *("-semihosting-config", "enable=on,target=native"),
                *("-icount", f"shift={_SHIFT}"),
                *emulator.arguments,
                *("-kernel", str(firmware)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )
        self._finalizer = weakref.finalize(self, _end, self._process)
        self._output: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # A pipe cannot be waited for with a time limit on every system; a thread can.
        threading.Thread(
            target=_forward, args=(self._process.stdout, self._output), daemon=True
        ).start()

    def read(self, size: int) -> bytes:
        """What the machine has sent, none when it sends nothing for a moment.

        Raises:
            QDeployError: it has ended.
        """
        try:
            sent = self._output.get(timeout=_WAIT)
        except queue.Empty:
            return b""
        if not sent:
            self._output.put(b"")  # for the next call
            raise self._death()
        return sent

    def write(self, data: bytes) -> None:
        """Send bytes to the machine.

        Raises:
            QDeployError: it has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            raise self._death() from None

    def shut_down(self, timeout: float = 10.0) -> int:
        """Let the firmware end the machine by semihosting; QEMU's exit status.

        Raises:
            QDeployError: it goes on running.
        """
        self.write(b"exit%")
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise QDeployError(f"{self._name} did not end within {timeout:g} s") from None
        finally:
            self.close()

    def close(self) -> None:
        """End the machine."""
        self._finalizer()

    def __enter__(self) -> "QemuMachine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _death(self) -> QDeployError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").splitlines()
        told = f": {lines[0]}" if lines else ""
        return QDeployError(
            f"{self._name} ended with status {self._process.returncode}{told}; "
            "compile the firmware again for this target"
        )


class QemuRunner:
    """Boots the artifact's firmware."""

    name = "qemu"
    title = "firmware in QEMU"
    family = "mcu"

    def open(self, artifact: FirmwareArtifact) -> DeviceSession:
        """Boot the firmware and wait until it is ready.

        Raises:
            QDeployError: there is no firmware, no machine for the target or no QEMU, or the
                firmware does not answer.
        """
        if told := obstacle(artifact.board):
            raise QDeployError(told)
        if artifact.firmware_elf is None or artifact.board.emulator is None:
            raise QDeployError(
                f"the artifact has no firmware for {artifact.board.name}; compile it again"
            )
        machine = QemuMachine(artifact.firmware_elf, artifact.board.emulator)
        device = Device(machine, f"QEMU ({artifact.board.emulator.machine})")
        try:
            device.wait_until_ready()
        except QDeployError:
            machine.close()
            raise
        interface = artifact.interface
        return DeviceSession(device, interface.inputs, interface.outputs, interface.score_type)


def _forward(pipe: IO[bytes], output: "queue.SimpleQueue[bytes]") -> None:
    """Put what arrives into a queue; an empty piece is the end."""
    with pipe:
        while True:
            arrived = pipe.read1(4096)  # type: ignore[attr-defined]
            output.put(arrived)
            if not arrived:
                return


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


RUNNERS.register(QemuRunner.name)(QemuRunner())
