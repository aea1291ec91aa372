"""Serial ports of boards: found by the debug probe behind them, opened, and read without waiting.

A board speaks through the virtual port of its debug probe, or through an adapter that the user
names. `pyserial` is imported when a port is looked for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from qdeploy.errors import QDeployError

__all__ = ["BoardPort", "SerialStream", "find_port"]

_ANY = range(0x10000)
_PROBES = (
    (0x0483, range(0x3740, 0x3760), "ST-LINK"),
    (0x1366, _ANY, "J-Link"),
    (0x0D28, range(0x0204, 0x0205), "DAPLink"),
    (0x2E8A, range(0x000C, 0x000D), "Raspberry Pi Debug Probe"),
)
"""USB vendor, products and name of debug probes with a serial port."""
_CMSIS_DAP = "CMSIS-DAP"
"""What every other probe of this standard has in its product string."""

_READ_SECONDS = 0.1
_WRITE_SECONDS = 5.0


@dataclass(frozen=True)
class BoardPort:
    """A serial port.

    Attributes:
        device: its name, such as "/dev/ttyACM0" or "COM3".
        what: the probe or adapter, in words; empty where it is not known.
        serial_number: of the probe or adapter, which its debug interface has, too.
    """

    device: str
    what: str = ""
    serial_number: str | None = None

    def __str__(self) -> str:
        return f"{self.device} ({self.what})" if self.what else self.device


def find_port(named: str | None = None) -> BoardPort:
    """The port of the board.

    Args:
        named: the port that the user names; by default the only one with a debug probe behind it.

    Raises:
        QDeployError: no board is plugged in, or several are.
    """
    try:
        from serial.tools import list_ports
    except ImportError:
        raise QDeployError(
            "the package pyserial is not installed; install it with: pip install pyserial"
        ) from None
    ports = sorted(list_ports.comports())
    if named is not None:
        same = (port for port in ports if port.device == named)
        known = next(same, None)
        return BoardPort(named) if known is None else _described(known, _probe(known))
    boards = [_described(port, probe) for port in ports if (probe := _probe(port))]
    if not boards:
        others = [port.device for port in ports if port.vid is not None]
        hint = f"; name one of the other ports ({', '.join(others)})" if others else ""
        raise QDeployError(
            "no board with a debug probe (ST-LINK, J-Link, CMSIS-DAP) is plugged in"
            f"{hint or '; plug one in by USB'}"
        )
    if len(boards) > 1:
        raise QDeployError(
            f"several boards may be plugged in: {', '.join(map(str, boards))}; name one port"
        )
    return boards[0]


def _probe(port: Any) -> str | None:
    for vendor, products, name in _PROBES:
        if port.vid == vendor and port.pid in products:
            return name
    told = (port.product, getattr(port, "interface", None), port.description)
    return _CMSIS_DAP if any(_CMSIS_DAP in text for text in told if text) else None


def _described(port: Any, probe: str | None) -> BoardPort:
    return BoardPort(port.device, probe or port.product or "", port.serial_number)


class SerialStream:
    """An open port: a stream for the protocol that knows when what arrived.

    Args:
        port: the port.
        baud: bits a second; 8 data bits, no parity, 1 stop bit.

    Raises:
        QDeployError: it cannot be opened.
    """

    def __init__(self, port: BoardPort, baud: int) -> None:
        import serial

        self.port = port
        self.baud = baud
        self._arrived: list[tuple[float, bytes]] = []
        try:
            self._serial = serial.Serial(
                port.device,
                baud,
                timeout=_READ_SECONDS,
                write_timeout=_WRITE_SECONDS,
                exclusive=True,
            )
        except (OSError, ValueError) as error:
            raise QDeployError(
                f"{port} cannot be opened ({error}); plug the board in, close other programs that "
                "use the port, and under Linux join its group (dialout)"
            ) from None

    def read(self, size: int) -> bytes:
        """What has arrived, none when nothing does for a tenth of a second.

        Raises:
            QDeployError: the port is gone.
        """
        with self._connection():
            data: bytes = self._serial.read(1)
            waiting = min(self._serial.in_waiting, size - 1) if data else 0
            if waiting:
                data += self._serial.read(waiting)
        if data:
            self._arrived.append((monotonic(), data))
        return data

    def write(self, data: bytes) -> None:
        """Send bytes; what arrives from now on is their answer.

        Raises:
            QDeployError: the port is gone.
        """
        self._arrived.clear()
        with self._connection():
            self._serial.write(data)

    def arrival(self, text: bytes) -> tuple[float, float] | None:
        """When the answer so far came to a line, and when to what follows it.

        Args:
            text: how the line begins.

        Returns:
            Times on the host's clock (time.monotonic) at which the end of the line and the next
            byte after it had arrived; None where there is no such line or nothing after it.
        """
        whole = b"".join(data for _, data in self._arrived)
        begin = whole.find(text)
        line_end = whole.find(b"\n", begin) if begin >= 0 else -1
        if line_end < 0 or line_end + 1 >= len(whole):
            return None
        return self._time_of(line_end), self._time_of(line_end + 1)

    def _time_of(self, place: int) -> float:
        for time, data in self._arrived:
            place -= len(data)
            if place < 0:
                return time
        raise IndexError(place)

    def close(self) -> None:
        """Give the port back."""
        self._serial.close()

    @contextmanager
    def _connection(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise QDeployError(
                f"the connection to {self.port} was lost ({error}); plug the board in again"
            ) from None
