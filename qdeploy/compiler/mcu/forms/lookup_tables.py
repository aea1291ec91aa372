"""±1 weights by tables of partial sums: one look-up and one addition for eight weights.

For every group of eight inputs a table holds Σ ±x for all 256 sign patterns, built anew for each
sample by T[b + 2^k] = T[b] + 2·x_k. A row's weights are one byte a group, so flash is one bit a
weight on every core. Building costs about 256 steps a group, so it pays for many neurons.
"""

from collections.abc import Mapping, Sequence
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

__all__ = ["LookupTablesForm"]

_GROUP = 8
_ENTRIES = 2**_GROUP
_ROWS = 4
"""Rows at once, two neurons: they share the walk through the tables."""

_UNROLL = 4


class _LookupKernel:
    reloads = False

    def __init__(
        self, network: QuantizedNetwork, rows: SignRows, extensions: frozenset[str]
    ) -> None:
        self.network = network
        rows = whole_blocks(rows, _ROWS)
        self._rows = rows
        self._dual = dual = "dsp" in extensions
        self._groups = -(-rows.size // _GROUP)
        self._readout = MemoryReadout(network, long_multiply="long-multiply" in extensions)
        self._product = network.accumulators[0]["product"]
        self._blocks = len(rows.rows) // _ROWS
        positive = np.zeros((len(rows.rows), self._groups * _GROUP), dtype=np.uint8)
        positive[:, : rows.size] = rows.rows > 0
        patterns = np.packbits(positive.reshape(-1, _GROUP), axis=1, bitorder="little")
        patterns = patterns.reshape(self._blocks, _ROWS, self._groups).transpose(0, 2, 1)
        self._offset = Constant("offset", narrowest(rows.bias)) if rows.bias.any() else None
        self.constants: tuple[Constant, ...] = (
            Constant("patterns", np.ascontiguousarray(patterns).ravel()),
            *(() if self._offset is None else (self._offset,)),
            *self._readout.constants,
        )
        neurons = self._readout.scratch()
        # With dual additions two entries lie in a word.
        tables = (
            Scratch("tables", "int32", self._groups * _ENTRIES // 2)
            if dual
            else Scratch("tables", "int16", self._groups * _ENTRIES)
        )
        self.scratch = (
            Scratch("inputs", "int8", self._groups * _GROUP),
            tables,
            Scratch(neurons.name, neurons.dtype, self._blocks * _ROWS // 2),
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
        """Build every table, then walk through them, two neurons at a time."""
        inputs = operands.scratch["inputs"]
        with tir.loop(self.network.inputs) as index:
            tir.store(inputs, operands.x[index], index, 1)
        for index in range(self.network.inputs, self._groups * _GROUP):
            known = self._rows.constant if index == self.network.inputs else None
            tir.store(inputs, tirx.const(known or 0, "int8"), index, 1)
        with tir.loop(self._groups) as group:
            (self._build_dual if self._dual else self._build_plain)(operands, group)
        with tir.loop(self._blocks) as block:
            self._four_rows(operands, block)
        self._readout.emit(operands)

    def _input(self, operands: Operands, group: Any, place: int) -> Any:
        return tir.bind(operands.scratch["inputs"][group * _GROUP + place].astype("int32"))

    def _lowest(self, operands: Operands, group: Any) -> Any:
        """The entry of all weights -1."""
        total: Any = tirx.const(0, "int32")
        for place in range(_GROUP):
            total = tir.bind(total - self._input(operands, group, place))
        return total

    def _build_plain(self, operands: Operands, group: Any) -> None:
        table, base = operands.scratch["tables"], group * _ENTRIES
        tir.store(table, self._lowest(operands, group).astype("int16"), base, 1)
        for place in range(_GROUP):
            size = 1 << place
            twice = tir.bind(self._input(operands, group, place) * tirx.const(2, "int32"))
            step = min(size, _UNROLL)
            with tir.loop(size // step) as part:
                for k in range(step):
                    entry = part * step + k
                    value = table[base + entry].astype("int32") + twice
                    tir.store(table, value.astype("int16"), base + size + entry, 1)

    def _build_dual(self, operands: Operands, group: Any) -> None:
        table, base = operands.scratch["tables"], group * (_ENTRIES // 2)
        lowest = self._lowest(operands, group)
        twice = tir.bind(self._input(operands, group, 0) * tirx.const(2, "int32"))
        upper = (lowest + twice) * tirx.const(1 << 16, "int32")
        tir.store(table, (lowest & tirx.const(0xFFFF, "int32")) + upper, base, 1)
        for place in range(1, _GROUP):
            size = 1 << (place - 1)
            doubled = self._input(operands, group, place) * tirx.const(2, "int32")
            twice = call("broadcast_low", doubled)
            step = min(size, _UNROLL)
            with tir.loop(size // step) as part:
                values = [tir.bind(table[base + part * step + k]) for k in range(step)]
                sums = [call("sadd16", value, twice) for value in values]
                for k, value in enumerate(sums):
                    tir.store(table, value, base + size + part * step + k, 1)

    def _entry(self, operands: Operands, group: Any, pattern: Any) -> Any:
        tables = operands.scratch["tables"]
        index = pattern.astype("int32")
        if not self._dual:
            return tables[group * _ENTRIES + index].astype("int32")
        pointer = tirx.address_of(tables[group * (_ENTRIES // 2)])
        return call("halfword", pointer, index)

    def _four_rows(self, operands: Operands, block: Any) -> None:
        patterns = operands.constants["patterns"]
        totals = [tir.Accumulator("int32", 1) for _ in range(_ROWS)]
        for total in totals:
            total.clear()
        with tir.loop(self._groups) as group:
            for row, total in enumerate(totals):
                pattern = patterns[(block * self._groups + group) * _ROWS + row]
                total.set(total.value + self._entry(operands, group, pattern))
        sums = []
        for row, total in enumerate(totals):
            result = total.value
            if self._offset is not None:
                place = block * _ROWS + row
                result = result + operands.constants["offset"][place].astype("int32")
            sums.append(tir.bind(result))
        for neuron in range(_ROWS // 2):
            left, right = (side.astype(self._product) for side in sums[2 * neuron : 2 * neuron + 2])
            place = block * (_ROWS // 2) + neuron
            tir.store(operands.scratch["neurons"], left * right, place, 1)


class LookupTablesForm:
    """One bit of flash a weight and half a kilobyte of RAM for eight inputs, on every core."""

    name = "lookup-tables"
    weights = "±1, one bit each"

    def kernel(self, network: QuantizedNetwork, extensions: frozenset[str]) -> McuKernel | str:
        """The kernel where all weights are ±1."""
        layer, _ = quadratic_and_readout(network)
        rows = sign_rows(layer)
        if isinstance(rows, str):
            return rows
        return _LookupKernel(network, rows, extensions)


FORMS.register(LookupTablesForm.name)(LookupTablesForm())
