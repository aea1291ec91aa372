"""Dot products whose inputs stay in registers: an instruction takes a group of them from a lane.

Signed bytes go in as they come, sixteen at a time and straight from the samples. SDOT sums four
products into an int32 lane. Without it SMULL and SMLAL sum the products of every second input in
int16 lanes for as long as these cannot overflow, and SADALP adds neighbours to int32.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler import tir
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Operands, Scratch
from qdeploy.compiler.neurons import NeuronLayout
from qdeploy.compiler.products import Totals
from qdeploy.network import INPUT_MAGNITUDE

__all__ = ["REGISTER_BYTES", "ElementProducts", "Pieces", "flat"]

REGISTER_BYTES = 16
_INT16_MAXIMUM = 2**15 - 1


@dataclass(frozen=True)
class Pieces:
    """The d inputs of a sample as vectors of equal width; the last one may overlap.

    Attributes:
        inputs: number of inputs d.
        group: inputs that one lane's instruction multiplies.
    """

    inputs: int
    group: int

    @property
    def width(self) -> int:
        """Inputs in a vector: the largest power of two that a register and d hold."""
        return min(REGISTER_BYTES, 1 << (self.inputs.bit_length() - 1))

    @property
    def whole(self) -> int:
        """Vectors that do not overlap."""
        return self.inputs // self.width

    @property
    def words(self) -> int:
        """Groups in a vector."""
        return self.width // self.group

    @property
    def rest(self) -> int:
        """Groups of the last vector, at its end, that hold inputs no other vector has."""
        return -(-(self.inputs % self.width) // self.group)

    @property
    def steps(self) -> int:
        """Groups in all."""
        return self.whole * self.words + self.rest

    def select(self, weights: NDArray[np.integer]) -> NDArray[np.integer]:
        """Weights (…, d) in the order of the groups, zero for what is seen twice: (…, steps, g)."""
        seen = self.whole * self.width
        order = np.r_[0:seen, self.inputs - self.rest * self.group : self.inputs]
        chosen = weights[..., order]
        chosen[..., seen:] *= order[seen:] >= seen
        return chosen.reshape(*weights.shape[:-1], self.steps, self.group)


class ElementProducts:
    """Neurons in lanes, a group of inputs for all of them from a lane of the sample's vector.

    Args:
        weights: int8 (positions, side, d), at least one group of inputs.
        isa: instruction set with signed dot products, or with widening products of bytes.
        layout: how the neurons lie, four in a vector.
    """

    def __init__(
        self, weights: NDArray[np.integer], isa: InstructionSet, layout: NeuronLayout
    ) -> None:
        self._isa = isa
        self._layout = layout
        self._group = isa.element_group
        self._pieces = pieces = Pieces(weights.shape[2], self._group)
        shape = (layout.blocks, layout.vectors, layout.lanes, 2, pieces.steps, self._group)
        split = pieces.select(weights).reshape(shape)
        self.weights = np.ascontiguousarray(split.transpose(0, 4, 1, 3, 2, 5)).ravel()
        self.offset = np.zeros(weights.shape[:2], dtype=np.int64)
        self.widths = "int32" if self._isa.byte_accumulate else "int16, int32"
        largest = max(1, int(np.abs(weights.astype(np.int64)).max()))
        self._flush = _INT16_MAXIMUM // (INPUT_MAGNITUDE * largest)

    def scratch(self, samples: int) -> tuple[Scratch, ...]:
        """Memory for what is prepared."""
        return ()

    def registers(self, samples: int) -> int:
        """Vector registers that the innermost loop needs."""
        return samples * (2 * self._layout.vectors + 1) + 2

    def prepare(self, operands: Operands, row: Any, samples: int) -> None:
        """Inputs are read where they are."""

    def add(self, operands: Operands, row: Any, block: Any, totals: Totals) -> None:
        """Add the dot products of one block of neurons to the totals."""
        if self._isa.byte_accumulate:
            self._all_pieces(operands, row, block, totals)
        elif self._pieces.steps <= self._flush:
            with self._narrow(totals) as narrow:
                self._all_pieces(operands, row, block, narrow)
        else:
            self._stretches(operands, row, block, totals)

    def _all_pieces(self, operands: Operands, row: Any, block: Any, sums: Totals) -> None:
        with tir.loop(self._pieces.whole) as number:
            self._piece(operands, row, block, number, sums)
        self._rest(operands, row, block, sums)

    def _stretches(self, operands: Operands, row: Any, block: Any, totals: Totals) -> None:
        """As many groups at once as int16 lanes hold."""
        pieces, words = self._pieces, self._pieces.words

        def several(first: Any, count: int) -> None:
            with self._narrow(totals) as narrow, tir.loop(count) as number:
                self._piece(operands, row, block, first + number, narrow)

        if self._flush >= words:
            size = self._flush // words
            stretches, left = divmod(pieces.whole, size)
            if stretches:
                with tir.loop(stretches) as number:
                    several(number * size, size)
            if left:
                several(stretches * size, left)
            if pieces.rest:
                with self._narrow(totals) as narrow:
                    self._rest(operands, row, block, narrow)
            return
        with tir.loop(pieces.whole) as number:
            for first in range(0, words, self._flush):
                part = range(first, min(first + self._flush, words))
                with self._narrow(totals) as narrow:
                    self._piece(operands, row, block, number, narrow, part)
        for first in range(0, pieces.rest, self._flush):
            part = range(first, min(first + self._flush, pieces.rest))
            with self._narrow(totals) as narrow:
                self._rest(operands, row, block, narrow, part)

    @contextmanager
    def _narrow(self, totals: Totals) -> Iterator[Totals]:
        """Sums in int16 lanes, two for each neuron; added to the totals at the end."""
        lanes = 2 * self._layout.lanes
        narrow = [
            [[tir.Accumulator("int16", lanes) for _ in pair] for pair in pairs] for pairs in totals
        ]
        for part in flat(narrow):
            part.clear()
        yield narrow
        for total, part in zip(flat(totals), flat(narrow), strict=True):
            widened = tir.intrinsic(
                str(self._isa.pair_widen), "int32", self._layout.lanes, part.value
            )
            total.set(total.value + widened)

    def _piece(
        self,
        operands: Operands,
        row: Any,
        block: Any,
        number: Any,
        sums: Totals,
        words: range | None = None,
    ) -> None:
        """Groups of one whole vector of inputs; all of them by default."""
        pieces = self._pieces
        every = range(pieces.words) if words is None else words
        steps = [(word, number * pieces.words + word) for word in every]
        self._steps(operands, row, block, number * pieces.width, steps, sums)

    def _rest(
        self, operands: Operands, row: Any, block: Any, sums: Totals, words: range | None = None
    ) -> None:
        """Groups of the last vector of inputs that no other has; all of them by default."""
        pieces = self._pieces
        every = range(pieces.rest) if words is None else words
        first = pieces.words - pieces.rest
        steps = [(first + word, pieces.whole * pieces.words + word) for word in every]
        if steps:
            self._steps(operands, row, block, pieces.inputs - pieces.width, steps, sums)

    def _steps(
        self,
        operands: Operands,
        row: Any,
        block: Any,
        start: Any,
        steps: Sequence[tuple[int, Any]],
        sums: Totals,
    ) -> None:
        """Some groups of the inputs that start there: (number in the vector, number in all)."""
        width, group = self._pieces.width, self._group
        values = [
            tir.bind(
                tir.reinterpret(
                    tir.load(operands.x, start, width, row + sample),
                    f"int{8 * group}",
                    width // group,
                )
            )
            for sample in range(len(sums))
        ]
        for word, step in steps:
            inputs = [tir.splat(value, word, REGISTER_BYTES // group) for value in values]
            inputs = [tir.bind(tir.reinterpret(value, "int8", REGISTER_BYTES)) for value in inputs]
            for vector in range(self._layout.vectors):
                number = (block * self._pieces.steps + step) * self._layout.vectors + vector
                self._vector(operands, number, inputs, [row[vector] for row in sums])

    def _vector(
        self,
        operands: Operands,
        number: Any,
        inputs: Sequence[Any],
        sums: Sequence[list[tir.Accumulator]],
    ) -> None:
        """Both sides of one vector of neurons, for every sample."""
        weights = operands.constants["weights"]
        lanes = self._layout.lanes
        if self._isa.byte_accumulate:
            for side in range(2):
                start = (2 * number + side) * REGISTER_BYTES
                weight = tir.bind(tir.load(weights, start, REGISTER_BYTES))
                for value, pair in zip(inputs, sums, strict=True):
                    pair[side].set(
                        tir.intrinsic(
                            self._isa.byte_accumulate,
                            "int32",
                            lanes,
                            pair[side].value,
                            weight,
                            value,
                        )
                    )
            return
        # Both sides are the halves of one register.
        weight = tir.bind(tir.load(weights, number * REGISTER_BYTES, REGISTER_BYTES))
        for side in range(2):
            half = range(side * REGISTER_BYTES // 2, (side + 1) * REGISTER_BYTES // 2)
            for value, pair in zip(inputs, sums, strict=True):
                product = tir.intrinsic(
                    str(self._isa.byte_products),
                    "int16",
                    2 * lanes,
                    tir.shuffle([weight], half),
                    tir.shuffle([value], half),
                )
                pair[side].set(pair[side].value + product)


def flat(sums: Totals) -> list[tir.Accumulator]:
    """The accumulators, one behind the other."""
    return [total for pairs in sums for pair in pairs for total in pair]
