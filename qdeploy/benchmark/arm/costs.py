"""From what was counted to figures: bytes, instructions, cycles, time, throughput, energy.

Counts are exact for the rows that were counted. Cycles come from the pipeline model of the core,
time from cycles and clock, energy from time and the power of the whole board with one busy core;
each carries the bands of all that it rests on.
"""

from qdeploy.benchmark.arm.execution import Counted, Execution
from qdeploy.benchmark.bands import product, scaled, spread, watts
from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError
from qdeploy.targets import ArmCore, ArmTarget

__all__ = ["COMPARED", "Costs", "gross"]

COMPARED = ("instructions", "cycles", "flash")
"""Figures of which ratios are reported; those of time and energy are those of cycles."""


class Costs:
    """Enters the figures of one implementation after the other.

    Args:
        sheet: takes them.
        target: where.
        core: what everything was compiled for.
        energy: whether energy is estimated from estimated time.

    Attributes:
        missing: why some figures are not there, by their name.
    """

    def __init__(
        self, sheet: FigureSheet, target: ArmTarget, core: ArmCore, *, energy: bool
    ) -> None:
        self._sheet = sheet
        self._target = target
        self._core = core
        self._energy = energy
        self.missing = _missing(target)

    def enter(self, execution: Execution) -> None:
        """Every figure of an implementation but how good it is."""
        name = execution.subject.name
        self._bytes(execution)
        for counted in execution.counted.values():
            self._counts(name, counted)
            self._times(name, counted)
        for batch, why in execution.left_out.items():
            self.missing[f"instructions of {name} at batch {batch}"] = why

    def _bytes(self, execution: Execution) -> None:
        name, memory = execution.subject.name, execution.build_for(1).memory
        for metric, size, note in (
            ("flash", memory.code + memory.constants, "code and constants of the shared library"),
            ("flash_code", memory.code, "machine code, with the compiler's helpers"),
            ("flash_weights", memory.constants, "read-only data"),
            ("ram_static", memory.writable, "variables, scratch among them"),
        ):
            self._sheet.add(name, metric, float(size), note, obtained="measured")
        counts = execution.counted[1].counts
        self._sheet.add(
            name,
            "stack",
            float(max(each.stack_bytes for each in counts)),
            f"bytes below the caller's stack that {len(counts)} calls of one row used, at most",
            obtained="emulated",
        )

    def _counts(self, name: str, counted: Counted) -> None:
        batch, rows = counted.batch, _rows(counted)
        totals = [each.instructions / batch for each in counted.counts]
        if batch == 1:
            note = f"mean of {rows}; interval: fewest and most of them"
            value = spread(totals)
        else:
            note, value = f"{rows}, divided by {batch}", Estimate(totals[0], totals[0], totals[0])
        self._sheet.add(name, "instructions", value, note, batch=batch, obtained="emulated")
        if batch > 1:
            return
        for kind in dict.fromkeys(kind for each in counted.counts for kind in each.classes):
            amounts = [each.classes.get(kind, 0) for each in counted.counts]
            self._sheet.add(
                name, f"instructions_{kind}", spread(amounts), note, batch=1, obtained="emulated"
            )

    def _times(self, name: str, counted: Counted) -> None:
        target, batch = self._target, counted.batch
        pipeline = self._core.pipeline
        if pipeline is None:
            raise QDeployError(
                f"the core {self._core.name!r} has no pipeline model, so that nothing can be "
                "estimated for it; add a table pipeline to its file"
            )
        cycles = scaled(counted.cycles, 1 / batch)
        note = (
            f"{_rows(counted)}{f', divided by {batch}' if batch > 1 else ''}; blocks x pipeline "
            f"model of {self._core.name}; band: {pipeline.band.basis}"
        )
        self._sheet.add(name, "cycles", cycles, note, batch=batch, obtained="estimated")
        if target.clock_megahertz is None:
            return
        hertz = target.clock_megahertz * 1e6
        seconds = scaled(cycles, 1 / hertz)
        clock = f"{target.clock_megahertz:g} MHz"
        if batch == 1:
            note = f"estimated cycles / {clock}; band of the cycles"
            self._sheet.add(name, "latency", seconds, note, batch=1, obtained="estimated")
        rate = Estimate(1 / seconds.value, 1 / seconds.high, 1 / seconds.low)
        note = f"one core at {clock} / estimated cycles of a sample; band of the cycles"
        self._sheet.add(name, "throughput", rate, note, batch=batch, obtained="estimated")
        power = target.stated_power
        if power is not None and self._energy:
            note = f"estimated time of a sample x {gross(target)}; both bands"
            joules = product(seconds, power)
            self._sheet.add(name, "energy", joules, note, batch=batch, obtained="estimated")


def gross(target: ArmTarget) -> str:
    """The power that energies are estimated with, in words."""
    assert target.stated_power is not None, "who knows no power takes no estimates"
    if target.busy_power is not None:
        return f"the power stated for one busy core: {watts(target.stated_power)}"
    return (
        "the power of the whole board with one core busy, what it takes idle included: "
        f"{watts(target.stated_power)}"
    )


def _rows(counted: Counted) -> str:
    if counted.batch == 1:
        return f"{len(counted.counts)} rows"
    return f"one call of {counted.batch} rows"


def _missing(target: ArmTarget) -> dict[str, str]:
    missing = {}
    if target.clock_megahertz is None:
        missing["estimates of time and energy"] = "the clock of this machine is not known"
    elif target.stated_power is None:
        missing["estimates of energy"] = (
            f"no power of the busy board is known for {target.name!r}; tables idle_power and "
            f"{target.power_table} in its file state it"
        )
    return missing
