"""Dot products of inputs with the weights of a block of neurons, by what an instruction multiplies.

Inputs are copied to scratch memory and broadcast group by group. Dot-product instructions multiply
four inputs a lane; where they take unsigned inputs, x + 128 is fed and 128·Σw is taken off the
bias. Without them inputs are widened to int16 and multiplied in pairs, or one by one. Instructions
that take their inputs from lanes of a register: `element_products` and `tile_products` beside.
"""

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Operands, Scratch
from qdeploy.compiler.neurons import NeuronLayout

__all__ = ["BroadcastProducts", "Products", "Totals"]

_OFFSET = 128
_UNSIGNED_MAXIMUM = 255
_INT16_MAXIMUM = 2**15 - 1

Method = Literal["byte-accumulate", "byte-multiply", "pair"]

Totals = list[list[list[tir.Accumulator]]]
"""An int32 accumulator of each sample, vector of neurons, and side."""


class Products(Protocol):
    """One kind of instruction at work on the weights of one network.

    Attributes:
        widths: proven integer widths of the sums, for the plan.
        weights: as the instructions read them, one-dimensional.
        offset: what the sums have too much, int64 (positions, 2); it is taken off the bias.
    """

    widths: str
    weights: NDArray[np.integer]
    offset: NDArray[np.int64]

    def scratch(self, samples: int) -> tuple[Scratch, ...]:
        """Memory for what is prepared."""
        ...

    def registers(self, samples: int) -> int:
        """Vector registers that the innermost loop needs for a block of samples."""
        ...

    def prepare(self, operands: Operands, row: Any, samples: int) -> None:
        """Bring the inputs of the samples into the order that is read."""
        ...

    def add(self, operands: Operands, row: Any, block: Any, totals: Totals) -> None:
        """Add the dot products of one block of neurons to the totals, which hold the bias."""
        ...


class BroadcastProducts:
    """Inputs copied to memory and broadcast from there.

    Args:
        weights: int8 (positions, side, d).
        isa: instruction set.
        layout: how the neurons lie.
    """

    def __init__(
        self, weights: NDArray[np.integer], isa: InstructionSet, layout: NeuronLayout
    ) -> None:
        self._isa = isa
        self._layout = layout
        self._inputs = weights.shape[2]
        pairs = np.abs(weights.astype(np.int64))
        pairs = np.pad(pairs, ((0, 0), (0, 0), (0, pairs.shape[2] % 2)))
        pair_sum = int((pairs[..., 0::2] + pairs[..., 1::2]).max())
        self._method = self._choose(pair_sum)
        self._group = isa.pair_group if self._method == "pair" else 4
        self._steps = -(-self._inputs // self._group)
        self._flush = _INT16_MAXIMUM // (_UNSIGNED_MAXIMUM * max(pair_sum, 1))
        self.widths = "int16, int32" if self._method == "byte-multiply" else "int32"
        self.weights = self._arrange(weights)
        self.offset = weights.astype(np.int64).sum(axis=2)
        self._shifted = self._method != "pair" and isa.byte_inputs == "unsigned"
        self.offset *= _OFFSET if self._shifted else 0

    def _choose(self, pair_sum: int) -> Method:
        if self._isa.byte_accumulate:
            return "byte-accumulate"
        if self._isa.byte_multiply and _UNSIGNED_MAXIMUM * pair_sum <= _INT16_MAXIMUM:
            return "byte-multiply"
        return "pair"

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
        """Memory for what is prepared."""
        dtype = "int16" if self._method == "pair" else f"{'u' if self._shifted else ''}int8"
        return (Scratch("inputs", dtype, samples * self._steps * self._group),)

    def registers(self, samples: int) -> int:
        """Vector registers that the innermost loop needs."""
        return samples * (2 * self._layout.vectors + 1) + 2

    def prepare(self, operands: Operands, row: Any, samples: int) -> None:
        """Copy the inputs of the samples."""
        target = operands.scratch["inputs"]
        width = self._steps * self._group

        def convert(value: Any, lanes: int) -> Any:
            if self._method == "pair":
                return value.astype(tir.vector_type("int16", lanes))
            if not self._shifted:
                return value
            unsigned = tir.reinterpret(value, "uint8", lanes)
            return unsigned ^ tir.constant(_OFFSET, "uint8", lanes)

        for sample in range(samples):
            for index in range(self._inputs, width):
                tir.store(target, tirx.const(0, target.dtype), sample * width + index, 1)
            tir.copy_inputs(
                target,
                sample * width,
                operands.x,
                row + sample,
                self._inputs,
                convert,
                self._isa.copy_lanes,
            )

    def add(self, operands: Operands, row: Any, block: Any, totals: Totals) -> None:
        """Add the dot products of one block of neurons to the totals."""
        if self._method == "byte-multiply":
            self._add_flushed(operands, block, totals)
        else:
            with tir.loop(self._steps) as step:
                self._step(operands, block, step, totals)

    def _step(self, operands: Operands, block: Any, step: Any, totals: Totals) -> None:
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

    def _add_flushed(self, operands: Operands, block: Any, totals: Totals) -> None:
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
