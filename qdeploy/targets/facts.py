"""A microcontroller target in words, for people: every figure with its kind and its source."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qdeploy.targets.board import Region, Step
from qdeploy.targets.cores import Core
from qdeploy.targets.cycles import CycleBand
from qdeploy.targets.tables import Power

if TYPE_CHECKING:
    from qdeploy.targets.mcu import McuTarget

__all__ = ["band_text", "facts", "power_text"]

_UNITS = ((1.0, "W"), (1e-3, "mW"), (1e-6, "µW"), (1e-9, "nW"), (1e-12, "pW"))


def facts(target: "McuTarget", core: Core) -> list[tuple[str, str]]:
    """Headings and texts, of one or several lines each.

    Args:
        target: what to tell of.
        core: the one that it names.
    """
    rows = [
        ("target", f"{target.name} (family {target.family})\n{target.description}"),
        ("core", _core(core)),
        ("cycle model", band_text(core.cycles.band, core.cycles.source)),
        ("clock", _clock(target)),
        ("flash", _flash(target)),
        ("RAM", _region(target.ram)),
    ]
    if target.boot is not None:
        rows.append(("boot", f"the firmware starts with the header that the {target.boot} wants"))
    rows += _connections(target)
    rows += _power(target)
    rows += [("first steps", _steps(target.setup))] if target.setup else []
    if target.uart is not None and target.uart.setup:
        rows.append(("serial port steps", _steps(target.uart.setup)))
    if target.pulse is not None:
        rows.append(("pulse pin steps", _steps(target.pulse.setup)))
    if target.notes:
        rows.append(("notes", "\n".join(target.notes)))
    return rows


def _core(core: Core) -> str:
    lines = [
        f"{core.name}: {core.description}",
        f"kernels may use {', '.join(core.extensions) or 'no extension'}",
        f"LLVM {core.triple}, {' '.join((core.cpu, *core.features))}",
        f"zig {core.zig_target}, {core.zig_cpu}",
        f"gcc {' '.join(core.gcc)}" if core.gcc else "gcc: not for this core",
    ]
    return "\n".join(lines)


def band_text(band: CycleBand, source: str) -> str:
    """How far the cycles of a model may be off, and what the model rests on."""
    return (
        f"{band.low:g} to {band.high:g} times the estimate [estimated]\n"
        f"source: {source}\nband: {band.basis}"
    )


def _clock(target: "McuTarget") -> str:
    text = f"{target.clock_megahertz:g} MHz"
    reset = target.reset_clock_megahertz
    if reset is None:
        return text
    raised = "the first steps raise it" if target.setup else "the firmware runs at that"
    return f"{text} ({reset:g} MHz after reset; {raised})"


def _region(region: Region) -> str:
    mebibytes = region.kibibytes / 1024
    size = f"{mebibytes:g} MiB" if mebibytes >= 1 else f"{region.kibibytes:g} KiB"
    return f"{size} at {region.origin:#010x}"


def _flash(target: "McuTarget") -> str:
    waits = target.flash_wait_states
    text = f"{_region(target.flash)}, {waits or 'no'} wait state{'s' if waits != 1 else ''}"
    read = target.flash_read
    if read is None:
        return f"{text}\nwhat they cost is not known, and estimates leave it out" if waits else text
    return (
        f"{text}\nbeyond the core's own cycles, where the cache does not have them: "
        f"{read.data_cycles_per_byte:g} for each byte of constants, "
        f"{read.code_cycles_per_byte:g} of code, {read.branch_cycles:g} for a taken branch "
        "[estimated]\n"
        f"caches: {read.data_cache_bytes} bytes for constants, {read.code_cache_bytes} for code\n"
        f"source: {read.source}"
    )


def _connections(target: "McuTarget") -> list[tuple[str, str]]:
    rows = []
    if (uart := target.uart) is not None:
        rows.append(
            (
                "serial port",
                f"{uart.instance}\n{uart.baud} baud, {uart.energy_baud} in the energy build\n"
                f"driver {uart.driver}, registers at {uart.base:#010x}, "
                f"input clock {uart.clock_hertz / 1e6:g} MHz\nsource: {uart.source}",
            )
        )
    if (pulse := target.pulse) is not None:
        rows.append(("pulse pin", f"{pulse.pin}\nsource: {pulse.source}"))
    if (flashing := target.flashing) is not None:
        ways = []
        if flashing.pyocd_target is not None:
            pack = flashing.pyocd_pack
            told = f" (once: pyocd pack install {flashing.pyocd_target})" if pack else ""
            ways.append(f"pyocd flash --target {flashing.pyocd_target}{told}")
        if flashing.command is not None:
            ways.append(" ".join(flashing.command))
        rows.append(("flashing", "\n".join(ways)))
    if (emulator := target.emulator) is not None:
        arguments = (emulator.program, "-machine", emulator.machine, *emulator.arguments)
        rows.append(("emulator", " ".join(arguments)))
    return rows


def _power(target: "McuTarget") -> list[tuple[str, str]]:
    busy, asleep = target.stated_power, target.stated_sleep_power
    rows = [("power, busy", "not known" if busy is None else power_text(busy))]
    if busy is not None:
        hertz = target.clock_megahertz * 1e6
        low, high = (1e12 * watts / hertz for watts in (busy.low, busy.high))
        rows.append(("energy a cycle", f"{low:.0f} to {high:.0f} pJ [estimated from the power]"))
    rows.append(("power, asleep", "not known" if asleep is None else power_text(asleep)))
    return rows


def power_text(power: Power) -> str:
    """A power with its band, kind and source, in a fitting unit."""
    factor, unit = next(each for each in _UNITS if power.typical >= each[0] or each == _UNITS[-1])
    low, typical, high = (
        f"{value / factor:.3g}" for value in (power.low, power.typical, power.high)
    )
    return f"{typical} {unit}, between {low} and {high} [{power.kind}]\nsource: {power.source}"


def _steps(steps: Sequence[Step]) -> str:
    return "\n".join(
        f"{step.address:#010x} {'wait: ' if step.wait else ''}{step.what}" for step in steps
    )
