"""Qoitech's Otii Arc and Ace, through `otii-tcp-client` and the Otii server on this machine.

The server records; current, voltage and digital inputs are fetched from its recording. The digital
inputs come as changes with time stamps, current and voltage as samples of rates of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Any

import numpy as np

from qdeploy.benchmark.meters import METERS
from qdeploy.benchmark.meters.capture import Capture, Pulse, Trace, power_of
from qdeploy.benchmark.meters.instrument import POWER_UP_SECONDS, Instrument, Recorder
from qdeploy.errors import QDeployError

__all__ = ["OtiiMeter"]

HOST_UNCERTAINTY = 0.1
"""Seconds between the request to record and the beginning, beyond the time of the request."""
RESOLUTION = 1e-3
"""Seconds: time stamps of digital inputs are documented in milliseconds."""
CONNECT_SECONDS = 1
_INPUTS = ("i1", "i2")
_REMEDY = "start it on this machine, and log in with a licence for automation"


def _client_module() -> Any:
    try:
        from otii_tcp_client import otii_client
    except ImportError:
        raise QDeployError(
            "the package otii-tcp-client is not installed; "
            "install it with: pip install otii-tcp-client"
        ) from None
    return otii_client


def _failures() -> tuple[type[Exception], ...]:
    """What the client raises when server or instrument fail, rather than the program."""
    from otii_tcp_client import otii, otii_client, otii_connection, otii_exception

    return (
        OSError,
        otii.OtiiException,
        otii_client.OtiiClientException,
        otii_connection.DisconnectedException,
        otii_exception.Otii_Exception,
    )


@contextmanager
def _errors(title: str, remedy: str = "plug it in again") -> Iterator[None]:
    """Say what the client raises in one sentence."""
    try:
        yield
    except _failures() as error:
        # The server's answers are told by `message`, or where that is all of the answer, by `type`.
        message = getattr(error, "message", str(error))
        told = message if isinstance(message, str) else getattr(error, "type", "")
        told = " ".join(told.split()) or type(error).__name__
        raise QDeployError(f"{title} does not work ({told}); {remedy}") from error


@contextmanager
def _connected() -> Iterator[Any]:
    """An otii_client.Connect; logs in and reserves a licence as the client is set up to."""
    client = _client_module().OtiiClient()
    with _errors("the Otii server", _REMEDY):
        otii = client.connect(try_for_seconds=CONNECT_SECONDS)
    try:
        yield otii
    finally:
        with suppress(*_failures()):
            client.disconnect()


def _devices(otii: Any) -> list[Any]:
    with _errors("the Otii server", _REMEDY):
        return list(otii.get_devices(timeout=CONNECT_SECONDS, devicefilter=["Arc", "Ace"]))


def _project(otii: Any) -> Any:
    """The project that is open in the server's program, or a new one."""
    from otii_tcp_client.otii import OtiiException

    try:
        return otii.get_active_project()
    except OtiiException:
        return otii.create_project()


class _Recorder(Recorder):
    """Recordings of one instrument in a project of the server.

    Args:
        project: otii_tcp_client.project.Project.
        device: id of the instrument.
        timing_input: "i1" or "i2".
    """

    def __init__(self, project: Any, device: str, timing_input: str) -> None:
        self._project = project
        self._device = device
        self._input = timing_input
        self._host_offset = 0.0
        self._host_uncertainty = 0.0

    def start(self) -> None:
        before = monotonic()
        with _errors("Otii"):
            self._project.start_recording()
        after = monotonic()
        self._host_offset = (before + after) / 2
        self._host_uncertainty = (after - before) / 2 + HOST_UNCERTAINTY

    def stop(self) -> Capture:
        with _errors("Otii"):
            self._project.stop_recording()
            recording = self._project.get_last_recording()
            if recording is None:
                raise QDeployError("the Otii server kept no recording; look at its project")
            current = self._trace(recording, "mc")
            voltage = self._trace(recording, "mv")
            count = recording.get_channel_data_count(self._device, self._input)
            changes = (
                recording.get_channel_data(self._device, self._input, 0, count)["values"]
                if count
                else []
            )
        return Capture(
            power_of(current, voltage),
            current,
            _pulses(changes),
            max(RESOLUTION, current.period),
            self._host_offset,
            self._host_uncertainty,
        )

    def _trace(self, recording: Any, channel: str) -> Trace:
        count = recording.get_channel_data_count(self._device, channel)
        if not count:
            raise QDeployError(
                f"Otii recorded no samples of channel {channel}; "
                "calibrate it in its program, and look at its output"
            )
        data = recording.get_channel_data(self._device, channel, 0, count)
        return Trace(data["timestamp"], data["interval"], np.asarray(data["values"], dtype=float))


def _pulses(changes: list[dict[str, Any]]) -> tuple[Pulse, ...]:
    """Complete pulses of an input that rests high, from its changes in order."""
    pulses: list[Pulse] = []
    fall: float | None = None
    seen_high = False
    for change in changes:
        if not change["value"]:
            # An input that is low from the start fell before the recording.
            fall = change["timestamp"] if seen_high and fall is None else fall
        else:
            seen_high = True
            if fall is not None:
                pulses.append(Pulse(fall, change["timestamp"]))
                fall = None
    return tuple(pulses)


class OtiiMeter(Instrument):
    """Powers the board, or sits in its supply; the instrument measures the voltage itself."""

    name = "otii"
    title = "Otii"
    most_amperes = 5.0
    inputs = ("GPI1", "GPI2")
    volts_measured = True
    powers_boards = True

    def found(self) -> list[str]:
        """Names of those that the server on this machine knows."""
        with _connected() as otii:
            return sorted(device.name for device in _devices(otii))

    @contextmanager
    def opened(self, device: str) -> Iterator[Recorder]:
        """Connect to the server, set the channels up, and switch the board on."""
        wiring = self.wiring
        channel = _INPUTS[wiring.timing_input]
        with _connected() as otii:
            instrument = next((each for each in _devices(otii) if each.name == device), None)
            if instrument is None:
                raise QDeployError(f"{device} is not connected to the Otii server any more")
            with _errors("Otii"):
                project = _project(otii)
                if wiring.supplies:
                    instrument.set_power_regulation("voltage")
                    instrument.set_main_voltage(wiring.volts)
                else:
                    instrument.set_power_regulation("inline")
                if wiring.volts is not None:
                    # The level that digital inputs are compared with.
                    instrument.set_exp_voltage(wiring.volts)
                instrument.enable_exp_port(True)
                for each in ("mc", "mv", channel):
                    instrument.enable_channel(each, True)
                instrument.set_main(True)
            sleep(POWER_UP_SECONDS)
            yield _Recorder(project, instrument.id, channel)


METERS.register(OtiiMeter.name)(OtiiMeter())
