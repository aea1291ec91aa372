"""Dot products with registers of two neurons by eight inputs, for SMMLA and for SDOT alike.

SMMLA multiplies such a register with eight inputs of two samples and adds to four sums, so samples
are taken in pairs, whose inputs are copied beside each other. A sample without a partner is
multiplied by SDOT, whose lanes are halves of a neuron's sum.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler import tir
from qdeploy.compiler.element_products import REGISTER_BYTES, Pieces, flat
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Operands, Scratch
from qdeploy.compiler.neurons import NeuronLayout
from qdeploy.compiler.products import Totals

__all__ = ["TileProducts"]


class TileProducts:
    """Two neurons by eight inputs in a register.

    Args:
        weights: int8 (positions, side, d), d at least 8.
        isa: instruction set with signed dot products and the matrix product.
        layout: how the neurons lie, four in a vector.
    """

    widths = "int32"
    group = 8

    def __init__(
        self, weights: NDArray[np.integer], isa: InstructionSet, layout: NeuronLayout
    ) -> None:
        self._isa = isa
        self._layout = layout
        self._pieces = pieces = Pieces(weights.shape[2], self.group)
        shape = (layout.blocks, layout.vectors, layout.lanes, 2, pieces.steps, self.group)
        split = pieces.select(weights).reshape(shape)
        self.weights = np.ascontiguousarray(split.transpose(0, 4, 1, 3, 2, 5)).ravel()
        self.offset = np.zeros(weights.shape[:2], dtype=np.int64)

    def scratch(self, samples: int) -> tuple[Scratch, ...]:
        """Memory for what is prepared."""
        return () if samples % 2 else (Scratch("inputs", "int8", samples * self._bytes),)

    @property
    def _bytes(self) -> int:
        return self._pieces.steps * self.group

    def registers(self, samples: int) -> int:
        """Vector registers that the innermost loop needs."""
        halves = 2 if samples % 2 else 1
        return samples * (2 * halves * self._layout.vectors + 1) + 2

    def prepare(self, operands: Operands, row: Any, samples: int) -> None:
        """Pairs of samples, eight inputs of the one and then of the other."""
        if samples % 2:
            return
        target = operands.scratch["inputs"]
        pieces = self._pieces

        def interleave(sample: int, start: Any, step: Any, words: range) -> None:
            pair = [
                self._words(tir.load(operands.x, start, pieces.width, row + sample + k))
                for k in range(2)
            ]
            for number, word in enumerate(words):
                both = tir.shuffle(pair, [word, pieces.words + word])
                position = sample * self._bytes + (step + number) * REGISTER_BYTES
                tir.store(
                    target, tir.reinterpret(both, "int8", REGISTER_BYTES), position, REGISTER_BYTES
                )

        for sample in range(0, samples, 2):
            with tir.loop(pieces.whole) as piece:
                words = range(pieces.words)
                interleave(sample, piece * pieces.width, piece * pieces.words, words)
            if pieces.rest:
                words = range(pieces.words - pieces.rest, pieces.words)
                seen = pieces.whole * pieces.words
                interleave(sample, pieces.inputs - pieces.width, seen, words)

    def _words(self, value: Any) -> Any:
        return tir.bind(tir.reinterpret(value, "int64", self._pieces.words))

    def add(self, operands: Operands, row: Any, block: Any, totals: Totals) -> None:
        """Add the dot products of one block of neurons to the totals."""
        if len(totals) % 2:
            self._add_samples(operands, row, block, totals)
        else:
            self._add_pairs(operands, block, totals)

    def _add_pairs(self, operands: Operands, block: Any, totals: Totals) -> None:
        sums = self._cleared(len(totals) // 2)
        inputs = operands.scratch["inputs"]
        with tir.loop(self._pieces.steps) as step:
            values = [
                tir.bind(
                    tir.load(inputs, 2 * pair * self._bytes + step * REGISTER_BYTES, REGISTER_BYTES)
                )
                for pair in range(len(sums))
            ]
            self._step(operands, block, step, values, sums, str(self._isa.tile_accumulate))
        for number, total in enumerate(totals):
            for parts, pair in zip(sums[number // 2], total, strict=True):
                for side, accumulator in enumerate(pair):
                    halves = [part.value for part in parts[2 * side : 2 * side + 2]]
                    mine = tir.shuffle(halves, range(number % 2, 8, 2))
                    accumulator.set(accumulator.value + mine)

    def _add_samples(self, operands: Operands, row: Any, block: Any, totals: Totals) -> None:
        sums = self._cleared(len(totals))
        pieces = self._pieces

        def piece(start: Any, first: Any, words: range) -> None:
            values = [
                self._words(tir.load(operands.x, start, pieces.width, row + sample))
                for sample in range(len(totals))
            ]
            for number, word in enumerate(words):
                doubled = [tir.splat(value, word, 2) for value in values]
                inputs = [
                    tir.bind(tir.reinterpret(value, "int8", REGISTER_BYTES)) for value in doubled
                ]
                accumulate = str(self._isa.byte_accumulate)
                self._step(operands, block, first + number, inputs, sums, accumulate)

        with tir.loop(pieces.whole) as number:
            piece(number * pieces.width, number * pieces.words, range(pieces.words))
        if pieces.rest:
            words = range(pieces.words - pieces.rest, pieces.words)
            piece(pieces.inputs - pieces.width, pieces.whole * pieces.words, words)
        for sample, total in zip(sums, totals, strict=True):
            for parts, pair in zip(sample, total, strict=True):
                for side, accumulator in enumerate(pair):
                    halves = [part.value for part in parts[2 * side : 2 * side + 2]]
                    whole = tir.intrinsic(str(self._isa.pairwise_add), "int32", 4, *halves)
                    accumulator.set(accumulator.value + whole)

    def _cleared(self, rows: int) -> list[list[list[tir.Accumulator]]]:
        """Two sums for each side of each vector."""
        sums = [
            [[tir.Accumulator("int32", 4) for _ in range(4)] for _ in range(self._layout.vectors)]
            for _ in range(rows)
        ]
        for part in flat(sums):
            part.clear()
        return sums

    def _step(
        self,
        operands: Operands,
        block: Any,
        step: Any,
        inputs: Sequence[Any],
        sums: Totals,
        accumulate: str,
    ) -> None:
        """Eight inputs of every sample, or pair of samples, into every sum."""
        weights, vectors = operands.constants["weights"], self._layout.vectors
        for vector in range(vectors):
            for part in range(4):
                number = ((block * self._pieces.steps + step) * vectors + vector) * 4 + part
                weight = tir.bind(tir.load(weights, number * REGISTER_BYTES, REGISTER_BYTES))
                for value, rows in zip(inputs, sums, strict=True):
                    total = rows[vector][part]
                    total.set(tir.intrinsic(accumulate, "int32", 4, total.value, weight, value))
