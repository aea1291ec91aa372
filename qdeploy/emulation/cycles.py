"""From counts to cycles: the core's table, and what the target's flash adds.

The result is an estimate. Its band comes from the comparisons in `docs/cycle-model.md`.
"""

from typing import TYPE_CHECKING

from qdeploy.emulation.counting import Counts
from qdeploy.emulation.reads import LINE
from qdeploy.errors import QDeployError
from qdeploy.targets import Core, McuTarget

if TYPE_CHECKING:
    from qdeploy.benchmark.timing import Estimate

__all__ = ["FLASH_BAND", "core_cycles", "cycles", "flash_cycles"]

FLASH_BAND = (0.5, 1.5)
"""Where the true cost of flash lies, as factors on what the model says: caches and prefetch differ
in more than the model has, and only one figure was fitted to a measurement."""


def cycles(counts: Counts, core: Core, target: McuTarget) -> "Estimate":
    """Cycles of one of many equal calls, with the validated band of the model.

    Args:
        counts: of the call.
        core: the core it was counted on.
        target: whose flash it runs from.
    """
    # Here, because the benchmark's package uses this one.
    from qdeploy.benchmark.timing import Estimate

    own, flash = core_cycles(counts, core), flash_cycles(counts, target)
    band = core.cycles.band
    return Estimate(
        value=own + flash,
        low=own * band.low + flash * FLASH_BAND[0],
        high=own * band.high + flash * FLASH_BAND[1],
    )


def core_cycles(counts: Counts, core: Core) -> float:
    """Cycles in memory without wait states, by the core's table.

    Raises:
        QDeployError: the table lacks a class that was counted.
    """
    table = core.cycles
    total = 0.0
    for name, count in counts.classes.items():
        each = getattr(table.instructions, name)
        if each is None:
            raise QDeployError(
                f"{core.name}.toml: the key 'cycles.instructions.{name}' is missing; "
                f"{count} such instructions were counted"
            )
        total += count * each
    total += counts.registers * (table.register_ or 0.0)
    total += counts.taken_branches * table.taken_branch
    total += counts.load_uses * table.load_use
    total += counts.address_uses * table.address_use
    total -= counts.pipelined_loads * table.pipelined_load
    return table.scale * total


def flash_cycles(counts: Counts, target: McuTarget) -> float:
    """Cycles that the target's flash adds for what its caches do not hold."""
    read = target.flash_read
    if read is None:
        return 0.0
    lines, jumps = counts.code_reads.misses(read.code_cache_bytes)
    total = lines * LINE * read.code_cycles_per_byte + jumps * read.branch_cycles
    lines, _ = counts.data_reads.misses(read.data_cache_bytes)
    # A line that only a few bytes are read of costs these: the figure is for reads in order.
    return total + min(lines * LINE, counts.flash_data_bytes) * read.data_cycles_per_byte
