"""Collapsed form: every output is one quadratic form xᵀMx, whatever the number of neurons.

Products of inputs are made once in int16 lanes and multiplied with the int16 coefficients of every
output in pairs; int32 lanes are emptied into int64 before they can overflow.
"""

from typing import Any

import numpy as np
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Constant, Kernel, Operands, Scratch
from qdeploy.compiler.symmetric import CollapsedForm as Quadratic
from qdeploy.compiler.symmetric import Digits, collapse, split_digits
from qdeploy.network import QuantizedNetwork

__all__ = ["CollapsedForm"]

_RESERVED_REGISTERS = 6


class _CollapsedKernel:
    def __init__(
        self, network: QuantizedNetwork, isa: InstructionSet, form: Quadratic, digits: Digits
    ) -> None:
        self.network = network
        self._isa = isa
        self._form = form
        self._digits = digits
        self._width = isa.lanes * isa.pair_group
        outputs, self._planes, self._shifts, padded = digits.values.shape
        self._chunks = padded // self._width
        split = digits.values.reshape(
            outputs, self._planes, self._shifts, self._chunks, self._width
        )
        self.constants: tuple[Constant, ...] = (
            Constant("coefficients", np.ascontiguousarray(split.transpose(2, 3, 0, 1, 4)).ravel()),
            Constant("constant_term", form.bias),
        )
        self._elements = form.size // 2 + self._chunks * self._width
        self.accumulators = {"product": "int16", "lane": "int32", "score": "int64"}

    def scratch(self, samples: int) -> tuple[Scratch, ...]:
        return (Scratch("inputs", "int16", samples * self._elements),)

    def registers(self, samples: int) -> int:
        return samples * self._planes + _RESERVED_REGISTERS

    def emit(self, operands: Operands, row: Any, samples: int) -> None:
        for sample in range(samples):
            self._copy_inputs(operands, row + sample, sample * self._elements)
        room = (self._isa.registers - _RESERVED_REGISTERS) // (samples * self._planes)
        size = max(1, min(room, self.network.outputs))
        whole, rest = divmod(self.network.outputs, size)
        with tir.loop(whole) as block:
            self._outputs(operands, row, samples, block * size, size)
        if rest:
            self._outputs(operands, row, samples, whole * size, rest)

    def _copy_inputs(self, operands: Operands, row: Any, offset: int) -> None:
        """The inputs, the constant one, and the same again as far as shifts reach; then zeros."""
        target = operands.scratch["inputs"]
        size, count = self._form.size, self.network.inputs

        def convert(value: Any, lanes: int) -> Any:
            return value.astype(tir.vector_type("int16", lanes))

        def once(start: int, inputs: int) -> None:
            if inputs:
                tir.copy_inputs(
                    target, offset + start, operands.x, row, inputs, convert, self._isa.copy_lanes
                )

        end = self._elements
        for start in range(min(2 * size, end), end):
            tir.store(target, tirx.const(0, "int16"), offset + start, 1)
        for start in range(0, min(2 * size, end), size):
            once(start, min(count, end - start))
            if self._form.constant is not None and start + count < end:
                constant = tirx.const(self._form.constant, "int16")
                tir.store(target, constant, offset + start + count, 1)

    def _outputs(
        self, operands: Operands, row: Any, samples: int, first: Any, outputs: int
    ) -> None:
        """Scores of outputs first … first + outputs - 1 of the samples."""
        lanes = self._isa.lanes
        wide_type = tir.vector_type("int64", lanes)

        def each(dtype: str) -> list[tir.Accumulator]:
            return [tir.Accumulator(dtype, lanes) for _ in range(samples * outputs * self._planes)]

        totals = each("int64")
        segments = self._digits.segments
        parts = each("int32")
        doubled = self._form.factor > 1
        flushed = False
        for number, (begin, end) in enumerate(segments):
            diagonal = number == len(segments) - 1
            for part in parts:
                if not (diagonal and self._digits.merged):
                    part.clear()
                elif doubled:
                    part.set(part.value + part.value)
            self._segment(operands, samples, first, outputs, begin, end, parts)
            if self._digits.merged and not diagonal:
                continue
            for total, part in zip(totals, parts, strict=True):
                value = part.value.astype(wide_type)
                if flushed and diagonal and doubled:
                    value = value + total.value + total.value
                elif flushed:
                    value = value + total.value
                total.set(value)
            flushed = True
        for sample in range(samples):
            for output in range(outputs):
                position = (sample * outputs + output) * self._planes
                score = operands.constants["constant_term"][first + output]
                for plane in range(self._planes):
                    value = totals[position + plane].value
                    if plane:
                        shift = tir.constant(1 << (plane * self._digits.bits), "int64", lanes)
                        value = value * shift
                    score = score + tir.reduce_add(value, "int64", lanes)
                tir.store(
                    operands.scores,
                    score.astype(self.network.score_dtype),
                    first + output,
                    1,
                    row + sample,
                )

    def _segment(
        self,
        operands: Operands,
        samples: int,
        first: Any,
        outputs: int,
        begin: int,
        end: int,
        parts: list[tir.Accumulator],
    ) -> None:
        """Add the shifts begin … end - 1 to the int32 lanes."""
        inputs, coefficients = operands.scratch["inputs"], operands.constants["coefficients"]
        width, planes = self._width, self._planes
        with tir.loop(begin, end) as shift, tir.loop(self._chunks) as chunk:
            products = []
            for sample in range(samples):
                start = sample * self._elements + chunk * width
                left = tir.load(inputs, start, width)
                products.append(tir.bind(left * tir.load(inputs, start + shift, width)))
            for output in range(outputs):
                for plane in range(planes):
                    number = (shift * self._chunks + chunk) * self.network.outputs + first + output
                    start = (number * planes + plane) * width
                    weight = tir.bind(tir.load(coefficients, start, width))
                    for sample, product in enumerate(products):
                        part = parts[(sample * outputs + output) * planes + plane]
                        part.set(self._isa.pair_dot(part.value, product, weight))


class CollapsedForm:
    """One quadratic form an output: K·(d + 1)(d + 2)/2 multiply-accumulates, for any m."""

    name = "collapsed"
    weights = "any int8; coefficients are int16 digits"
    single = True
    batch = True
    tiles: tuple[int, ...] = (1, 2, 4)
    block_vectors: tuple[int, ...] = (1,)

    def kernel(
        self, network: QuantizedNetwork, isa: InstructionSet, vectors: int | None = None
    ) -> Kernel | str:
        """The kernel where 64 bits hold the sums and 32 bits a lane of one shift."""
        form = collapse(network)
        if isinstance(form, str):
            return form
        digits = split_digits(form, isa.lanes, isa.pair_group)
        if isinstance(digits, str):
            return digits
        return _CollapsedKernel(network, isa, form, digits)


FORMS.register(CollapsedForm.name)(CollapsedForm())
