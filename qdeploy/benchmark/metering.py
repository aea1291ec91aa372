"""Which instrument measures a board's energy, and how it is wired, as a caller says it.

What the caller leaves open comes from the target: the order of preference, and the supply volts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from qdeploy.benchmark.meters import METERS
from qdeploy.benchmark.meters.instrument import Instrument, Wiring, choose_instrument
from qdeploy.errors import QDeployError
from qdeploy.targets import McuTarget

__all__ = ["Metering", "find_instrument"]


@dataclass(frozen=True)
class Metering:
    """What measures the energy of a board.

    Attributes:
        name: of the instrument; None for the first that works, in the target's order.
        volts: of the supply; None for those that the target's file states, if it does.
        supplies: whether the instrument powers the board, rather than sit in its supply.
        timing_input: number of the digital input that the pulse pin is wired to.
        device: serial number, port or name of the instrument, where several are connected.

    Raises:
        QDeployError: there is no such instrument, or a number makes no sense.
    """

    name: str | None = None
    volts: float | None = None
    supplies: bool = False
    timing_input: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        instruments = [meter.name for meter in METERS.values() if isinstance(meter, Instrument)]
        if self.name is not None and self.name not in instruments:
            raise QDeployError(
                f"{self.name!r} is no instrument for the supply of a board; "
                f"choose one of {', '.join(instruments)}"
            )
        # Whether volts are missing shows with the target; the numbers are right or wrong now.
        Wiring(volts=self.volts, timing_input=self.timing_input)

    def wiring(self, target: McuTarget) -> Wiring:
        """How the instrument is connected to this board.

        Raises:
            QDeployError: it powers the board, and neither caller nor target states the volts.
        """
        stated = _supply_volts(target) if self.volts is None else None
        if stated is not None:
            return Wiring(
                stated,
                self.supplies,
                self.timing_input,
                self.device,
                volts_source=f"as the file of target {target.name!r} states",
            )
        return Wiring(self.volts, self.supplies, self.timing_input, self.device)


def find_instrument(
    names: Sequence[str], target: McuTarget, metering: Metering | None
) -> tuple[Instrument | None, tuple[str, ...]]:
    """The instrument to use, or None, and notes: which it is, or why there is none.

    Args:
        names: the target's meters in order of preference.
        target: the board.
        metering: what the caller says; None where energy is measured only if it happens to be
            possible.

    Raises:
        QDeployError: the caller asks for an instrument, and none can be used.
    """
    asked = metering or Metering()
    wanted = names if asked.name is None else (asked.name,)
    instrument, passed_over = choose_instrument(wanted, asked.wiring(target))
    if instrument is None and metering is not None:
        raise QDeployError(
            f"the energy of the board cannot be measured by {'; '.join(passed_over)}"
            if passed_over
            else f"no instruments are preferred for target {target.name!r}; name one"
        )
    if instrument is None:
        return None, tuple(f"energy was not measured: {reason}" for reason in passed_over)
    return instrument, (f"energy of the board by the meter {instrument.name!r}",)


def _supply_volts(target: McuTarget) -> float | None:
    """Supply of the busy board, or else of the sleeping one; None where the file has neither."""
    figures = (target.board_power, target.sleep_power)
    return next((each.volts for each in figures if each is not None and each.volts), None)
