"""Matrix form: both int8 matrix products, neurons in lanes, then product and readout.

How the products are summed depends on the instructions: `qdeploy.compiler.products` broadcasts
inputs from memory, `element_products` takes them from lanes of registers, `tile_products` is SMMLA.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler import tir
from qdeploy.compiler.element_products import ElementProducts
from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Constant, Kernel, Operands, Scratch
from qdeploy.compiler.neurons import NeuronLayout, Readout, quadratic_and_readout, with_blocks
from qdeploy.compiler.products import BroadcastProducts, Products, Totals
from qdeploy.compiler.tile_products import TileProducts
from qdeploy.network import QuantizedNetwork

__all__ = ["MatrixForm"]

_LARGEST_INPUT = 255
"""Of inputs that are shifted to be unsigned; others are smaller."""


def _products(weights: NDArray[np.integer], isa: InstructionSet, layout: NeuronLayout) -> Products:
    inputs = weights.shape[2]
    if isa.tile_accumulate and inputs >= TileProducts.group:
        return TileProducts(weights, isa, layout)
    if isa.element_group and inputs >= isa.element_group:
        return ElementProducts(weights, isa, layout)
    return BroadcastProducts(weights, isa, layout)


class _MatrixKernel:
    def __init__(self, network: QuantizedNetwork, isa: InstructionSet, vectors: int) -> None:
        self.network = network
        layer, readout = quadratic_and_readout(network)
        self._layout = NeuronLayout.of(readout, isa.lanes, vectors if isa.lanes > 1 else 1)
        weights = self._layout.place(np.stack([layer.left, layer.right], axis=1))
        bias = self._layout.place(np.stack([layer.left_bias, layer.right_bias], axis=1))
        self._products = _products(weights, isa, self._layout)
        self._readout = Readout(network, self._layout, isa)
        shifted = bias.astype(np.int64) - self._products.offset
        self.constants: tuple[Constant, ...] = (
            Constant("weights", self._products.weights),
            Constant("bias", shifted.T.astype(np.int32).ravel()),
            *self._readout.constants,
        )
        self.accumulators = {
            "dot": self._products.widths,
            "product": self._readout.product,
            "score": network.score_dtype,
        }

    def scratch(self, samples: int) -> tuple[Scratch, ...]:
        return (*self._products.scratch(samples), self._readout.scratch(samples))

    def registers(self, samples: int) -> int:
        return self._products.registers(samples)

    def emit(self, operands: Operands, row: Any, samples: int) -> None:
        self._products.prepare(operands, row, samples)

        def sums(block: Any) -> Sequence[Sequence[tuple[Any, Any]]]:
            totals = self._biased(operands, block, samples)
            self._products.add(operands, row, block, totals)
            return [[(pair[0].value, pair[1].value) for pair in pairs] for pairs in totals]

        with_blocks(self._layout, operands.scratch["neurons"], self._readout.product, sums)
        self._readout.emit(operands, row, samples)

    def _biased(self, operands: Operands, block: Any, samples: int) -> Totals:
        """Accumulators of one block of neurons that hold the bias."""
        lanes, vectors = self._layout.lanes, self._layout.vectors
        totals = [
            [[tir.Accumulator("int32", lanes) for _ in range(2)] for _ in range(vectors)]
            for _ in range(samples)
        ]
        for vector in range(vectors):
            for side in range(2):
                start = side * self._layout.positions + (block * vectors + vector) * lanes
                value = tir.bind(tir.load(operands.constants["bias"], start, lanes))
                for sample in range(samples):
                    totals[sample][vector][side].set(value)
        return totals


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
            largest = np.abs(weights.astype(np.int64)).sum(axis=1) * _LARGEST_INPUT
            if int((largest + np.abs(bias.astype(np.int64))).max()) >= 2**30:
                return "its dot products may not fit 32 bits"
        return _MatrixKernel(network, isa, vectors or self.block_vectors[0])


FORMS.register(MatrixForm.name)(MatrixForm())
