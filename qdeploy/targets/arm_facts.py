"""A 64-bit ARM machine in words, for people: every figure with its kind and its source."""

from typing import TYPE_CHECKING

from qdeploy.errors import QDeployError
from qdeploy.targets.arm_cores import ArmCore
from qdeploy.targets.facts import band_text, power_text

if TYPE_CHECKING:
    from qdeploy.targets.arm import ArmTarget

__all__ = ["facts"]


def facts(target: "ArmTarget") -> list[tuple[str, str]]:
    """Headings and texts, of one or several lines each."""
    rows = [("target", f"{target.name} (family {target.family})\n{target.description}")]
    try:
        core = target.compiled_core
    except QDeployError as fault:
        rows.append(("core", f"that of the machine qdeploy runs on; here: {fault}"))
    else:
        rows += [("core", _core(core)), ("data caches", _caches(core))]
        rows.append(("cycle model", band_text(core.pipeline.band, core.pipeline.source)))
    clock, processors = target.clock_megahertz, target.processors
    rows.append(("clock", "of the machine" if clock is None else f"{clock:g} MHz"))
    rows.append(("cores", "of the machine" if processors is None else str(processors)))
    for heading, power in (
        ("power, idle", target.idle_power),
        ("power, all cores busy", target.loaded_power),
        ("power, one core busy", target.stated_power),
    ):
        if power is not None:
            rows.append((heading, power_text(power)))
    if target.stated_power is None:
        rows.append(("power", "not known"))
    if target.notes:
        rows.append(("notes", "\n".join(target.notes)))
    return rows


def _core(core: ArmCore) -> str:
    lines = [
        f"{core.name}: {core.description}",
        f"kernels may use NEON{''.join(f' and {name}' for name in core.extensions)}",
        f"LLVM {core.triple}, {' '.join((core.cpu, *core.features))}",
        f"zig {core.zig_cpu}",
        f"gcc {' '.join(core.gcc)}" if core.gcc else "gcc: not for this core",
        f"qemu-aarch64 -cpu {core.qemu_cpu}",
    ]
    return "\n".join(lines)


def _caches(core: ArmCore) -> str:
    return (
        f"{core.first_level_kibibytes:g} KiB, then {core.second_level_kibibytes:g} KiB\n"
        f"source: {core.caches_source}"
    )
