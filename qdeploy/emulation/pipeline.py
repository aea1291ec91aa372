"""From the blocks of a call to cycles of an application core: `docs/pipeline-model.md` in code.

Every block is scheduled on the core's units behind those that ran before it; what branches that are
predicted wrongly and constants beyond the first cache cost is added. The result is an estimate.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qdeploy.emulation.block_counts import CACHE_LINE, BlockCounts
from qdeploy.emulation.scheduling import Scheduler
from qdeploy.targets import ArmCore
from qdeploy.targets.pipeline import Pipeline

if TYPE_CHECKING:
    from qdeploy.benchmark.timing import Estimate

__all__ = [
    "PipelineCycles",
    "cycles_by_cause",
    "mispredicted",
    "pipeline_cycles",
]

_HISTORY = 16
"""Blocks before a block that its cycles may depend on."""

_CONTEXTS = 4000
"""Different histories that are scheduled at most; with more, shorter ones must do."""

_AHEAD = 32
"""Instructions before a block that matter to it on a core that runs in order."""

_MULTIPLIER = 0x9E3779B97F4A7C15
"""Odd multiplier of the hashes of histories (2⁶⁴ over the golden ratio)."""


@dataclass(frozen=True)
class PipelineCycles:
    """Cycles of one of many equal calls, by cause.

    Attributes:
        units: dispatch, units and latencies.
        branches: predicted wrongly.
        memory: constants that the first cache does not hold.
    """

    units: float
    branches: float
    memory: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.units + self.branches + self.memory


def pipeline_cycles(counts: BlockCounts, core: ArmCore) -> "Estimate":
    """Cycles of one of many equal calls, with the validated band of the model.

    What constants cost beyond the first cache may be hidden behind other work, or take twice as
    long: it counts from 0 to 2 times in the band.

    Args:
        counts: of the call.
        core: the core it was counted on.

    Raises:
        QDeployError: the core's tables lack a class that was counted.
    """
    # Here, because the benchmark's package uses this one.
    from qdeploy.benchmark.timing import Estimate

    found = cycles_by_cause(counts, core)
    band = core.pipeline.band
    own = found.units + found.branches
    return Estimate(
        value=own + found.memory,
        low=own * band.low,
        high=own * band.high + 2 * found.memory,
    )


def cycles_by_cause(counts: BlockCounts, core: ArmCore) -> PipelineCycles:
    """Cycles of one of many equal calls, without the band.

    Raises:
        QDeployError: as for `pipeline_cycles`.
    """
    pipeline = core.pipeline
    missed, _ = counts.reads.misses(int(core.first_level_kibibytes * 1024))
    return PipelineCycles(
        units=_scheduled(counts, core, pipeline),
        branches=float(mispredicted(counts, pipeline.history) * pipeline.mispredict),
        memory=missed * CACHE_LINE / pipeline.second_level_bytes,
    )


def mispredicted(counts: BlockCounts, history: int) -> int:
    """Branches of a call that a predictor with such a history would get wrong.

    A branch is expected to go where it went two of the last three times that the same blocks ran
    before it, as many as the history has; where they never did, a fourth of them, then only its own
    block. A loop that ends thus costs one, unless it is so short that the history holds all of it.
    """
    # The call follows an equal one, which the predictor has seen.
    order = np.concatenate([counts.order, counts.order])
    calls = counts.order.size
    goes = np.append(order[1:], order[0])
    undecided = np.ones(order.size, dtype=bool)
    wrong = 0
    for length in (history, max(history // 4, 1), 1):
        before = _previous(_histories(order, length))
        known = undecided & (before >= 0)
        known[:calls] = False
        wrong += int(np.count_nonzero(goes[known] != _expected(goes, before)[known]))
        undecided &= before < 0
    return wrong


def _expected(goes: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a branch went most of the last three times; the last time, where all differ."""
    # Behind the last place stands that there is none.
    before = np.append(before, -1)
    last = before[:-1]
    second, third = before[last], before[before[last]]
    agreed = (second >= 0) & (third >= 0) & (goes[second] == goes[third])
    return np.where(agreed, goes[second], goes[last])


def _previous(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each place, the last one before it with the same key; -1 where there is none."""
    places = np.argsort(keys, kind="stable")
    found = np.full(keys.size, -1, dtype=np.int64)
    same = keys[places[1:]] == keys[places[:-1]]
    found[places[1:][same]] = places[:-1][same]
    return found


def _histories(order: NDArray[np.int64], length: int) -> NDArray[np.uint64]:
    """A hash for each place of the blocks that ran up to it; the call follows an equal one."""
    numbers = order.astype(np.uint64) + np.uint64(1)
    total = np.zeros(order.size, dtype=np.uint64)
    factor = 1
    for back in range(length):
        total += np.roll(numbers, back) * np.uint64(factor)
        factor = factor * _MULTIPLIER % 2**64
    return total


def _scheduled(counts: BlockCounts, core: ArmCore, pipeline: Pipeline) -> float:
    """Cycles by dispatch, units and latencies."""
    scheduler = Scheduler(core, pipeline)
    blocks = [scheduler.prepare(block.instructions) for block in counts.blocks]
    length = min(_HISTORY, counts.order.size)
    while True:
        _, places, times = np.unique(
            _histories(counts.order, length), return_index=True, return_counts=True
        )
        if places.size <= _CONTEXTS or length == 1:
            break
        length //= 2
    ahead = pipeline.window or _AHEAD
    total = 0.0
    for place, count in zip(places.tolist(), times.tolist(), strict=True):
        sequence = [(blocks[counts.order[place]], bool(counts.taken[place]))]
        instructions = 0
        for back in range(1, length + 1):
            before = (place - back) % counts.order.size
            block = blocks[counts.order[before]]
            # What is too far back to matter is left out.
            room = ahead - instructions
            if room <= 0:
                break
            sequence.append((block[-room:], bool(counts.taken[before])))
            instructions += len(block)
        ends = scheduler.finish(sequence[::-1])
        total += count * (ends[-1] - (ends[-2] if len(ends) > 1 else 0))
    return total
