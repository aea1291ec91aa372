"""What the forms that compute every neuron share: neuron order, readout, and the block loop.

Neurons lie in lanes. They are sorted by the outputs they feed, so that with one-against-rest
readouts (about one non-zero weight a neuron) an output reads only the vectors that concern it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler import tir
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.compiler.output_lanes import LOOP, MULTIPLICATION, OutputLanes
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

__all__ = ["NeuronLayout", "Readout", "quadratic_and_readout", "with_blocks"]


def quadratic_and_readout(network: QuantizedNetwork) -> tuple[QuadraticLayer, ReadoutLayer]:
    """The two layers of a network of one quadratic layer and one readout."""
    layer, readout = network.layers
    if not isinstance(layer, QuadraticLayer) or not isinstance(readout, ReadoutLayer):
        raise TypeError("expected a quadratic layer and a readout")
    return layer, readout


@dataclass(frozen=True, eq=False)
class NeuronLayout:
    """How m neurons lie in vectors.

    Attributes:
        order: neuron of each used position, (m,).
        lanes: neurons in a vector.
        vectors: vectors in a block of the neuron loop.
        blocks: number of blocks; positions behind the last neuron have zero weights.
    """

    order: NDArray[np.intp]
    lanes: int
    vectors: int
    blocks: int

    @classmethod
    def of(cls, readout: ReadoutLayer, lanes: int, vectors: int) -> "NeuronLayout":
        """Layout for a readout, with at most `vectors` vectors a block.

        Fewer vectors a block are taken where that leaves fewer empty positions.
        """
        used = readout.weights != 0
        order = np.lexsort(used.T[::-1])[::-1]
        needed = -(-readout.inputs // lanes)
        best = min(range(1, vectors + 1), key=lambda v: (-(-needed // v) * v, -v))
        return cls(order, lanes, best, -(-needed // best))

    @property
    def positions(self) -> int:
        """Neurons including the empty positions."""
        return self.lanes * self.vectors * self.blocks

    def place(self, array: NDArray[np.integer]) -> NDArray[np.integer]:
        """Rows (m, …) put into position order and padded with zeros: (positions, …)."""
        placed = np.zeros((self.positions, *array.shape[1:]), dtype=array.dtype)
        placed[: len(self.order)] = array[self.order]
        return placed


class Readout:
    """Readout of neurons that lie in scratch memory.

    Neurons lie in lanes, and vectors without weights are skipped; or outputs do, where that counts
    less.

    Args:
        network: the network.
        layout: how the neurons lie.
        isa: instruction set to choose for; neurons in lanes and the narrowest weights when None.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        layout: NeuronLayout,
        isa: InstructionSet | None = None,
    ) -> None:
        self._layout = layout
        _, readout = quadratic_and_readout(network)
        self._dtype = network.score_dtype
        self._outputs = network.outputs
        self.product = network.accumulators[0]["product"]
        narrow = np.dtype(f"int{readout.weight_bits}")
        weights = layout.place(readout.weights).T.reshape(network.outputs, -1, layout.lanes)
        needed = weights.any(axis=2)
        outputs, vectors = np.nonzero(needed)
        starts = np.concatenate(([0], np.cumsum(needed.sum(axis=1)))).astype(np.int32)
        if not len(outputs):
            outputs, vectors = np.zeros(1, dtype=int), np.zeros(1, dtype=int)
        self._mean_vectors = float(starts[-1]) / network.outputs
        self._output_lanes: OutputLanes | None = None
        if isa is not None and isa.word_products is not None:
            if layout.lanes == isa.lanes:
                # Four bytes would be widened lane by lane; of sixteen, whole registers are.
                narrow = np.dtype(np.int32)
            rows = OutputLanes(
                layout.place(readout.weights)[: readout.inputs],
                readout.bias,
                self._dtype,
                isa,
                layout.positions,
            )
            others = self._cost(isa, int(starts[-1]), narrow)
            if self.product == "int32" and rows.fits and rows.cost < others:
                self._output_lanes = rows
                self.constants: tuple[Constant, ...] = rows.constants
                return
        self.constants = (
            Constant("readout_start", starts),
            Constant("readout_position", (vectors * layout.lanes).astype(np.int32)),
            Constant("readout_weight", weights[outputs, vectors].astype(narrow).ravel()),
            Constant("readout_bias", readout.bias.astype(self._dtype)),
        )

    def _cost(self, isa: InstructionSet, vectors: int, weight: np.dtype[Any]) -> int:
        """As `OutputLanes.cost`, of neurons in lanes and weights of a type in so many vectors."""

        def registers(dtype: Any) -> int:
            size = self._layout.lanes * np.dtype(dtype).itemsize
            return -(-size * 8 // isa.vector_bits)

        steps = [
            dtype for dtype in ("int16", "int32") if np.dtype(dtype).itemsize > weight.itemsize
        ]
        widening = sum(registers(dtype) for dtype in steps)
        totals = registers(self._dtype)
        loads = 1 + registers("int32") + registers(weight)
        # An output clears its totals, adds them up, then their lanes, then the bias; it is stored.
        ends = 2 * totals + 3 + LOOP
        products = totals * MULTIPLICATION[self._dtype]
        return vectors * (loads + widening + products + LOOP) + self._outputs * ends

    def scratch(self, samples: int) -> Scratch:
        """Memory for the neurons of a block of samples."""
        return Scratch("neurons", self.product, samples * self._layout.positions)

    def emit(self, operands: Operands, row: Any, samples: int) -> None:
        """Write the scores of the samples whose neurons are in scratch memory."""
        if self._output_lanes is not None:
            self._output_lanes.emit(operands, row, samples)
            return
        lanes, dtype = self._layout.lanes, self._dtype
        wide = tir.vector_type(dtype, lanes)
        starts, positions, weights, bias = (
            operands.constants[constant.name] for constant in self.constants
        )
        neurons = operands.scratch["neurons"]
        with tir.loop(self._outputs) as output:
            totals = [tir.Accumulator(dtype, lanes) for _ in range(samples)]
            for total in totals:
                total.clear()
            with tir.loop(starts[output], starts[output + 1], trips=self._mean_vectors) as entry:
                weight = tir.bind(tir.load(weights, entry * lanes, lanes).astype(wide))
                first = tir.bind(positions[entry])
                for sample, total in enumerate(totals):
                    start = first + sample * self._layout.positions
                    value = tir.load(neurons, start, lanes).astype(wide)
                    total.set(total.value + value * weight)
            for sample, total in enumerate(totals):
                score = tir.reduce_add(total.value, dtype, lanes) + bias[output]
                tir.store(operands.scores, score, output, 1, row + sample)


def with_blocks(
    layout: NeuronLayout,
    neurons: Any,
    dtype: str,
    sums: Callable[[Any], Sequence[Sequence[tuple[Any, Any]]]],
) -> None:
    """Loop over the blocks of neurons and store the products of their two sums.

    Args:
        layout: how the neurons lie.
        neurons: scratch buffer for the products.
        dtype: integer type of the products.
        sums: writes the code for one block (its number is given) and gives, for each sample and
            vector, the two sums p and q as int32 vectors.
    """
    wide = tir.vector_type(dtype, layout.lanes)
    with tir.loop(layout.blocks) as block:
        for sample, pairs in enumerate(sums(block)):
            for vector, (left, right) in enumerate(pairs):
                position = (block * layout.vectors + vector) * layout.lanes
                product = left.astype(wide) * right.astype(wide)
                tir.store(neurons, product, sample * layout.positions + position, layout.lanes)
