"""From the blocks that a call ran to counts: exact, without the emulator's own overhead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from qdeploy.emulation.instructions import Decoder, Instruction
from qdeploy.emulation.reads import Reads
from qdeploy.targets.cycles import INSTRUCTION_CLASSES

__all__ = ["BlockCounter", "Counts"]

_MEMORY = ("load", "store", "load_multiple", "store_multiple", "load_branch")

_SIZE_BITS = 16
"""Bits of the size in a block's key; blocks end at page borders, so 13 would do."""


@dataclass(frozen=True)
class Counts:
    """What one call of a function executed, the return included.

    Attributes:
        instructions: all of them. An instruction in an IT block counts whether or not its condition
            holds, as it takes its cycle either way.
        classes: by class (`qdeploy.targets.cycles.INSTRUCTION_CLASSES`), without zeros.
        registers: moved by loads and stores of several.
        taken_branches: branches, calls and returns that did not go on with the next instruction;
            ends of low-overhead loops not among them.
        load_uses: loads of one register whose value the next instruction uses.
        pipelined_loads: loads of one register right after another whose value they do not use.
        address_uses: loads and stores whose address the instruction before computed.
        flash_data_bytes: bytes that loads read of the flash, literals included.
        stack_bytes: deepest stack, in bytes.
        code_reads: the flash that instructions are fetched from.
        data_reads: the flash that loads read.
    """

    instructions: int
    classes: Mapping[str, int]
    registers: int
    taken_branches: int
    load_uses: int
    pipelined_loads: int
    address_uses: int
    flash_data_bytes: int
    stack_bytes: int
    code_reads: Reads = field(compare=False, repr=False)
    data_reads: Reads = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Events:
    """What one run through a block adds to the counts that timing needs."""

    instructions: int
    registers: int
    load_uses: int
    pipelined_loads: int
    address_uses: int


class BlockCounter:
    """Counts for runs of blocks; knows each block after the first time.

    Args:
        decoder: of the core's instructions.
        code: bytes at an address, for decoding.
    """

    def __init__(self, decoder: Decoder, code: Callable[[int, int], bytes]) -> None:
        self._decoder = decoder
        self._code = code
        self._known: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._loops: set[int] = set()

    def counts(
        self,
        blocks: NDArray[np.int64],
        sizes: NDArray[np.int64],
        data: tuple[NDArray[np.int64], NDArray[np.int64]],
        stack_bytes: int,
    ) -> Counts:
        """Counts of one call.

        Args:
            blocks: (n,) addresses of the blocks, in the order of execution.
            sizes: (n,) their bytes.
            data: addresses and bytes of the reads of flash, in order.
            stack_bytes: deepest stack.

        Raises:
            QDeployError: a block holds an instruction that the core does not have.
        """
        keys = blocks << _SIZE_BITS | sizes
        distinct, times = np.unique(keys, return_counts=True)
        total = np.zeros(len(INSTRUCTION_CLASSES) + len(fields(_Events)), dtype=np.int64)
        for key, count in zip(distinct.tolist(), times.tolist(), strict=True):
            total += count * self._block(key >> _SIZE_BITS, key & (1 << _SIZE_BITS) - 1)
        taken = blocks[1:] != (blocks + sizes)[:-1]
        if self._loops:
            taken &= ~np.isin(keys[:-1], list(self._loops))
        events = _Events(*total[len(INSTRUCTION_CLASSES) :].tolist())
        by_class = zip(INSTRUCTION_CLASSES, total.tolist(), strict=False)
        starts, lengths = data
        return Counts(
            instructions=events.instructions,
            classes={name: count for name, count in by_class if count},
            registers=events.registers,
            # The last block ends with the return, which is taken too.
            taken_branches=int(np.count_nonzero(taken)) + 1,
            load_uses=events.load_uses,
            pipelined_loads=events.pipelined_loads,
            address_uses=events.address_uses,
            flash_data_bytes=int(lengths.sum()),
            stack_bytes=stack_bytes,
            code_reads=Reads(blocks, sizes),
            data_reads=Reads(starts, lengths),
        )

    def _block(self, address: int, size: int) -> NDArray[np.int64]:
        """Instructions by class, then events, of one run through a block."""
        known = self._known.get((address, size))
        if known is None:
            instructions = self._decoder.block(self._code(address, size), address)
            kinds = [instruction.kind for instruction in instructions]
            events = _events(instructions)
            if instructions[-1].kind == "loop":
                self._loops.add(address << _SIZE_BITS | size)
            known = np.array(
                [kinds.count(name) for name in INSTRUCTION_CLASSES]
                + [getattr(events, each.name) for each in fields(_Events)]
            )
            self._known[address, size] = known
        return known


def _events(block: list[Instruction]) -> _Events:
    """Events of a block; pairs that lie across its border are not seen."""
    uses = pipelined = addresses = 0
    for before, after in pairwise(block):
        shared = before.writes & after.reads
        if before.kind == "load":
            uses += bool(shared)
            pipelined += after.kind == "load" and not shared
        elif before.kind in ("alu", "simd") and after.kind in _MEMORY:
            addresses += bool(before.writes & after.address)
    registers = sum(instruction.registers for instruction in block)
    return _Events(len(block), registers, uses, pipelined, addresses)
