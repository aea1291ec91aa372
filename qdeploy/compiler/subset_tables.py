"""Sums of all subsets of four inputs, as tables of bytes for the look-ups of `lookup-tables`.

Four int8 inputs have 16 subset sums g, in [-512, 508]; as g = 32·q + r they are two tables, each in
one register: q in [-16, 15] and r in [0, 31].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler import tir

__all__ = [
    "CHUNK",
    "GROUP",
    "HALF",
    "LANES",
    "RADIX",
    "SUBSETS",
    "Inputs",
    "arrange_indices",
    "build_tables",
    "load_indices",
]

LANES = 16
"""Bytes in a register: entries of a table, and indices that are looked up at once."""

HALF = LANES // 2

GROUP = 4
"""Inputs of a table."""

CHUNK = 32
"""Inputs whose look-ups are added in bytes: eight of q in [-128, 120], eight of r in [0, 248]."""

RADIX = 32

SUBSETS = (np.arange(HALF) >> np.arange(GROUP - 1)[:, None] & 1).astype(np.int16)
"""Which of the first three inputs the entries 0 … 7 of a table contain, (3, 8)."""

_FRACTION_BITS = 3
"""8·g has q in its high byte, and r in the upper five bits of its low byte."""

_PAIRWISE_SUM = "llvm.aarch64.neon.saddlp.v4i32.v8i16"


@dataclass(frozen=True)
class Inputs:
    """The inputs of one sample.

    Attributes:
        x: int8 (n, d).
        row: number of the sample.
        count: d.
        scratch: eight bytes of memory where there are fewer inputs; None otherwise.
    """

    x: Any
    row: Any
    count: int
    scratch: Any

    def load(self, first: Any, count: int) -> Any:
        """Inputs from `first` on, `count` ≤ 8, and zeros behind them; int8, 8 lanes.

        Fewer than eight are the last ones. Nothing beyond the sample is read.
        """
        if count == HALF:
            return tir.load(self.x, first, HALF, self.row)
        nothing = tir.constant(0, "int8", HALF)
        if self.scratch is not None:
            tir.store(self.scratch, nothing, 0, HALF)
            for index in range(count):
                tir.store(self.scratch, self.x[self.row, index], index, 1)
            return tir.load(self.scratch, 0, HALF)
        last = tir.load(self.x, self.count - HALF, HALF, self.row)
        return tir.shuffle([last, nothing], range(HALF - count, 2 * HALF - count))

    def sum(self) -> Any:
        """Σx, int32."""
        total = tir.Accumulator("int32", HALF // 2)
        total.clear()

        def add(first: Any, count: int) -> None:
            wide = tir.vector_type("int16", HALF)
            pieces = [
                self.load(first + start, min(HALF, count - start)).astype(wide)
                for start in range(0, count, HALF)
            ]
            added = sum(pieces[1:], pieces[0])
            total.set(total.value + tir.intrinsic(_PAIRWISE_SUM, "int32", HALF // 2, added))

        whole = (self.count - 1) // CHUNK
        if whole:
            with tir.loop(whole) as number:
                add(number * CHUNK, CHUNK)
        add(whole * CHUNK, self.count - whole * CHUNK)
        return tir.bind(tir.reduce_add(total.value, "int32", HALF // 2))


def build_tables(inputs: Inputs, subsets: Any, first: Any, count: int) -> list[tuple[Any, Any]]:
    """Tables of q, int8, and of r, uint8, for each group of four inputs.

    Args:
        inputs: of the sample.
        subsets: buffer with `SUBSETS`.
        first: first input.
        count: how many.
    """
    contained = [tir.bind(tir.load(subsets, bit * HALF, HALF)) for bit in range(GROUP - 1)]
    tables = []
    for start in range(0, count, HALF):
        piece = min(HALF, count - start)
        wide = inputs.load(first + start, piece).astype(tir.vector_type("int16", HALF))
        scaled = tir.bind(wide << tir.constant(_FRACTION_BITS, "int16", HALF))
        for lane in range(0, piece, GROUP):
            values = [tir.lane(scaled, lane + place) for place in range(GROUP)]
            tables.append(_table([tir.broadcast(value, HALF) for value in values], contained))
    return tables


def _table(values: Sequence[Any], contained: Sequence[Any]) -> tuple[Any, Any]:
    """Tables of q and r from four inputs times 8: entries without the last input, then with it."""
    *others, last = values
    without = others[0] * contained[0]
    for value, mask in zip(others[1:], contained[1:], strict=True):
        without = without + value * mask
    without = tir.bind(without)
    halves = [
        tir.bind(tir.reinterpret(entries, "uint8", LANES))
        for entries in (without, tir.bind(without + last))
    ]
    quotients = tir.shuffle(halves, range(1, 2 * LANES, 2))
    remainders = tir.shuffle(halves, range(0, 2 * LANES, 2))
    fraction = tir.constant(_FRACTION_BITS, "uint8", LANES)
    return tir.bind(quotients), tir.bind(remainders >> fraction)


def arrange_indices(signs: NDArray[np.bool_], shared: bool) -> NDArray[np.uint8]:
    """Indices of the subsets {i: wᵢ = +1}, in the order in which they are read.

    Args:
        signs: whether wᵢ = +1, (vectors, 16, d).
        shared: whether two indices share a byte.

    Returns:
        Flat: chunk, vector, group of inputs (or pair of groups), lane.
    """
    parts = []
    for first in range(0, signs.shape[2], CHUNK):
        chunk = signs[:, :, first : first + CHUNK]
        filled = np.pad(chunk, ((0, 0), (0, 0), (0, -chunk.shape[2] % GROUP)))
        groups = filled.reshape(*chunk.shape[:2], -1, GROUP)
        indices = (groups << np.arange(GROUP)).sum(axis=3).astype(np.uint8)
        if shared:
            indices = np.pad(indices, ((0, 0), (0, 0), (0, indices.shape[2] % 2)))
            indices = indices[:, :, 0::2] | indices[:, :, 1::2] << GROUP
        parts.append(indices.swapaxes(1, 2).ravel())
    return np.concatenate(parts)


def load_indices(buffer: Any, start: Any, groups: int, shared: bool) -> list[Any]:
    """The indices of one vector for each of `groups` groups of inputs, uint8."""
    if not shared:
        starts = [start + group * LANES for group in range(groups)]
        return [tir.bind(tir.load(buffer, first, LANES)) for first in starts]
    indices = []
    for step in range(-(-groups // 2)):
        pair = tir.bind(tir.load(buffer, start + step * LANES, LANES))
        indices += [
            tir.bind(pair & tir.constant(2**GROUP - 1, "uint8", LANES)),
            tir.bind(pair >> tir.constant(GROUP, "uint8", LANES)),
        ]
    return indices[:groups]
