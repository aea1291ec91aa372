"""The readout of neurons that lie in memory, for cores that compute one value at a time.

Dense readouts are computed for several outputs at once, so that a neuron is loaded once for all of
them; readouts that are mostly zero keep, for each output, the places of the others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.compiler.mcu.operations import call
from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import QuantizedNetwork

__all__ = ["MemoryReadout", "narrowest"]

_BLOCK = 5
"""Outputs at once: their sums, a weight, a neuron and the pointers stay in registers."""

_HALF = 16


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
        long_multiply: whether a product of 64 bits is an instruction. Where it is a function, two
            sums of the neurons' halves take its place if they fit 32 bits.

    Attributes:
        constants: weights and biases.
        sparse: whether only weights that are not zero are kept.
    """

    def __init__(self, network: QuantizedNetwork, *, long_multiply: bool = True) -> None:
        _, readout = quadratic_and_readout(network)
        self._neurons, self._outputs = readout.weights.shape
        self._dtype = network.score_dtype
        self.product = network.accumulators[0]["product"]
        weights = narrowest(readout.weights.T)
        largest = int(np.abs(readout.weights.astype(object)).sum(axis=0).max())
        self._halves = (
            not long_multiply
            and (self._dtype, self.product) == ("int64", "int32")
            and largest < 2**31 / 2**_HALF
        )
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
            total = self._sum(operands, output)
            first, last = (starts[output + k].astype("int32") for k in range(2))
            with tir.loop(first, last, trips=self._mean) as entry:
                total.add(neurons[places[entry].astype("int32")], weights[entry])
            tir.store(operands.scores, total.value, output, 1)

    def _emit_dense(self, operands: Operands) -> None:
        weights, neurons = operands.constants["readout_weight"], operands.scratch["neurons"]
        size = 1 if self._halves else _BLOCK
        whole = self._outputs // size

        def block(first: Any, outputs: int) -> None:
            totals = [self._sum(operands, first + place) for place in range(outputs)]
            with tir.loop(self._neurons) as neuron:
                value = tir.bind(neurons[neuron])
                for place, total in enumerate(totals):
                    total.add(value, weights[(first + place) * self._neurons + neuron])
            for place, total in enumerate(totals):
                tir.store(operands.scores, total.value, first + place, 1)

        if whole:
            with tir.loop(whole) as number:
                block(number * size, size)
        if rest := self._outputs % size:
            block(whole * size, rest)

    def _sum(self, operands: Operands, output: Any) -> "_Sum | _HalfSums":
        bias = self._bias(operands, output)
        return _HalfSums(bias) if self._halves else _Sum(bias, self._dtype)


class _Sum:
    """A score in the making."""

    def __init__(self, start: Any, dtype: str) -> None:
        self._dtype = dtype
        self._total = tir.Accumulator(dtype, 1)
        self._total.set(start)

    def add(self, neuron: Any, weight: Any) -> None:
        """Add a weighted neuron."""
        product = neuron.astype(self._dtype) * weight.astype(self._dtype)
        self._total.set(self._total.value + product)

    @property
    def value(self) -> Any:
        """The score."""
        return self._total.value


class _HalfSums:
    """A score of 64 bits as sums of the lower and the upper halves of neurons of 32."""

    def __init__(self, start: Any) -> None:
        self._start = start
        self._sums = [tir.Accumulator("int32", 1) for _ in range(2)]
        for total in self._sums:
            total.clear()

    def add(self, neuron: Any, weight: Any) -> None:
        """Add a weighted neuron."""
        value, factor = tir.bind(neuron), tir.bind(weight.astype("int32"))
        low = value.astype("uint16").astype("int32")
        high = value >> tirx.const(_HALF, "int32")
        for total, half in zip(self._sums, (low, high), strict=True):
            # An addition that compilers know would be widened to 64 bits, with the product.
            total.set(call("add", total.value, tir.bind(half * factor)))

    @property
    def value(self) -> Any:
        """The score."""
        low, high = (total.value.astype("int64") for total in self._sums)
        return self._start + low + high * tirx.const(1 << _HALF, "int64")
