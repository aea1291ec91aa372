"""From what was counted to figures: bytes, instructions, cycles, time, energy, battery life.

Counts are exact for the rows that were counted. Cycles come from the model of the core, time and
energy from cycles, the clock and the power of the board; each carries the bands of all that it
rests on. Where the target states no power there is no energy, and the notes say why.
"""

from qdeploy.benchmark.bands import mean, product, scaled, spread, watts
from qdeploy.benchmark.battery import battery_life
from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.mcu.execution import Execution
from qdeploy.benchmark.timing import Estimate
from qdeploy.targets import Battery, McuTarget, load_core

__all__ = ["COMPARED", "Costs"]

COMPARED = ("instructions", "cycles", "flash", "ram")
"""Figures of which ratios are reported; those of time and energy are those of cycles."""


class Costs:
    """Enters the figures of one implementation after the other.

    Args:
        sheet: takes them.
        target: where.
        battery: what its life is stated for.

    Attributes:
        missing: why some figures are not there, by their name.
    """

    def __init__(self, sheet: FigureSheet, target: McuTarget, battery: Battery) -> None:
        self._sheet = sheet
        self._target = target
        self._core = load_core(target.core)
        self._battery = battery
        self.missing = _missing_powers(target)

    def enter(self, execution: Execution) -> None:
        """Every figure of an implementation but how good it is."""
        self._bytes(execution)
        self._counts(execution)
        self._times(execution)

    def _bytes(self, execution: Execution) -> None:
        name, image = execution.subject.name, execution.image
        stack, buffers = execution.stack_bytes, execution.buffer_bytes
        for metric, size, note in (
            ("flash", image.flash_bytes, "code, constants and initial values, as linked"),
            (
                "flash_code",
                image.code,
                "machine code with the constants between functions and the compiler's helpers",
            ),
            ("flash_weights", image.constants, "read-only data"),
            ("ram_static", image.ram_bytes, "variables, scratch among them"),
            ("ram_buffers", buffers, "one input and its scores, the caller's"),
        ):
            self._sheet.add(name, metric, float(size), note, obtained="measured")
        self._sheet.add(
            name,
            "stack",
            float(stack),
            f"bytes that {len(execution.counts)} calls wrote of a painted stack, at most",
            obtained="emulated",
        )
        self._sheet.add(
            name,
            "ram",
            float(image.ram_bytes + buffers + stack),
            f"{image.ram_bytes} B variables, {buffers} B input and scores, {stack} B stack",
            obtained="emulated",
        )

    def _counts(self, execution: Execution) -> None:
        name, counts = execution.subject.name, execution.counts
        totals = [each.instructions for each in counts]
        note = f"mean of {len(counts)} rows; interval: fewest and most of them"
        self._sheet.add(name, "instructions", spread(totals), note, batch=1, obtained="emulated")
        for kind in dict.fromkeys(kind for each in counts for kind in each.classes):
            amounts = [each.classes.get(kind, 0) for each in counts]
            self._sheet.add(
                name,
                f"instructions_{kind}",
                spread(amounts),
                note,
                batch=1,
                obtained="emulated",
            )

    def _times(self, execution: Execution) -> None:
        name, target = execution.subject.name, self._target
        cycles = mean(execution.cycles)
        rows = f"mean of {len(execution.cycles)} rows"
        model = f"instructions by class x cycle model of {self._core.name}{self._flash()}"
        note = f"{rows}; {model}; band: {self._core.cycles.band.basis}"
        self._sheet.add(name, "cycles", cycles, note, batch=1, obtained="estimated")
        hertz = target.clock_megahertz * 1e6
        seconds = scaled(cycles, 1 / hertz)
        note = f"estimated cycles / {target.clock_megahertz:g} MHz; band of the cycles"
        self._sheet.add(name, "latency", seconds, note, batch=1, obtained="estimated")
        power = target.stated_power
        if power is None:
            return
        joules = product(seconds, power)
        note = f"estimated latency x power of the board {watts(power)}; both bands"
        self._sheet.add(name, "energy", joules, note, batch=1, obtained="estimated")
        self._life(name, joules, seconds)

    def _life(self, name: str, joules: Estimate, seconds: Estimate) -> None:
        sleep, battery = self._target.stated_sleep_power, self._battery
        if sleep is None:
            return
        if seconds.value * battery.rate > 1:
            self.missing[f"battery life of {name}"] = (
                f"it cannot give an inference every {1 / battery.rate:g} s"
            )
            return
        life = battery_life(
            joules,
            seconds,
            Estimate(sleep.typical, sleep.low, sleep.high),
            battery.rate,
            battery.milliampere_hours,
            battery.volts,
        )
        note = (
            f"{battery.description}, an inference every {1 / battery.rate:g} s; estimated energy; "
            f"between inferences {watts(sleep)}; the capacity is taken as stated"
        )
        self._sheet.add(name, "battery_life", life.seconds, note, batch=1, obtained="estimated")

    def _flash(self) -> str:
        read = self._target.flash_read
        return "" if read is None else f", and what flash adds ({read.source})"


def _missing_powers(target: McuTarget) -> dict[str, str]:
    """Why figures that rest on the power of the board are not there."""
    if target.stated_power is None:
        return {
            "energy and battery life": f"no power of the busy board is known for {target.name!r}; "
            f"a table {target.power_table} in its file states one"
        }
    if target.stated_sleep_power is None:
        return {
            "battery life": f"no power of the sleeping board is known for {target.name!r}; "
            "a table sleep_power in its file states one"
        }
    return {}
