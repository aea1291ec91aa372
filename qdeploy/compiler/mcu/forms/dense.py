"""Rows of weights as they are: the form for every network, and the two-bit one for ternary weights.

int8 rows are widened to halfwords and multiplied two at a time (SMLAD) where the core can. Ternary
weights are kept as w + 1 in two bits, so that eight of a halfword lane are reached by a shift and a
mask; the sum of the inputs is taken off once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.mcu.kernel import McuKernel, Part
from qdeploy.compiler.mcu.operations import call
from qdeploy.compiler.mcu.readout import MemoryReadout, narrowest
from qdeploy.compiler.mcu.signs import without_room
from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import QuantizedNetwork

__all__ = ["Int8RowsForm", "TernaryForm"]


class _RowsKernel:
    """What both have in common: rows u_0, v_0, u_1, …, some at a time, then product and readout."""

    reloads = False
    rows_at_once: int

    def __init__(self, network: QuantizedNetwork, columns: int) -> None:
        self.network = network
        layer, _ = quadratic_and_readout(network)
        self._readout = MemoryReadout(network)
        self._product = network.accumulators[0]["product"]
        self._dot = network.accumulators[0]["dot"]
        neurons = layer.width
        self._blocks = -(-2 * neurons // self.rows_at_once)
        self._weights = np.zeros((self._blocks * self.rows_at_once, columns), dtype=np.int8)
        bias = np.zeros(len(self._weights), dtype=np.int64)
        for side, (weights, start) in enumerate(
            ((layer.left, layer.left_bias), (layer.right, layer.right_bias))
        ):
            self._weights[side : 2 * neurons : 2, : network.inputs] = weights
            bias[side : 2 * neurons : 2] = start
        self._bias = Constant("offset", narrowest(bias)) if bias.any() else None
        neurons_memory = self._readout.scratch()
        self._neurons = Scratch(
            neurons_memory.name, neurons_memory.dtype, self._blocks * self.rows_at_once // 2
        )
        self.accumulators: Mapping[str, str] = {
            "dot": self._dot,
            "product": self._product,
            "score": network.score_dtype,
        }

    def _constants(self, weights: Constant) -> tuple[Constant, ...]:
        offset = () if self._bias is None else (self._bias,)
        return (weights, *offset, *self._readout.constants)

    def _store(self, operands: Operands, block: Any, sums: list[Any]) -> None:
        """Neurons from the sums of their rows."""
        for row, value in enumerate(sums):
            if self._bias is not None:
                bias = operands.constants["offset"][block * self.rows_at_once + row]
                value = value + bias.astype(self._dot)
            sums[row] = tir.bind(value).astype(self._product)
        for neuron in range(self.rows_at_once // 2):
            product = sums[2 * neuron] * sums[2 * neuron + 1]
            place = block * (self.rows_at_once // 2) + neuron
            tir.store(operands.scratch["neurons"], product, place, 1)


class _Int8Kernel(_RowsKernel):
    def __init__(self, network: QuantizedNetwork, *, dual: bool) -> None:
        self._dual = dual
        # Four rows share the loads of the inputs; cores without dual multiplications or with sums
        # of 64 bits have no registers for so many.
        self.rows_at_once = 4 if dual else 2
        self._columns = -(-network.inputs // 4) * 4 if dual else network.inputs
        super().__init__(network, self._columns)
        if dual:
            words = self._weights.reshape(self._blocks, 4, -1, 4).transpose(0, 2, 1, 3)
            packed = np.ascontiguousarray(words).reshape(-1).view("<i4")
            weights: NDArray[np.integer] = packed.astype(np.int32)
        else:
            rows = self._weights.reshape(self._blocks, 2, -1).transpose(0, 2, 1)
            weights = np.ascontiguousarray(rows).ravel()
        self.constants = self._constants(Constant("weights", weights))
        self.scratch: tuple[Scratch, ...] = (self._neurons,)
        if dual:
            self.scratch = (Scratch("inputs", "int32", self._columns // 2), self._neurons)

    def parts(self) -> Sequence[Part]:
        """One function."""
        return (self._emit,)

    def _emit(self, operands: Operands) -> None:
        """Some rows at a time, which share an input."""
        if self._dual:
            _spread_pairs(operands, self.network.inputs, self._columns)
        with tir.loop(self._blocks) as block:
            (self._dual_rows if self._dual else self._plain_rows)(operands, block)
        self._readout.emit(operands)

    def _plain_rows(self, operands: Operands, block: Any) -> None:
        totals = [tir.Accumulator(self._dot, 1) for _ in range(2)]
        for total in totals:
            total.clear()
        with tir.loop(self._columns) as index:
            value = tir.bind(operands.x[index].astype(self._dot))
            for row, total in enumerate(totals):
                weight = operands.constants["weights"][(block * self._columns + index) * 2 + row]
                total.set(total.value + value * weight.astype(self._dot))
        self._store(operands, block, [total.value for total in totals])

    def _dual_rows(self, operands: Operands, block: Any) -> None:
        inputs = operands.scratch["inputs"]
        totals = [tir.Accumulator("int32", 1) for _ in range(self.rows_at_once)]
        for total in totals:
            total.clear()
        with tir.loop(self._columns // 4) as group:
            even, odd = tir.bind(inputs[group * 2]), tir.bind(inputs[group * 2 + 1])
            for row, total in enumerate(totals):
                place = (block * (self._columns // 4) + group) * self.rows_at_once + row
                word = tir.bind(operands.constants["weights"][place])
                total.set(call("smlad", call("sxtb16", word), even, total.value))
                total.set(call("smlad", call("sxtb16_ror8", word), odd, total.value))
        self._store(operands, block, [total.value for total in totals])


def _spread_pairs(operands: Operands, count: int, columns: int) -> None:
    """Inputs as words of halves (0, 2) and (1, 3) of every four, zeros behind them."""
    inputs = operands.scratch["inputs"]
    with tir.loop(count // 4) as group:
        four = call("load4", tirx.address_of(operands.x[group * 4]))
        tir.store(inputs, call("sxtb16", four), group * 2, 1)
        tir.store(inputs, call("sxtb16_ror8", four), group * 2 + 1, 1)
    for group in range(count // 4, columns // 4):
        for word in range(2):
            halves = [
                operands.x[index].astype("int32") if index < count else tirx.const(0, "int32")
                for index in (4 * group + word, 4 * group + word + 2)
            ]
            low = halves[0] & tirx.const(0xFFFF, "int32")
            value = low + halves[1] * tirx.const(1 << 16, "int32")
            tir.store(inputs, value, group * 2 + word, 1)


class _TernaryKernel(_RowsKernel):
    rows_at_once = 4
    _CHUNK = 16

    def __init__(self, network: QuantizedNetwork) -> None:
        self._columns = -(-network.inputs // self._CHUNK) * self._CHUNK
        super().__init__(network, self._columns)
        codes = (self._weights + 1).astype(np.uint32)
        self.constants = self._constants(Constant("codes", self._pack(codes)))
        self.scratch = (Scratch("inputs", "int32", self._columns // 2), self._neurons)

    def _pack(self, codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Two bits each, (block, chunk, row), in the order in which the inputs lie in words."""
        # Word 2g holds inputs (0, 2) of four, word 2g + 1 inputs (1, 3).
        order = codes.reshape(len(codes), -1, 2, 2).transpose(0, 1, 3, 2).reshape(len(codes), -1, 2)
        chunks = order.reshape(len(codes), -1, self._CHUNK // 2, 2)
        shifts = (2 * np.arange(self._CHUNK // 2, dtype=np.uint32))[:, None] + np.array(
            [0, 16], dtype=np.uint32
        )
        words = (chunks << shifts).sum(axis=(2, 3), dtype=np.uint32)
        blocks = words.reshape(self._blocks, self.rows_at_once, -1).transpose(0, 2, 1)
        return np.ascontiguousarray(blocks).ravel()

    def parts(self) -> Sequence[Part]:
        """One function."""
        return (self._emit,)

    def _emit(self, operands: Operands) -> None:
        """Four rows, two neurons, at a time."""
        _spread_pairs(operands, self.network.inputs, self._columns)
        everything = tir.Accumulator("int32", 1)
        everything.clear()
        with tir.loop(self.network.inputs) as index:
            everything.set(everything.value + operands.x[index].astype("int32"))
        with tir.loop(self._blocks) as block:
            self._four_rows(operands, block, everything)
        self._readout.emit(operands)

    def _four_rows(self, operands: Operands, block: Any, everything: tir.Accumulator) -> None:
        inputs, codes = operands.scratch["inputs"], operands.constants["codes"]
        totals = [tir.Accumulator("int32", 1) for _ in range(self.rows_at_once)]
        for total in totals:
            total.set(tirx.const(0, "int32") - everything.value)
        chunks = self._columns // self._CHUNK
        with tir.loop(chunks) as chunk:
            words = [
                tir.bind(codes[(block * chunks + chunk) * self.rows_at_once + row])
                for row in range(self.rows_at_once)
            ]
            for pair in range(self._CHUNK // 2):
                value = tir.bind(inputs[chunk * (self._CHUNK // 2) + pair])
                for word, total in zip(words, totals, strict=True):
                    lanes = (word >> tirx.const(2 * pair, "uint32")) & tirx.const(
                        0x00030003, "uint32"
                    )
                    total.set(call("smlad", lanes.astype("int32"), value, total.value))
        self._store(operands, block, [total.value for total in totals])


class Int8RowsForm:
    """Every network, one byte a weight."""

    name = "int8-rows"
    weights = "any int8, a byte each"

    def kernel(self, network: QuantizedNetwork, extensions: frozenset[str]) -> McuKernel | str:
        """The kernel; dual multiplications where the core has them and sums fit 32 bits."""
        dual = "dsp" in extensions and network.accumulators[0]["dot"] == "int32"
        return _Int8Kernel(network, dual=dual)


class TernaryForm:
    """Two bits a weight, for -1, 0 and +1."""

    name = "ternary"
    weights = "-1, 0 or +1, two bits each"

    def kernel(self, network: QuantizedNetwork, extensions: frozenset[str]) -> McuKernel | str:
        """The kernel on cores with dual multiplications."""
        layer, _ = quadratic_and_readout(network)
        if max(abs(side.astype(np.int16)).max() for side in (layer.left, layer.right)) > 1:
            return "its weights are not all -1, 0 or +1"
        if "dsp" not in extensions:
            return "the core has no dual multiply-accumulate (SMLAD)"
        return without_room(layer) or _TernaryKernel(network)


FORMS.register(Int8RowsForm.name)(Int8RowsForm())
FORMS.register(TernaryForm.name)(TernaryForm())
