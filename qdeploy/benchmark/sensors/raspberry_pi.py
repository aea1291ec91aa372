"""The power management chip of the Raspberry Pi 5: currents and voltages of the rails behind it.

`vcgencmd pmic_read_adc` prints a line for each, such as `VDD_CORE_A current(7)=1.41500000A`. No
document of its format was found; public programs parse it so. The input EXT5V has a voltage and no
current: what leaves by the 5 V pins and by USB is on none of the rails, nor are the losses of the
chip itself, so that figures are below those at the plug.
"""

import re
from typing import TYPE_CHECKING

from qdeploy.benchmark.sensors import SENSORS, Probe, Sensor, shell

if TYPE_CHECKING:
    from qdeploy.remote import Place

__all__ = ["rail_watts"]

_COMMAND = "vcgencmd pmic_read_adc 2>/dev/null | tr '\\n' ' '; echo"
_READING = re.compile(r"(\w+)_([AV])(?:\s+\w+\(\d+\))?=([\d.]+)[AV]")


def rail_watts(text: str) -> dict[str, float]:
    """Watts of each rail that both a current and a voltage are given of.

    Args:
        text: what vcgencmd printed, its lines joined or not.
    """
    values: dict[str, dict[str, float]] = {}
    for rail, unit, number in _READING.findall(text):
        values.setdefault(rail, {})[unit] = float(number)
    return {rail: each["A"] * each["V"] for rail, each in values.items() if len(each) == 2}


class _Rails(Probe):
    def __init__(self, rails: int) -> None:
        self._rails = rails
        self.title = f"PMIC of the Raspberry Pi, {rails} rails"
        self.covers = (
            "current x voltage of the rails behind the chip, gross; its losses, USB and the 5 V "
            "pins are not in it"
        )
        self.statements = _COMMAND

    def value(self, text: str) -> float | None:
        """Watts of all rails together."""
        rails = rail_watts(text)
        return sum(rails.values()) if len(rails) == self._rails else None


class _RaspberryPi(Sensor):
    name = "raspberry-pi-pmic"

    def find(self, place: "Place") -> Probe | None:
        rails = rail_watts(shell(place, _COMMAND))
        return _Rails(len(rails)) if rails else None


SENSORS.register(_RaspberryPi.name)(_RaspberryPi())
