"""Instruments in a board's supply: what they have in common, apart from their drivers.

An instrument records current and voltage while the load runs stretches of inferences; the energy of
a stretch is what it recorded between the board's pulses (or, without them, between the host's time
stamps). Figures are gross; the idle power is stated beside them.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Protocol, Self, runtime_checkable

from qdeploy.benchmark.meters import METERS, EnergyReading, Load, Meter
from qdeploy.benchmark.meters.capture import (
    Capture,
    Stretch,
    Window,
    energy,
    find_window,
    median_of,
)
from qdeploy.benchmark.timing import Estimate, Timer
from qdeploy.errors import QDeployError

__all__ = [
    "POWER_UP_SECONDS",
    "Instrument",
    "Recorder",
    "StretchTimer",
    "Wiring",
    "choose_instrument",
    "driver_errors",
]

REPEATS = 3
IDLE_SECONDS = 0.5
PAUSE_SECONDS = 0.2
"""Recorded before and after each stretch, so that neither end is cut."""
POWER_UP_SECONDS = 1.0
"""What a board gets to start after an instrument has switched it on."""


@dataclass(frozen=True)
class Wiring:
    """How an instrument is connected.

    Attributes:
        volts: the supply, where the instrument gives it or cannot measure it.
        supplies: whether the instrument powers the board, rather than sit in its supply.
        timing_input: number of the digital input that the pulse pin is wired to.
        device: serial number or port of the instrument, where several are connected.
        volts_source: where the volts are from, for notes.
    """

    volts: float | None = None
    supplies: bool = False
    timing_input: int = 0
    device: str | None = None
    volts_source: str = "as stated"

    def __post_init__(self) -> None:
        if self.volts is not None and not 0 < self.volts < math.inf:
            raise QDeployError(f"the supply voltage must be positive, not {self.volts:g} V")
        if self.supplies and self.volts is None:
            raise QDeployError("an instrument that powers the board needs to be told the volts")
        if self.timing_input < 0:
            raise QDeployError(f"there is no timing input {self.timing_input}; count from 0")


@runtime_checkable
class StretchTimer(Timer, Protocol):
    """A timer of something outside this machine, which tells when its calls ran."""

    def prepare(self) -> None:
        """Get ready to run; a board that was just switched on is connected here."""

    def run(self, calls: int) -> Stretch:
        """Run that many calls in a row."""


class Recorder(ABC):
    """An instrument that is open."""

    @abstractmethod
    def start(self) -> None:
        """Begin a recording."""

    @abstractmethod
    def stop(self) -> Capture:
        """End it."""


class Instrument(Meter):
    """A meter in the supply of a board.

    Attributes:
        title: what it is called, for messages.
        most_amperes: the most that it measures.
        inputs: names of its timing inputs, in order.
        volts_measured: whether it measures the voltage, too.
        powers_boards: whether it can supply one.
        wiring: how it is connected.
    """

    title: str
    most_amperes: float
    inputs: tuple[str, ...]
    volts_measured: bool
    powers_boards: bool
    wiring: Wiring

    def __init__(self) -> None:
        self.wiring = Wiring()

    def wired(self, wiring: Wiring) -> Self:
        """The same instrument, connected in another way.

        Raises:
            QDeployError: it has no such input, or cannot power a board.
        """
        if wiring.supplies and not self.powers_boards:
            raise QDeployError(
                f"a {self.title} powers no board; connect it between supply and board"
            )
        if wiring.timing_input >= len(self.inputs):
            raise QDeployError(
                f"{self.title} has no timing input {wiring.timing_input}; "
                f"it has {', '.join(self.inputs)}, counted from 0"
            )
        other = copy.copy(self)
        other.wiring = wiring
        return other

    @abstractmethod
    def found(self) -> list[str]:
        """Serial numbers or ports of those that are connected.

        Raises:
            QDeployError: the driver is not installed or does not work.
        """

    @abstractmethod
    def opened(self, device: str) -> AbstractContextManager[Recorder]:
        """Open one of those `found`, with the supply on; closed at the end of the block.

        Raises:
            QDeployError: it cannot be opened.
        """

    def switch_on(self) -> None:
        """Let the board have its supply, to be flashed and spoken to; it stays on.

        Raises:
            QDeployError: the instrument does not work.
        """
        with self.opened(self._chosen()):
            pass

    def obstacle(self) -> str | None:
        """Works where one is connected (or the one of the wiring), and the volts are known."""
        try:
            self._chosen()
        except QDeployError as error:
            return str(error)
        return None

    def measure(self, load: Load) -> EnergyReading:
        """Gross energy of one call: the median stretch.

        Raises:
            QDeployError: the instrument or the board does not work, or the recording is of no use.
        """
        device = self._chosen()
        calls = max(1, math.ceil(load.seconds / REPEATS / load.latency.value))
        with self.opened(device) as recorder:
            if isinstance(load.timer, StretchTimer):
                load.timer.prepare()
            idle = self._idle(recorder)
            runs = [self._stretch(recorder, load.timer, calls) for _ in range(REPEATS)]
        joules = median_of([per_call for per_call, _ in runs])
        window = runs[-1][1]
        above = joules.value - idle * (window.end - window.start) / calls
        wiring, volts = self.wiring, ""
        if wiring.supplies or not self.volts_measured:
            volts = f", supply {wiring.volts:g} V {wiring.volts_source}"
        return EnergyReading(
            joules,
            "measured",
            f"{self.title}, gross, {REPEATS} stretches of {calls} inferences{volts}; {window.how}; "
            "interval: ends of the windows and lost samples, not the instrument's own accuracy; "
            f"idle power {idle:.3g} W is not subtracted ({above:.3g} J above idle)",
        )

    def _chosen(self) -> str:
        devices = self.found()
        if devices and self.wiring.volts is None and not self.volts_measured:
            raise QDeployError(
                f"the {self.title} does not measure the voltage; state the volts of the supply"
            )
        if self.wiring.device is not None:
            matching = [each for each in devices if each.endswith(self.wiring.device)]
            if len(matching) != 1:
                raise QDeployError(
                    f"no {self.title} {self.wiring.device!r} is connected; "
                    f"there is {', '.join(devices) or 'none'}"
                )
            return matching[0]
        if not devices:
            raise QDeployError(f"no {self.title} is connected")
        if len(devices) > 1:
            raise QDeployError(
                f"several of {self.title} are connected ({', '.join(devices)}); name one"
            )
        return devices[0]

    def _idle(self, recorder: Recorder) -> float:
        """Mean power in watts while nothing runs."""
        recorder.start()
        sleep(IDLE_SECONDS)
        capture = recorder.stop()
        watts = capture.watts
        if not len(watts.values):
            raise QDeployError(f"{self.title} recorded nothing; plug it in again")
        whole = Window(watts.start, watts.end, 0.0, "")
        joules = energy(capture, whole, most_amperes=self.most_amperes)
        return joules.value / (watts.end - watts.start)

    def _stretch(self, recorder: Recorder, timer: Timer, calls: int) -> tuple[Estimate, Window]:
        """Energy of each call of one stretch, and where it was."""
        recorder.start()
        sleep(PAUSE_SECONDS)
        stretch = _run(timer, calls)
        sleep(PAUSE_SECONDS)
        capture = recorder.stop()
        window = find_window(capture, stretch, self.inputs[self.wiring.timing_input])
        joules = energy(capture, window, most_amperes=self.most_amperes)
        return Estimate(joules.value / calls, joules.low / calls, joules.high / calls), window


def choose_instrument(
    names: Sequence[str], wiring: Wiring
) -> tuple[Instrument | None, tuple[str, ...]]:
    """The first instrument that works here, or None, and why those before it were passed over.

    Args:
        names: meters in order of preference; those that are no instruments are not looked at.
        wiring: how it is connected.
    """
    reasons: list[str] = []
    for meter in (METERS[name] for name in names):
        if isinstance(meter, Instrument):
            try:
                instrument = meter.wired(wiring)
                obstacle = instrument.obstacle()
            except QDeployError as error:
                obstacle = str(error)
            else:
                if obstacle is None:
                    return instrument, tuple(reasons)
            reasons.append(f"{meter.name}: {obstacle}")
    return None, tuple(reasons)


def _run(timer: Timer, calls: int) -> Stretch:
    if isinstance(timer, StretchTimer):
        return timer.run(calls)
    start = monotonic()
    timer.measure(calls, 1)
    return Stretch(start, monotonic(), 0.0)


@contextmanager
def driver_errors(
    title: str, *kinds: type[Exception], remedy: str = "plug it in again"
) -> Iterator[None]:
    """Say what a driver raises in one sentence.

    Args:
        title: the instrument.
        kinds: exceptions that mean that it does not work, rather than a mistake of the program.
        remedy: what to do.
    """
    try:
        yield
    except kinds as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise QDeployError(f"{title} does not work ({told}); {remedy}") from error
