"""±1 weights by sums of absolute byte differences (USADA8): 1-bit packed signs, or byte masks.

With the unsigned byte y = x + 128 and the mask 0 for a weight +1, 255 for -1,

    |y - mask| = x + 128  or  127 - x,   so   Σ |y - mask| = wᵀx + 128·n - n₋

for n inputs of which n₋ have weight -1. One instruction adds four of them. Bit k of the four bytes
of a packed word are the weights of row k for four inputs: b = (w >> k) & 0x01010101 is 1 where the
weight is -1, and 255·b = (b << 8) - b is the mask. n₋ is counted from the same b, byte by byte, or
kept with the bias.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.mcu.kernel import McuKernel, Part
from qdeploy.compiler.mcu.operations import call
from qdeploy.compiler.mcu.readout import MemoryReadout, narrowest
from qdeploy.compiler.mcu.signs import SignRows, sign_rows, whole_blocks
from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import QuantizedNetwork

__all__ = ["ByteMasksForm", "PackedSignsForm"]

_PACKED_ROWS = 8

_LONG_ROW = 112
"""Inputs from which on a byte a row is less than a fourteenth of the weights' bits. Counters are
bytes too, and hold four times more inputs than shorter rows have."""


@dataclass(frozen=True)
class _Layout:
    """How weights are kept, and how n₋ is known.

    Attributes:
        packed: rows that share a word, one bit each; otherwise a row has masks of its own.
        at_once: rows whose sums stay in registers together.
        counted: whether n₋ is counted on the way, not kept with the bias.
    """

    packed: bool
    at_once: int
    counted: bool

    @property
    def block(self) -> int:
        """Rows of a block of weights."""
        return _PACKED_ROWS if self.packed else self.at_once


_COUNTED = _Layout(packed=True, at_once=2, counted=True)
_STORED = _Layout(packed=True, at_once=4, counted=False)
_MASKS = _Layout(packed=False, at_once=4, counted=False)


class _DistanceKernel:
    reloads = False

    def __init__(self, network: QuantizedNetwork, rows: SignRows, layout: _Layout) -> None:
        self.network = network
        block = layout.block
        rows = whole_blocks(rows, block)
        self._rows, self._layout = rows, layout
        self._groups = -(-rows.size // 4)
        self._readout = MemoryReadout(network)
        self._product = network.accumulators[0]["product"]
        self._blocks = len(rows.rows) // block
        negative = np.zeros((len(rows.rows), 4 * self._groups), dtype=np.uint8)
        negative[:, : rows.size] = rows.rows < 0
        bits = negative.reshape(self._blocks, block, self._groups, 4)
        if layout.packed:
            planes = bits << np.arange(block, dtype=np.uint8)[:, None, None]
            weights = planes.sum(axis=1, dtype=np.uint8)
        else:
            weights = (255 * bits).astype(np.uint8).transpose(0, 2, 1, 3)
        words = np.ascontiguousarray(weights).reshape(-1).view("<u4").astype(np.uint32)
        offset = rows.bias.astype(np.int64) - 128 * rows.size
        if not layout.counted:
            offset += negative.sum(axis=1, dtype=np.int64)
        # What is common to all rows is one number; the rest is small.
        self._centre = int(offset.min() + offset.max()) // 2
        rest = offset - self._centre
        self._offset = Constant("offset", narrowest(rest)) if rest.any() else None
        self.constants: tuple[Constant, ...] = (
            Constant("signs" if layout.packed else "masks", words),
            *(() if self._offset is None else (self._offset,)),
            *self._readout.constants,
        )
        neurons = self._readout.scratch()
        self.scratch = (
            Scratch("inputs", "uint32", self._groups),
            Scratch(neurons.name, neurons.dtype, self._blocks * block // 2),
        )
        self.accumulators: Mapping[str, str] = {
            "dot": "int32",
            "product": self._product,
            "score": network.score_dtype,
        }

    def parts(self) -> Sequence[Part]:
        """One function."""
        return (self._emit,)

    def _emit(self, operands: Operands) -> None:
        """Inputs as unsigned bytes, then a few neurons at a time."""
        self._copy_inputs(operands)
        with (
            tir.loop(self._blocks) as block,
            tir.loop(self._layout.block // self._layout.at_once) as half,
        ):
            self._sums(operands, block, half)
        self._readout.emit(operands)

    def _copy_inputs(self, operands: Operands) -> None:
        inputs, count = operands.scratch["inputs"], self.network.inputs
        flip = tirx.const(0x80808080, "uint32")
        with tir.loop(count // 4) as group:
            four = call("load4", tirx.address_of(operands.x[group * 4])).astype("uint32")
            tir.store(inputs, four ^ flip, group, 1)
        for group in range(count // 4, self._groups):
            # Behind the inputs lies the constant one; what is behind that counts nothing.
            word: Any = tirx.const(0, "uint32")
            for place in range(4):
                index = 4 * group + place
                if index < count:
                    byte = operands.x[index].astype("uint8").astype("uint32")
                    byte = byte ^ tirx.const(128, "uint32")
                elif index < self._rows.size:
                    assert self._rows.constant is not None
                    byte = tirx.const(self._rows.constant + 128, "uint32")
                else:
                    continue
                word = word | byte << tirx.const(8 * place, "uint32")
            tir.store(inputs, word, group, 1)

    def _sums(self, operands: Operands, block: Any, half: Any) -> None:
        """Rows half·at_once … of a block: their sums, and the products of neighbours."""
        layout, inputs = self._layout, operands.scratch["inputs"]
        totals = [tir.Accumulator("int32", 1) for _ in range(layout.at_once)]
        counts = [tir.Accumulator("uint32", 1) for _ in totals] if layout.counted else []
        for accumulator in (*totals, *counts):
            accumulator.clear()
        with tir.loop(self._groups) as group:
            value = tir.bind(inputs[group].astype("int32"))
            for row, mask in enumerate(self._masks(operands, block, half, group, counts)):
                totals[row].set(call("usada8", value, mask.astype("int32"), totals[row].value))
        sums = []
        for row, total in enumerate(totals):
            result = total.value
            if layout.counted:
                zero = tirx.const(0, "int32")
                result = call("usada8", counts[row].value.astype("int32"), zero, result)
            result = result + tirx.const(self._centre, "int32")
            if self._offset is not None:
                place = block * layout.block + half * layout.at_once + row
                result = result + operands.constants["offset"][place].astype("int32")
            sums.append(tir.bind(result))
        for neuron in range(layout.at_once // 2):
            left, right = (side.astype(self._product) for side in sums[2 * neuron : 2 * neuron + 2])
            place = block * (layout.block // 2) + half * (layout.at_once // 2) + neuron
            tir.store(operands.scratch["neurons"], left * right, place, 1)

    def _masks(
        self,
        operands: Operands,
        block: Any,
        half: Any,
        group: Any,
        counts: Sequence[tir.Accumulator],
    ) -> Iterator[Any]:
        """The masks of four inputs, row after row."""
        layout = self._layout
        if not layout.packed:
            for row in range(layout.at_once):
                place = (block * self._groups + group) * layout.at_once + row
                yield tir.bind(operands.constants["masks"][place])
            return
        word = operands.constants["signs"][block * self._groups + group]
        if layout.at_once < layout.block:
            word = word >> (half * layout.at_once).astype("uint32")
        word = tir.bind(word)
        for row in range(layout.at_once):
            shifted = word >> tirx.const(row, "uint32")
            ones = tir.bind(shifted & tirx.const(0x01010101, "uint32"))
            if counts:
                counts[row].set(counts[row].value + ones)
            yield tir.bind((ones << tirx.const(8, "uint32")) - ones)


class _DistanceForm(ABC):
    def kernel(self, network: QuantizedNetwork, extensions: frozenset[str]) -> McuKernel | str:
        """The kernel on cores that have the instruction."""
        layer, _ = quadratic_and_readout(network)
        rows = sign_rows(layer)
        if isinstance(rows, str):
            return rows
        if "dsp" not in extensions:
            return "the core has no sum of absolute differences (USADA8)"
        return _DistanceKernel(network, rows, self.layout(rows.size))

    @abstractmethod
    def layout(self, inputs: int) -> _Layout:
        """How weights of so many inputs are kept."""


class PackedSignsForm(_DistanceForm):
    """The smallest form: one bit of flash a weight."""

    name = "packed-signs"
    weights = "±1, one bit each"

    def layout(self, inputs: int) -> _Layout:
        """n₋ takes a byte a row, so short rows count it anew instead."""
        return _COUNTED if inputs < _LONG_ROW else _STORED


class ByteMasksForm(_DistanceForm):
    """Faster loops for eight bits a weight."""

    name = "byte-masks"
    weights = "±1, a byte 0 or 255 each"

    def layout(self, inputs: int) -> _Layout:
        """A mask a weight."""
        return _MASKS


FORMS.register(PackedSignsForm.name)(PackedSignsForm())
FORMS.register(ByteMasksForm.name)(ByteMasksForm())
