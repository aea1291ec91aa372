"""Matrix form: both int8 matrix products, neurons in lanes, then product and readout.

With dot-product instructions four inputs are multiplied a lane and instruction. Those take
unsigned inputs: x + 128 is fed, and 128·Σw is taken off the bias. Without them inputs are widened
to int16 and multiplied in pairs, or one by one.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Constant, Kernel, Operands, Scratch
from qdeploy.compiler.neurons import NeuronLayout, Readout, quadratic_and_readout, with_blocks
from qdeploy.network import QuantizedNetwork

__all__ = ["MatrixForm"]

_OFFSET = 128
_UNSIGNED_MAXIMUM = 255
_INT16_MAXIMUM = 2**15 - 1

Method = Literal["byte-accumulate", "byte-multiply", "pair"]


def _method(isa: InstructionSet, pair_sum: int) -> Method:
    if isa.byte_accumulate:
        return "byte-accumulate"
    if isa.byte_multiply and _UNSIGNED_MAXIMUM * pair_sum <= _INT16_MAXIMUM:
        return "byte-multiply"
    return "pair"


class _MatrixKernel:
    def __init__(self, network: QuantizedNetwork, isa: InstructionSet, vectors: int) -> None:
        self.network = network
        self._isa = isa
        layer, readout = quadratic_and_readout(network)
        weights = np.stack([layer.left, layer.right], axis=1)
        bias = np.stack([layer.left_bias, layer.right_bias], axis=1).astype(np.int64)
        pairs = np.abs(weights.astype(np.int64))
        pairs = np.pad(pairs, ((0, 0), (0, 0), (0, pairs.shape[2] % 2)))
        pair_sum = int((pairs[..., 0::2] + pairs[..., 1::2]).max())
        self._method = _method(isa, pair_sum)
        self._group = isa.pair_group if self._method == "pair" else 4
        self._steps = -(-network.inputs // self._group)
        if self._method != "pair":
            bias -= _OFFSET * weights.astype(np.int64).sum(axis=2)
        self._flush = _INT16_MAXIMUM // (_UNSIGNED_MAXIMUM * max(pair_sum, 1))
        self._layout = NeuronLayout.of(readout, isa.lanes, vectors if isa.lanes > 1 else 1)
        self._readout = Readout(network, self._layout)
        self.constants: tuple[Constant, ...] = (
            Constant("weights", self._arrange(self._layout.place(weights))),
            Constant("bias", self._layout.place(bias).T.astype(np.int32).ravel()),
            *self._readout.constants,
        )
        self.accumulators = {
            "dot": "int16, int32" if self._method == "byte-multiply" else "int32",
            "product": self._readout.product,
            "score": network.score_dtype,
        }

    def _arrange(self, weights: NDArray[np.integer]) -> NDArray[np.integer]:
        """(positions, side, d) to (block, step, vector, side, lane, input in group), flat."""
        layout = self._layout
        padding = self._steps * self._group - weights.shape[2]
        padded = np.pad(weights, ((0, 0), (0, 0), (0, padding)))
        split = padded.reshape(
            layout.blocks, layout.vectors, layout.lanes, 2, self._steps, self._group
        )
        return np.ascontiguousarray(split.transpose(0, 4, 1, 3, 2, 5)).ravel()

    def scratch(self, samples: int) -> tuple[Scratch, ...]:
        dtype = "int16" if self._method == "pair" else "uint8"
        return (
            Scratch("inputs", dtype, samples * self._steps * self._group),
            self._readout.scratch(samples),
        )

    def registers(self, samples: int) -> int:
        return samples * (2 * self._layout.vectors + 1) + 2

    def emit(self, operands: Operands, row: Any, samples: int) -> None:
        self._copy_inputs(operands, row, samples)

        def sums(block: Any) -> Sequence[Sequence[tuple[Any, Any]]]:
            return self._sums(operands, block, samples)

        with_blocks(self._layout, operands.scratch["neurons"], self._readout.product, sums)
        self._readout.emit(operands, row, samples)

    def _copy_inputs(self, operands: Operands, row: Any, samples: int) -> None:
        target = operands.scratch["inputs"]
        width = self._steps * self._group

        def convert(value: Any, lanes: int) -> Any:
            if self._method == "pair":
                return value.astype(tir.vector_type("int16", lanes))
            unsigned = tirx.reinterpret(tir.vector_type("uint8", lanes), value)
            return unsigned ^ tir.constant(_OFFSET, "uint8", lanes)

        for sample in range(samples):
            for index in range(self.network.inputs, width):
                tir.store(target, tirx.const(0, target.dtype), sample * width + index, 1)
            tir.copy_inputs(
                target,
                sample * width,
                operands.x,
                row + sample,
                self.network.inputs,
                convert,
                self._isa.copy_lanes,
            )

    def _sums(
        self, operands: Operands, block: Any, samples: int
    ) -> Sequence[Sequence[tuple[Any, Any]]]:
        lanes, vectors = self._layout.lanes, self._layout.vectors
        bias = operands.constants["bias"]
        totals = [
            [[tir.Accumulator("int32", lanes) for _ in range(2)] for _ in range(vectors)]
            for _ in range(samples)
        ]
        for vector in range(vectors):
            for side in range(2):
                start = side * self._layout.positions + (block * vectors + vector) * lanes
                value = tir.bind(tir.load(bias, start, lanes))
                for sample in range(samples):
                    totals[sample][vector][side].set(value)
        if self._method == "byte-multiply":
            self._add_flushed(operands, block, totals)
        else:
            with tir.loop(self._steps) as step:
                self._step(operands, block, step, totals)
        return [[(pair[0].value, pair[1].value) for pair in pairs] for pairs in totals]

    def _step(self, operands: Operands, block: Any, step: Any, totals: Any) -> None:
        """One group of inputs into every accumulator."""
        lanes, vectors, group = self._layout.lanes, self._layout.vectors, self._group
        inputs, weights = operands.scratch["inputs"], operands.constants["weights"]
        width = self._steps * group
        values = [
            tir.bind(
                tir.broadcast_group(
                    inputs, sample * width + step * group, group, lanes, str(inputs.dtype)
                )
            )
            for sample in range(len(totals))
        ]
        for vector in range(vectors):
            for side in range(2):
                number = ((block * self._steps + step) * vectors + vector) * 2 + side
                weight = tir.bind(
                    self._widen(tir.load(weights, number * lanes * group, lanes * group))
                )
                for value, total in zip(values, totals, strict=True):
                    accumulator = total[vector][side]
                    accumulator.set(self._multiply(accumulator, value, weight))

    def _widen(self, weight: Any) -> Any:
        if self._method != "pair":
            return weight
        return weight.astype(tir.vector_type("int16", self._layout.lanes * self._group))

    def _multiply(self, accumulator: Any, value: Any, weight: Any) -> Any:
        lanes = self._layout.lanes
        if self._method == "pair":
            return self._isa.pair_dot(accumulator.value, value, weight)
        if self._method == "byte-accumulate":
            return tir.intrinsic(
                str(self._isa.byte_accumulate), "int32", lanes, accumulator.value, value, weight
            )
        product = tir.intrinsic(str(self._isa.byte_multiply), "int16", 2 * lanes, value, weight)
        return accumulator.value + product

    def _add_flushed(self, operands: Operands, block: Any, totals: Any) -> None:
        """Sum in int16 for as many steps as cannot overflow, then add to the int32 totals."""
        lanes = self._layout.lanes
        narrow = [
            [[tir.Accumulator("int16", 2 * lanes) for _ in range(2)] for _ in pairs]
            for pairs in totals
        ]
        ones = tir.constant(1, "int16", 2 * lanes)

        def stretch(first: Any, steps: int) -> None:
            for pairs in narrow:
                for pair in pairs:
                    for accumulator in pair:
                        accumulator.clear()
            with tir.loop(steps) as step:
                self._step(operands, block, first + step, narrow)
            for total_pairs, narrow_pairs in zip(totals, narrow, strict=True):
                for total_pair, narrow_pair in zip(total_pairs, narrow_pairs, strict=True):
                    for total, part in zip(total_pair, narrow_pair, strict=True):
                        total.set(self._isa.pair_dot(total.value, part.value, ones))

        whole, rest = divmod(self._steps, self._flush)
        if whole:
            with tir.loop(whole) as number:
                stretch(number * self._flush, self._flush)
        if rest:
            stretch(whole * self._flush, rest)


class MatrixForm:
    """Two int8 matrix products, a product, a readout: 2·d·m multiply-accumulates a sample."""

    name = "matrix"
    weights = "any int8"
    single = True
    batch = True
    tiles: tuple[int, ...] = (1, 2, 4, 6)
    block_vectors: tuple[int, ...] = (2, 1, 4)

    def kernel(
        self, network: QuantizedNetwork, isa: InstructionSet, vectors: int | None = None
    ) -> Kernel | str:
        """The kernel for any network whose dot products, shifted inputs included, fit int32."""
        layer, _ = quadratic_and_readout(network)
        for weights, bias in ((layer.left, layer.left_bias), (layer.right, layer.right_bias)):
            largest = np.abs(weights.astype(np.int64)).sum(axis=1) * _UNSIGNED_MAXIMUM
            if int((largest + np.abs(bias.astype(np.int64))).max()) >= 2**30:
                return "its dot products may not fit 32 bits"
        return _MatrixKernel(network, isa, vectors or self.block_vectors[0])


FORMS.register(MatrixForm.name)(MatrixForm())
