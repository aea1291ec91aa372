"""What a board is and how it is doing: taken before and after a measurement, throttling shows.

Sources: the kernel's documentation of sysfs (sysfs-class-thermal, cpufreq, elf_hwcaps), and, for
vcgencmd, "get_throttled" in Raspberry Pi's documentation of its operating system.
"""

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from qdeploy.errors import QDeployError
from qdeploy.remote.place import Place

__all__ = [
    "Fact",
    "board_facts",
    "cooling_facts",
    "cpuinfo_facts",
    "raspberry_throttling",
    "temperature",
    "throttling",
]

Fact = str | float | None

_FREQUENCY = "/sys/devices/system/cpu/cpu0/cpufreq"
# Files of any number, so they are read by one command; what is absent is no error.
_ZONES = "cat /sys/class/thermal/thermal_zone*/temp 2>/dev/null; true"
_COOLING = (
    "for device in /sys/class/thermal/cooling_device*; do "
    'test -r "$device/cur_state" && echo "$(cat "$device/type") $(cat "$device/cur_state")"; '
    "done 2>/dev/null; true"
)
_COMMAND_SECONDS = 10
_RASPBERRY_BITS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
"""Of get_throttled; 16 bits further left, the same has happened since the start."""
_EARLIER = 16
_SLOWED = re.compile(r"cpufreq|processor", re.IGNORECASE)
"""Cooling devices that slow the processor; others are fans."""
_COOLEST, _HOTTEST = -40.0, 200.0
"""Degrees Celsius beyond which a sensor is broken or absent."""


def board_facts(place: Place) -> dict[str, Fact]:
    """What a place tells of itself; None where it does not tell, nothing at all of an emulator.

    Args:
        place: where programs run.

    Returns:
        model, processor, processors, kernel, governor, frequency_megahertz,
        highest_megahertz, temperature_celsius, load, throttled ("no", or what slows it) and
        throttled_since_start.
    """
    if not place.native:
        return {}
    now, earlier = _throttling_of(place)
    return {
        "model": _line(place, "/proc/device-tree/model"),
        **cpuinfo_facts(place.read("/proc/cpuinfo") or ""),
        "kernel": _line(place, "/proc/sys/kernel/osrelease"),
        "governor": _line(place, f"{_FREQUENCY}/scaling_governor"),
        "frequency_megahertz": _megahertz(place, "scaling_cur_freq"),
        "highest_megahertz": _megahertz(place, "cpuinfo_max_freq"),
        "temperature_celsius": temperature(_shell(place, _ZONES)),
        "load": _load(place),
        "throttled": now,
        "throttled_since_start": earlier,
    }


def throttling(before: Mapping[str, Fact], after: Mapping[str, Fact]) -> str | None:
    """What may have slowed a measurement, in words; None where nothing shows.

    Args:
        before: `board_facts` before it.
        after: `board_facts` after it.
    """
    found = [
        f"{when} it: {facts['throttled']}"
        for when, facts in (("before", before), ("after", after))
        if facts.get("throttled") not in (None, "no")
    ]
    was, has = before.get("throttled_since_start"), after.get("throttled_since_start")
    if isinstance(has, str) and has != was:
        new = [part for part in has.split(", ") if part not in str(was).split(", ")]
        found += [f"during it: {', '.join(new)}"] if new and has != "no" else []
    return "; ".join(found) or None


def cpuinfo_facts(cpuinfo: str) -> dict[str, Fact]:
    """Kinds and number of processors from the text of ``/proc/cpuinfo`` of a 64-bit ARM."""
    from qdeploy.targets.arm_cores import core_of_parts

    blocks = [block for block in cpuinfo.split("\n\n") if re.search(r"^processor\s*:", block, re.M)]
    kinds = Counter(
        f"{core_of_parts(block) or 'core'} "
        f"({_entry(block, 'CPU implementer')}, {_entry(block, 'CPU part')})"
        for block in blocks
        if _entry(block, "CPU part")
    )
    named = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
    return {"processor": named or None, "processors": len(blocks) or None}


def temperature(text: str) -> float | None:
    """The highest temperature, °C, of the lines of ``thermal_zone*/temp``, in millidegrees."""
    degrees = [int(line) / 1000 for line in text.split() if re.fullmatch(r"-?\d+", line)]
    return max((each for each in degrees if _COOLEST < each < _HOTTEST), default=None)


def raspberry_throttling(text: str) -> tuple[str | None, str | None]:
    """What slows a Raspberry Pi, and what has since its start; "no" for nothing, None for unknown.

    Args:
        text: what ``vcgencmd get_throttled`` printed.
    """
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", text)
    if not found:
        return None, None
    bits = int(found[1], 16)
    return _bits(bits), _bits(bits >> _EARLIER)


def cooling_facts(text: str) -> str | None:
    """What slows the processors; "no" for nothing, None where nothing could.

    Args:
        text: lines of type and current state of the cooling devices; 0 is no cooling.
    """
    states = re.findall(r"^(\S.*?) (\d+)$", text, re.MULTILINE)
    slowing = [(kind, int(state)) for kind, state in states if _SLOWED.search(kind)]
    if not slowing:
        return None
    return ", ".join(f"{kind} at step {state}" for kind, state in slowing if state) or "no"


def _throttling_of(place: Place) -> tuple[str | None, str | None]:
    with suppress(QDeployError):
        return raspberry_throttling(place.command(["vcgencmd", "get_throttled"], _COMMAND_SECONDS))
    return cooling_facts(_shell(place, _COOLING)), None


def _bits(bits: int) -> str:
    return ", ".join(name for bit, name in _RASPBERRY_BITS.items() if bits >> bit & 1) or "no"


def _shell(place: Place, script: str) -> str:
    return place.command(["sh", "-c", script], _COMMAND_SECONDS)


def _entry(block: str, key: str) -> str | None:
    found = re.search(rf"^{key}\s*:\s*(\S+)", block, re.MULTILINE)
    return found[1] if found else None


def _line(place: Place, path: str) -> str | None:
    # Texts of the device tree end with a zero byte.
    return (place.read(path) or "").strip("\0 \n") or None


def _megahertz(place: Place, file: str) -> float | None:
    line = _line(place, f"{_FREQUENCY}/{file}")
    return int(line) / 1000 if line and line.isdigit() else None


def _load(place: Place) -> float | None:
    found = re.match(r"\d+\.\d+", place.read("/proc/loadavg") or "")
    return float(found[0]) if found else None
