"""The readout of neurons that lie in memory, for cores that compute one value at a time.

Dense readouts are computed for several outputs at once, so that a neuron is loaded once for all of
them; readouts that are mostly zero keep, for each output, the places of the others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import QuantizedNetwork

__all__ = ["MemoryReadout", "narrowest"]

_BLOCK = 5
"""Outputs at once: their sums, a weight, a neuron and the pointers stay in registers."""


def narrowest(values: NDArray[np.integer], *, signed: bool = True) -> NDArray[np.integer]:
    """The values in the narrowest standard type that holds them all."""
    kinds = ("int8", "int16", "int32") if signed else ("uint8", "uint16", "uint32")
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    kind = next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return values.astype(kind)


def _bytes(constants: Sequence[Constant]) -> int:
    return sum(constant.values.nbytes for constant in constants)


class MemoryReadout:
    """scores_k = b_k + Σ_j A_jk y_j of neurons y in scratch memory.

    Args:
        network: the network.

    Attributes:
        constants: weights and biases.
        sparse: whether only weights that are not zero are kept.
    """

    def __init__(self, network: QuantizedNetwork) -> None:
        _, readout = quadratic_and_readout(network)
        self._neurons, self._outputs = readout.weights.shape
        self._dtype = network.score_dtype
        self.product = network.accumulators[0]["product"]
        weights = narrowest(readout.weights.T)
        fits = bool((np.abs(readout.bias.astype(object)) < 2**31).all())
        bias = Constant("readout_bias", narrowest(readout.bias) if fits else readout.bias)
        rows, places = np.nonzero(weights)
        sparse = (
            Constant(
                "readout_start",
                narrowest(np.searchsorted(rows, np.arange(self._outputs + 1)), signed=False),
            ),
            Constant(
                "readout_place",
                narrowest(places, signed=False) if len(places) else np.zeros(1, dtype=np.uint8),
            ),
            Constant(
                "readout_weight",
                weights[rows, places] if len(places) else np.zeros(1, dtype=np.int8),
            ),
            bias,
        )
        dense = (Constant("readout_weight", weights.ravel()), bias)
        self.sparse = _bytes(sparse) < _bytes(dense)
        self.constants: tuple[Constant, ...] = sparse if self.sparse else dense
        self._mean = len(places) / self._outputs

    def scratch(self) -> Scratch:
        """Memory for the neurons."""
        return Scratch("neurons", self.product, self._neurons)

    def emit(self, operands: Operands) -> None:
        """Write the scores of the sample whose neurons are in scratch memory."""
        (self._emit_sparse if self.sparse else self._emit_dense)(operands)

    def _bias(self, operands: Operands, output: Any) -> Any:
        return operands.constants["readout_bias"][output].astype(self._dtype)

    def _emit_sparse(self, operands: Operands) -> None:
        starts, places, weights = (operands.constants[c.name] for c in self.constants[:3])
        neurons = operands.scratch["neurons"]
        with tir.loop(self._outputs) as output:
            total = tir.Accumulator(self._dtype, 1)
            total.set(self._bias(operands, output))
            first, last = (starts[output + k].astype("int32") for k in range(2))
            with tir.loop(first, last, trips=self._mean) as entry:
                value = neurons[places[entry].astype("int32")].astype(self._dtype)
                total.set(total.value + value * weights[entry].astype(self._dtype))
            tir.store(operands.scores, total.value, output, 1)

    def _emit_dense(self, operands: Operands) -> None:
        weights, neurons = operands.constants["readout_weight"], operands.scratch["neurons"]
        whole = self._outputs // _BLOCK

        def block(first: Any, outputs: int) -> None:
            totals = [tir.Accumulator(self._dtype, 1) for _ in range(outputs)]
            for place, total in enumerate(totals):
                total.set(self._bias(operands, first + place))
            with tir.loop(self._neurons) as neuron:
                value = tir.bind(neurons[neuron].astype(self._dtype))
                for place, total in enumerate(totals):
                    weight = weights[(first + place) * self._neurons + neuron]
                    total.set(total.value + value * weight.astype(self._dtype))
            for place, total in enumerate(totals):
                tir.store(operands.scores, total.value, first + place, 1)

        if whole:
            with tir.loop(whole) as number:
                block(number * _BLOCK, _BLOCK)
        if rest := self._outputs % _BLOCK:
            block(whole * _BLOCK, rest)
