"""Pair sums: with uᵢ = ±vᵢ everywhere, one sum over the inputs where u = v, one over the others.

s = Σ_{u=v} uᵢxᵢ, t = Σ_{u=-v} uᵢxᵢ, then (xᵀu)(xᵀv) = (s + t)(s - t). Both sums share one
int32 accumulator, acc = s + 2^k·t with |s| < 2^(k-1): a weight is uᵢ or 2^k·uᵢ, and one
multiply-accumulate serves both dot products of a neuron.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler import tir
from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Constant, Kernel, Operands, Scratch
from qdeploy.compiler.neurons import NeuronLayout, Readout, quadratic_and_readout, with_blocks
from qdeploy.network import INPUT_MAGNITUDE, QuadraticLayer, QuantizedNetwork, ReadoutLayer

__all__ = ["PairSumsForm"]


def _shift(layer: QuadraticLayer) -> int | str:
    """The k of acc = s + 2^k·t, or why there is none."""
    left = layer.left.astype(np.int64)
    right = layer.right.astype(np.int64)
    if (np.abs(left) != np.abs(right)).any():
        return "it needs weights that agree in magnitude on both sides of a neuron"
    same = left == right
    first = int((np.abs(left) * same).sum(axis=1).max()) * INPUT_MAGNITUDE
    second = int((np.abs(left) * ~same).sum(axis=1).max()) * INPUT_MAGNITUDE
    shift = first.bit_length() + 1
    largest = int(np.abs(left).max())
    reach = first + (second << shift) + (1 << (shift - 1))
    if (largest << shift) >= 2**15 or reach >= 2**31:
        return "both sums of a neuron do not fit one 32-bit accumulator"
    return shift


def _balanced(network: QuantizedNetwork) -> QuantizedNetwork:
    """The same network with v negated where u = v holds the larger share of a neuron's weights.

    That exchanges s and t, and keeps the low part of the accumulator narrow.
    """
    layer, readout = quadratic_and_readout(network)
    left = layer.left.astype(np.int64)
    share = np.sign((left * layer.right).sum(axis=1))
    flip = np.where(share > 0, -1, 1)
    limits = np.iinfo(np.int32).min, np.iinfo(np.int8).min
    flip[(readout.weights == limits[0]).any(axis=1)] = 1
    flip[(layer.right == limits[1]).any(axis=1) | (layer.right_bias == limits[0])] = 1
    return QuantizedNetwork(
        [
            QuadraticLayer(
                layer.left,
                layer.right * flip[:, None].astype(np.int8),
                layer.left_bias,
                layer.right_bias * flip.astype(np.int32),
            ),
            ReadoutLayer(readout.weights * flip[:, None].astype(np.int32), readout.bias),
        ]
    )


class _PairSumsKernel:
    def __init__(
        self, network: QuantizedNetwork, isa: InstructionSet, shift: int, vectors: int
    ) -> None:
        self.network = network
        self._isa = isa
        self._bits = shift
        layer, readout = quadratic_and_readout(network)
        self._group = isa.pair_group
        self._steps = -(-network.inputs // self._group)
        self._layout = NeuronLayout.of(readout, isa.lanes, vectors if isa.lanes > 1 else 1)
        self._readout = Readout(network, self._layout, isa)
        left = layer.left.astype(np.int16)
        codes = np.where(layer.left == layer.right, left, left << shift)
        bias = np.stack([layer.left_bias, layer.right_bias], axis=1)
        self.constants: tuple[Constant, ...] = (
            Constant("weights", self._arrange(self._layout.place(codes))),
            Constant("bias", self._layout.place(bias).T.ravel()),
            *self._readout.constants,
        )
        self.accumulators = {
            "dot": "int32",
            "product": self._readout.product,
            "score": network.score_dtype,
        }

    def _arrange(self, codes: NDArray[np.integer]) -> NDArray[np.integer]:
        """(positions, d) to (block, step, vector, lane, input in group), flat."""
        layout = self._layout
        padded = np.pad(codes, ((0, 0), (0, self._steps * self._group - codes.shape[1])))
        split = padded.reshape(
            layout.blocks, layout.vectors, layout.lanes, self._steps, self._group
        )
        return np.ascontiguousarray(split.transpose(0, 3, 1, 2, 4)).ravel()

    def scratch(self, samples: int) -> tuple[Scratch, ...]:
        return (
            Scratch("inputs", "int16", samples * self._steps * self._group),
            self._readout.scratch(samples),
        )

    def registers(self, samples: int) -> int:
        return samples * (self._layout.vectors + 1) + 2

    def emit(self, operands: Operands, row: Any, samples: int) -> None:
        target = operands.scratch["inputs"]
        width = self._steps * self._group

        def convert(value: Any, lanes: int) -> Any:
            return value.astype(tir.vector_type("int16", lanes))

        for sample in range(samples):
            for index in range(self.network.inputs, width):
                tir.store(target, tir.constant(0, "int16", 1), sample * width + index, 1)
            tir.copy_inputs(
                target,
                sample * width,
                operands.x,
                row + sample,
                self.network.inputs,
                convert,
                self._isa.copy_lanes,
            )

        def sums(block: Any) -> Sequence[Sequence[tuple[Any, Any]]]:
            return self._sums(operands, block, samples)

        with_blocks(self._layout, operands.scratch["neurons"], self._readout.product, sums)
        self._readout.emit(operands, row, samples)

    def _sums(
        self, operands: Operands, block: Any, samples: int
    ) -> Sequence[Sequence[tuple[Any, Any]]]:
        lanes, vectors, group = self._layout.lanes, self._layout.vectors, self._group
        inputs, weights = operands.scratch["inputs"], operands.constants["weights"]
        width = self._steps * group
        totals = [[tir.Accumulator("int32", lanes) for _ in range(vectors)] for _ in range(samples)]
        for row in totals:
            for total in row:
                total.clear()
        with tir.loop(self._steps) as step:
            values = [
                tir.bind(
                    tir.broadcast_group(
                        inputs, sample * width + step * group, group, lanes, "int16"
                    )
                )
                for sample in range(samples)
            ]
            for vector in range(vectors):
                number = (block * self._steps + step) * vectors + vector
                weight = tir.bind(tir.load(weights, number * lanes * group, lanes * group))
                for value, row in zip(values, totals, strict=True):
                    row[vector].set(self._isa.pair_dot(row[vector].value, value, weight))
        biases = [
            [
                tir.bind(
                    tir.load(
                        operands.constants["bias"],
                        side * self._layout.positions + (block * vectors + vector) * lanes,
                        lanes,
                    )
                )
                for side in range(2)
            ]
            for vector in range(vectors)
        ]
        return [
            [self._decode(total.value, *bias) for total, bias in zip(row, biases, strict=True)]
            for row in totals
        ]

    def _decode(self, packed: Any, left_bias: Any, right_bias: Any) -> tuple[Any, Any]:
        """The two biased dot products: s is the low bits with their sign, t what remains."""
        lanes = self._layout.lanes
        half = tir.constant(1 << (self._bits - 1), "int32", lanes)
        mask = tir.constant((1 << self._bits) - 1, "int32", lanes)
        packed = tir.bind(packed)
        first = tir.bind(((packed + half) & mask) - half)
        second = tir.bind((packed - first) >> tir.constant(self._bits, "int32", lanes))
        left = tir.bind(first + second + left_bias)
        return left, tir.bind(first - second + right_bias)


class PairSumsForm:
    """One pass over the inputs serves both sides of a neuron: d·m multiply-accumulates."""

    name = "pair-sums"
    weights = "equal in magnitude on both sides of a neuron, as ±1 weights are"
    single = True
    batch = True
    tiles: tuple[int, ...] = (1, 2, 4)
    block_vectors: tuple[int, ...] = (4, 2, 1)

    def kernel(
        self, network: QuantizedNetwork, isa: InstructionSet, vectors: int | None = None
    ) -> Kernel | str:
        """The kernel where two sums fit one accumulator."""
        balanced = _balanced(network)
        layer, _ = quadratic_and_readout(balanced)
        shift = _shift(layer)
        if isinstance(shift, str):
            return shift
        return _PairSumsKernel(balanced, isa, shift, vectors or self.block_vectors[0])


FORMS.register(PairSumsForm.name)(PairSumsForm())
