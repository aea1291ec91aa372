"""From the blocks that a call on an AArch64 core ran to counts, and to what its pipeline needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qdeploy.emulation.aarch64 import Aarch64Decoder, Operation
from qdeploy.emulation.calling import Trace
from qdeploy.emulation.reads import Reads
from qdeploy.targets.pipeline import PIPELINE_CLASSES

__all__ = ["CACHE_LINE", "BlockCounts", "BlockRuns", "count_blocks"]

CACHE_LINE = 64
"""Bytes of a line of the caches of all cores here."""

_SIZE_BITS = 20
"""Bits of the size in a block's key: straight-line code may be long."""


@dataclass(frozen=True)
class BlockRuns:
    """Straight-line code, up to a branch, and how often it ran.

    Attributes:
        address: of its first instruction.
        instructions: of the block.
        runs: how often.
    """

    address: int
    instructions: tuple[Operation, ...]
    runs: int


@dataclass(frozen=True)
class BlockCounts:
    """What one call of a function executed, the return included.

    Attributes:
        instructions: all of them.
        classes: by class (`qdeploy.targets.pipeline.PIPELINE_CLASSES`), without zeros.
        taken_branches: branches, calls and returns that did not go on with the next instruction.
        stack_bytes: deepest stack, in bytes.
        blocks: every block that ran, in the order of their addresses.
        order: (n,) which of the blocks ran, in order.
        taken: (n,) whether what ran then went elsewhere than to the next instruction.
        reads: lines of the library's memory that loads read.
    """

    instructions: int
    classes: Mapping[str, int]
    taken_branches: int
    stack_bytes: int
    blocks: tuple[BlockRuns, ...]
    order: NDArray[np.int64] = field(compare=False, repr=False)
    taken: NDArray[np.bool_] = field(compare=False, repr=False)
    reads: Reads = field(compare=False, repr=False)


def count_blocks(
    trace: Trace, decoder: Aarch64Decoder, code: Callable[[int, int], bytes]
) -> BlockCounts:
    """Counts of one call.

    Args:
        trace: what it ran.
        decoder: of the core's instructions.
        code: bytes at an address, for decoding.

    Raises:
        QDeployError: a block holds an instruction that the core does not have.
    """
    starts, sizes = _whole_blocks(trace, code, decoder)
    keys, order, runs = np.unique(
        starts << _SIZE_BITS | sizes, return_inverse=True, return_counts=True
    )
    blocks = tuple(
        BlockRuns(
            key >> _SIZE_BITS,
            decoder.block(code(key >> _SIZE_BITS, key & (1 << _SIZE_BITS) - 1), key >> _SIZE_BITS),
            count,
        )
        for key, count in zip(keys.tolist(), runs.tolist(), strict=True)
    )
    classes = dict.fromkeys(PIPELINE_CLASSES, 0)
    for block in blocks:
        for operation in block.instructions:
            classes[operation.kind] += block.runs
    # The last block ends with the return, which is taken too.
    taken = np.append(starts[1:] != (starts + sizes)[:-1], True)
    return BlockCounts(
        instructions=int(sizes.sum()) // 4,
        classes={name: count for name, count in classes.items() if count},
        taken_branches=int(np.count_nonzero(taken)),
        stack_bytes=trace.stack_bytes,
        blocks=blocks,
        order=order.reshape(-1),
        taken=taken,
        reads=Reads(*trace.reads, line=CACHE_LINE),
    )


def _whole_blocks(
    trace: Trace, code: Callable[[int, int], bytes], decoder: Aarch64Decoder
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Addresses and sizes of what ran, from branch to branch.

    The emulator also ends blocks at the borders of pages, and at instructions that it does not
    know itself; such pieces are put together again.
    """
    ends = trace.blocks + trace.sizes
    last, which = np.unique(ends - 4, return_inverse=True)
    branches = np.array(
        [decoder.block(code(address, 4), address)[0].branch for address in last.tolist()]
    )
    begins = np.flatnonzero(np.append(True, branches[which.reshape(-1)][:-1]))
    return trace.blocks[begins], np.add.reduceat(trace.sizes, begins)
