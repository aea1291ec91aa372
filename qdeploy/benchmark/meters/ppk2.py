"""Nordic's Power Profiler Kit II, through `ppk2-api`.

It measures current and eight digital inputs 100 000 times a second, and no voltage. A sample is a
word of 32 bits: converted value, range, a counter of 6 bits, and the inputs; the counter tells
which samples were lost (as in Nordic's own program, pc-nrfconnect-ppk), which the package ignores.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.meters import METERS
from qdeploy.benchmark.meters.capture import Capture, Trace, pulses_of
from qdeploy.benchmark.meters.instrument import (
    POWER_UP_SECONDS,
    Instrument,
    Recorder,
    Wiring,
    driver_errors,
)
from qdeploy.errors import QDeployError

__all__ = ["Ppk2Meter"]

LEAST_VOLTS, MOST_VOLTS = 0.8, 5.0
PERIOD = 1e-5
HOST_UNCERTAINTY = 0.05
"""Seconds: samples come in packets over USB and are fetched by a thread."""
_USB = (0x1915, 0xC00A)
_WORD = 4
_COUNTER_SHIFT, _COUNTER_MASK = 18, 0x3F
_POLL_SECONDS = 0.001
_SILENCE_SECONDS = 0.1


def _api() -> Any:
    try:
        from ppk2_api.ppk2_api import PPK2_API
    except ImportError:
        raise QDeployError(
            "the package ppk2-api is not installed; install it with: pip install ppk2-api"
        ) from None
    return PPK2_API


class _Recorder(Recorder):
    """An open kit that measures.

    Args:
        kit: ppk2_api.PPK2_API, with calibration and voltage.
        volts: of the supply.
        timing_input: number of the digital input.
    """

    def __init__(self, kit: Any, volts: float, timing_input: int) -> None:
        self._kit = kit
        self._volts = volts
        self._input = timing_input
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._data = bytearray()
        self._host_offset: float | None = None
        self._failure: OSError | None = None

    def start(self) -> None:
        self._data.clear()
        self._host_offset = self._failure = None
        self._stop.clear()
        with driver_errors("the PPK2", OSError):
            self._kit.start_measuring()
        # The system keeps but a few thousand bytes, a hundredth of a second.
        self._thread = threading.Thread(target=self._fetch, daemon=True)
        self._thread.start()

    def stop(self) -> Capture:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with driver_errors("the PPK2", OSError):
            if self._failure is not None:
                raise self._failure
            self._take()
            _silence(self._kit)
        raw = bytes(self._data[: len(self._data) // _WORD * _WORD])
        if not raw:
            raise QDeployError("the PPK2 sent no samples; plug it in again")
        microamperes, inputs = self._kit.get_samples(raw)
        places, count = _places(raw)
        amperes = np.full(count, np.nan)
        amperes[places] = np.asarray(microamperes) * 1e-6
        high = np.ones(count, dtype=bool)
        high[places] = (np.asarray(inputs) >> self._input & 1).astype(bool)
        current = Trace(0.0, PERIOD, amperes)
        return Capture(
            Trace(0.0, PERIOD, amperes * self._volts),
            current,
            pulses_of(high, 0.0, PERIOD),
            PERIOD,
            self._host_offset or 0.0,
            HOST_UNCERTAINTY,
        )

    def _fetch(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            try:
                self._take()
            except OSError as error:
                self._failure = error
                return

    def _take(self) -> None:
        self._data += self._kit.get_data()
        if self._data and self._host_offset is None:
            self._host_offset = monotonic() - len(self._data) / _WORD * PERIOD


def _silence(kit: Any) -> None:
    """End a recording; what is on its way must not become the beginning of the next answer."""
    kit.stop_measuring()
    sleep(_SILENCE_SECONDS)
    kit.get_data()


def _places(raw: bytes) -> tuple[NDArray[np.int64], int]:
    """Where samples belong when those that their counters miss are counted, and how many in all."""
    words: NDArray[np.int64] = np.frombuffer(raw, dtype="<u4").astype(np.int64)
    counters = words >> _COUNTER_SHIFT & _COUNTER_MASK
    # 1 where nothing is missing; the counter starts again after its mask.
    steps = (counters[1:] - counters[:-1] - 1 & _COUNTER_MASK) + 1
    places = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(steps)])
    return places, int(places[-1]) + 1


class Ppk2Meter(Instrument):
    """Powers the board, or sits in its supply; either way the volts must be stated."""

    name = "ppk2"
    title = "Power Profiler Kit II"
    most_amperes = 1.0
    inputs = tuple(f"D{number}" for number in range(8))
    volts_measured = False
    powers_boards = True

    def wired(self, wiring: Wiring) -> Self:
        """As for every instrument, within its range of volts."""
        if wiring.volts is not None and not LEAST_VOLTS <= wiring.volts <= MOST_VOLTS:
            raise QDeployError(
                f"a PPK2 needs a supply between {LEAST_VOLTS:g} and {MOST_VOLTS:g} V, "
                f"not {wiring.volts:g} V"
            )
        return super().wired(wiring)

    def found(self) -> list[str]:
        """Serial ports of those that are connected."""
        _api()
        from serial.tools import list_ports

        # A kit with newer firmware has two ports; commands go to the first.
        first: dict[str, str] = {}
        ports = (port for port in list_ports.comports() if (port.vid, port.pid) == _USB)
        for port in sorted(ports, key=lambda port: (port.location or "", port.device)):
            first.setdefault(port.serial_number or port.device, port.device)
        return sorted(first.values())

    @contextmanager
    def opened(self, device: str) -> Iterator[Recorder]:
        """Open it, read its calibration, and switch the board on where the kit powers it."""
        volts = self.wiring.volts
        assert volts is not None, "without volts it is an obstacle"
        with driver_errors("the PPK2", OSError):
            kit = _api()(device, timeout=1, write_timeout=1)
        try:
            # What is no calibration may be no text either.
            with driver_errors("the PPK2", OSError, UnicodeDecodeError):
                _silence(kit)
                if not kit.get_modifiers():
                    raise QDeployError(
                        f"{device} sends no calibration of a PPK2; "
                        "close other programs that use it, and plug it in again"
                    )
                if self.wiring.supplies:
                    kit.use_source_meter()
                else:
                    kit.use_ampere_meter()
                kit.set_source_voltage(round(volts * 1000))
                kit.toggle_DUT_power("ON")
            sleep(POWER_UP_SECONDS)
            yield _Recorder(kit, volts, self.wiring.timing_input)
        finally:
            # The board stays on; the port may be gone already.
            with suppress(OSError):
                kit.ser.close()


METERS.register(Ppk2Meter.name)(Ppk2Meter())
