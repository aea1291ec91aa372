"""Power, or current times voltage, of any hardware monitor that the kernel knows.

Source: the kernel's "Naming and data format standards for sysfs files" of hwmon: power*_input in
microwatts, in*_input in millivolts, curr*_input in milliamperes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qdeploy.benchmark.sensors import SENSORS, Files, Probe, Sensor, shell

if TYPE_CHECKING:
    from qdeploy.remote import Place

__all__ = ["Channel", "ChannelProbe", "channels"]

_LISTING = """
for file in /sys/class/hwmon/hwmon*/power*_input /sys/class/hwmon/hwmon*/curr*_input; do
    test -r "$file" || continue
    folder=${file%/*}
    number=$(echo "${file##*/}" | tr -cd 0-9)
    name=$(cat "$folder/name" 2>/dev/null)
    label=$(cat "$folder/power${number}_label" 2>/dev/null ||
        cat "$folder/in${number}_label" 2>/dev/null ||
        cat "$folder/curr${number}_label" 2>/dev/null)
    volts=$(cat "$folder/in${number}_input" 2>/dev/null)
    echo "$file|$name|$label|$(cat "$file" 2>/dev/null)|$volts"
done; true
"""
_MICRO, _MILLI = 1e-6, 1e-3
_TOTAL = re.compile(r"vdd_in|vin|5v_in|total|supply|system", re.IGNORECASE)
"""Labels of what feeds everything else."""


@dataclass(frozen=True)
class Channel:
    """One thing that a monitor measures.

    Attributes:
        files: power in microwatts; or current in milliamperes and voltage in millivolts.
        chip: name of the monitor.
        label: of the channel, or empty.
        watts: when it was found.
    """

    files: tuple[str, ...]
    chip: str
    label: str
    watts: float

    @property
    def title(self) -> str:
        """Chip and label, or the file's name where there is no label."""
        return f"{self.chip} {self.label or self.files[0].rsplit('/', 1)[-1]}"


class ChannelProbe(Probe):
    """Reads one channel.

    Args:
        channel: which.
        covers: what it is of.
    """

    def __init__(self, channel: Channel, covers: str) -> None:
        self._files = Files(channel.files)
        self.title = channel.title
        self.covers = covers
        self.statements = self._files.statements

    def value(self, text: str) -> float | None:
        """Watts."""
        numbers = self._files.numbers(text)
        if numbers is None:
            return None
        return _watts(*numbers)


def channels(place: "Place") -> list[Channel]:
    """What the monitors of a board measure; a channel with power is not also given by current."""
    found = list(_parsed(shell(place, _LISTING)))
    powers = {_place(each) for each in found if len(each.files) == 1}
    return [each for each in found if len(each.files) == 1 or _place(each) not in powers]


class _Hwmon(Sensor):
    """The one channel, or the one that feeds the others as far as can be told."""

    name = "hwmon"

    def find(self, place: "Place") -> Probe | None:
        found = [channel for channel in channels(place) if channel.watts > 0]
        if not found:
            return None
        if len(found) == 1:
            return ChannelProbe(found[0], "what is behind this monitor, gross")
        totals = [channel for channel in found if _TOTAL.search(channel.label)]
        # What feeds the others draws most.
        best = max(totals or found, key=lambda channel: channel.watts)
        others = ", ".join(each.title for each in found if each is not best)
        why = "by its label" if totals else "as the largest; look whether it is"
        return ChannelProbe(
            best, f"taken for the supply {why}, gross, without adding the channels {others}"
        )


def _parsed(text: str) -> Iterator[Channel]:
    for line in text.splitlines():
        path, chip, label, *numbers = (*(part.strip() for part in line.split("|")), *[""] * 5)[:5]
        try:
            first, second = int(numbers[0]), int(numbers[1] or 0)
        except ValueError:
            continue
        if "/power" in path:
            yield Channel((path,), chip, label, _watts(first))
        elif numbers[1]:
            volts = re.sub(r"curr(\d+)_input$", r"in\1_input", path)
            yield Channel((path, volts), chip, label, _watts(first, second))


def _watts(first: float, second: float | None = None) -> float:
    """Of microwatts, or of milliamperes and millivolts."""
    return first * _MICRO if second is None else first * _MILLI * second * _MILLI


def _place(channel: Channel) -> tuple[str, str]:
    """Monitor and number of a channel."""
    folder, name = channel.files[0].rsplit("/", 1)
    return folder, re.sub(r"\D", "", name)


SENSORS.register(_Hwmon.name)(_Hwmon())
