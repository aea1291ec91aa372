"""Joulescope JS110, JS220 and JS320, through Jetperch's `pyjoulescope_driver`.

Current, voltage and one general-purpose input are streamed at the same rate; samples carry their
number, so that missing ones are known. The instrument measures the voltage itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.meters import METERS
from qdeploy.benchmark.meters.capture import Capture, Trace, power_of, pulses_of
from qdeploy.benchmark.meters.instrument import Instrument, Recorder, driver_errors
from qdeploy.errors import QDeployError

__all__ = ["JoulescopeMeter"]

SAMPLES_A_SECOND = 100_000
"""Enough for pulses of 2 ms; the full rate of 1 or 2 MHz fills a gigabyte in minutes."""
HOST_UNCERTAINTY = 0.1
"""Seconds: the driver hands samples over about 20 times a second."""
_FAILURES = (RuntimeError, TimeoutError)


def _driver_module() -> Any:
    try:
        import pyjoulescope_driver
    except ImportError:
        raise QDeployError(
            "the package pyjoulescope_driver is not installed; "
            "install it with: pip install pyjoulescope_driver"
        ) from None
    return pyjoulescope_driver


class _Recorder(Recorder):
    """Streams of an open Joulescope.

    Args:
        driver: pyjoulescope_driver.Driver.
        device: path of the device, such as "u/js220/000123".
        timing_input: number of the general-purpose input.
    """

    def __init__(self, driver: Any, device: str, timing_input: int) -> None:
        self._driver = driver
        self._input = f"s/gpi/{timing_input}"
        self._topics = {f"{device}/{signal}": signal for signal in ("s/i", "s/v", self._input)}
        self._messages: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        # Unsubscribing takes the same object; a bound method is a new one each time.
        self._callback = self._on_data

    def start(self) -> None:
        self._messages = {signal: [] for signal in self._topics.values()}
        with driver_errors("the Joulescope", *_FAILURES):
            for topic in self._topics:
                self._driver.subscribe(f"{topic}/!data", "pub", self._callback)
                self._driver.publish(f"{topic}/ctrl", 1)

    def stop(self) -> Capture:
        with driver_errors("the Joulescope", *_FAILURES):
            for topic in self._topics:
                self._driver.publish(f"{topic}/ctrl", 0)
                self._driver.unsubscribe(f"{topic}/!data", self._callback)
        current, voltage = self._trace("s/i"), self._trace("s/v")
        levels = self._trace(self._input, packed=True)
        # The bits of a message fill whole bytes; those behind the last sample mean nothing.
        count = min(len(levels.values), round((current.end - levels.start) / levels.period))
        high = np.nan_to_num(levels.values[: max(count, 0)], nan=1.0) > 0
        offset = min(
            arrival - _seconds(message, len(message["data"]))
            for arrival, message in self._messages["s/i"]
        )
        return Capture(
            power_of(current, voltage),
            current,
            pulses_of(high, levels.start, levels.period),
            levels.period,
            offset,
            HOST_UNCERTAINTY,
        )

    def _on_data(self, topic: str, value: dict[str, Any]) -> None:
        """Keep a message; called in the driver's thread."""
        signal = self._topics.get(topic.removesuffix("/!data"))
        if signal is not None:
            self._messages[signal].append((monotonic(), value))

    def _trace(self, signal: str, *, packed: bool = False) -> Trace:
        messages = [message for _, message in self._messages[signal]]
        if not messages:
            raise QDeployError(
                f"the Joulescope sent no samples of {signal}; plug it in again, "
                "and close other programs that use it"
            )
        parts = [(_index(message), _values(message, packed)) for message in messages]
        first = min(index for index, _ in parts)
        values = np.full(max(index + len(part) for index, part in parts) - first, np.nan)
        for index, part in parts:
            values[index - first : index - first + len(part)] = part
        period = messages[0]["decimate_factor"] / messages[0]["sample_rate"]
        return Trace(first * period, period, values)


class JoulescopeMeter(Instrument):
    """Sits in the supply of the board."""

    name = "joulescope"
    title = "Joulescope"
    most_amperes = 10.0
    inputs = ("IN0", "IN1", "IN2", "IN3")
    volts_measured = True
    powers_boards = False

    def found(self) -> list[str]:
        """Paths of those that are connected, such as "u/js220/000123"."""
        module = _driver_module()
        with (
            driver_errors("the driver of Joulescopes", *_FAILURES, remedy="install it again"),
            module.Driver() as driver,
        ):
            return sorted(path for path in driver.device_paths() if "/js" in path)

    @contextmanager
    def opened(self, device: str) -> Iterator[Recorder]:
        """Open it without switching the board off: its ranges are kept, then set to automatic."""
        module = _driver_module()
        with module.Driver() as driver:
            with driver_errors("the Joulescope", *_FAILURES):
                driver.open(device, mode="restore")
                driver.publish(f"{device}/h/fs", SAMPLES_A_SECOND)
                if "js110" in device:
                    driver.publish(f"{device}/s/i/range/select", "auto")
                    driver.publish(f"{device}/s/v/range/select", "15 V")
                else:
                    driver.publish(f"{device}/s/i/range/mode", "auto")
                    driver.publish(f"{device}/s/v/range/mode", "auto")
            try:
                yield _Recorder(driver, device, self.wiring.timing_input)
            finally:
                with driver_errors("the Joulescope", *_FAILURES):
                    driver.close(device)


def _index(message: dict[str, Any]) -> int:
    """Number of the first sample of a message, at the rate of its signal."""
    return int(message["sample_id"]) // int(message["decimate_factor"])


def _seconds(message: dict[str, Any], count: int) -> float:
    """When sample `count` of a message begins, on the instrument's clock."""
    rate = message["sample_rate"] / message["decimate_factor"]
    return float((_index(message) + count) / rate)


def _values(message: dict[str, Any], packed: bool) -> NDArray[np.float64]:
    data = np.asarray(message["data"])
    return (np.unpackbits(data, bitorder="little") if packed else data).astype(np.float64)


METERS.register(JoulescopeMeter.name)(JoulescopeMeter())
