"""The readout of several outputs by dual multiplications, for cores with SMLAD.

A neuron of 32 bits is two signed digits of 16, y = y_low + 2^16·y_high. The digits of two neurons
share a word, as the weights of two neurons do, so that one instruction adds two products to the sum
of a digit. Both sums of an output are proven to fit 32 bits and are joined at the end. That is 1.4
instructions a weight.
"""

from typing import Any

import numpy as np
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.compiler.mcu.operations import barrier, call
from qdeploy.compiler.mcu.words import split
from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import INPUT_MAGNITUDE, QuantizedNetwork

__all__ = ["DigitReadout", "digits_suffice"]

_OUTPUTS = 2
"""Outputs at once: two words of weights are one load, and four sums leave registers for them."""

_PAIRS = 8
"""Pairs of neurons in a turn of the loop."""

_DIGIT = 16
_HALF = 2 ** (_DIGIT - 1)
_INT32 = 2**31 - 1


def digits_suffice(network: QuantizedNetwork) -> bool:
    """Whether neurons have two digits and the sums of both fit 32 bits, for every input."""
    layer, readout = quadratic_and_readout(network)
    reach = [
        INPUT_MAGNITUDE * np.abs(side.astype(np.int64)).sum(axis=1) + np.abs(bias.astype(np.int64))
        for side, bias in ((layer.left, layer.left_bias), (layer.right, layer.right_bias))
    ]
    neurons = max(int(p) * int(q) for p, q in zip(*reach, strict=True))
    weights = np.abs(readout.weights.astype(object))
    bias = np.abs(readout.bias.astype(object)) // 2**_DIGIT + 1
    low = weights.sum(axis=0) * _HALF + np.maximum(bias, _HALF)
    scores = readout.magnitudes(layer.magnitudes(np.full(layer.inputs, INPUT_MAGNITUDE, object)))
    return (
        network.accumulators[0]["product"] == "int32"
        and neurons < _INT32 - _HALF
        and int(weights.max(initial=0)) < _HALF
        and max(low) <= _INT32
        # The upper digit is a score less a lower one: it must fit the type of scores too.
        and (network.score_dtype == "int64" or max(scores + low) <= _INT32)
    )


class DigitReadout:
    """scores_k = b_k + Σ_j A_jk y_j of neurons y whose digits are in scratch memory.

    Args:
        network: the network; `digits_suffice` holds.
    """

    def __init__(self, network: QuantizedNetwork) -> None:
        _, readout = quadratic_and_readout(network)
        neurons, self._outputs = readout.weights.shape
        self._pairs = -(-neurons // 2)
        self._dtype = network.score_dtype
        blocks = -(-self._outputs // _OUTPUTS)
        weights = np.zeros((2 * self._pairs, _OUTPUTS * blocks), dtype=np.int16)
        weights[:neurons, : self._outputs] = readout.weights
        # (block, pair, output of the block, neuron of the pair): 64 bits for a pair.
        order = weights.reshape(self._pairs, 2, blocks, _OUTPUTS).transpose(2, 0, 3, 1)
        words = np.ascontiguousarray(order).reshape(-1).view("<i8").astype(np.int64)
        low = (readout.bias + _HALF) % 2**_DIGIT - _HALF
        digits = np.stack([low, (readout.bias - low) >> _DIGIT], axis=1)
        self.constants = (
            Constant("readout_weight", words),
            Constant("readout_bias", digits.astype(np.int32).ravel()),
        )

    def scratch(self) -> Scratch:
        """Memory for the digits of the neurons."""
        return Scratch("neurons", "int32", 2 * self._pairs)

    def keep(self, operands: Operands, pair: Any, one: Any, other: Any) -> None:
        """Store two neurons; the last may have the constant 0 beside it."""
        rounding = tirx.const(_HALF, "int32")
        neurons = operands.scratch["neurons"]
        tir.store(neurons, call("pkhbt", one, other), 2 * pair, 1)
        high = call("pkhtb", tir.bind(other + rounding), tir.bind(one + rounding))
        tir.store(neurons, high, 2 * pair + 1, 1)

    def emit(self, operands: Operands) -> None:
        """Write the scores of the sample whose neurons' digits are in scratch memory."""
        whole = self._outputs // _OUTPUTS
        if whole:
            with tir.loop(whole) as number:
                self._block(operands, number, _OUTPUTS)
        if rest := self._outputs % _OUTPUTS:
            self._block(operands, whole, rest)

    def _block(self, operands: Operands, block: Any, outputs: int) -> None:
        first = block * _OUTPUTS
        bias = operands.constants["readout_bias"]
        barrier()
        sums = [[tir.Accumulator("int32", 1) for _ in range(2)] for _ in range(outputs)]
        for place, digits in enumerate(sums):
            for digit, total in enumerate(digits):
                total.set(bias[2 * (first + place) + digit])

        def add(pair: Any) -> None:
            words = [tir.bind(operands.scratch["neurons"][2 * pair + digit]) for digit in range(2)]
            both = tir.bind(operands.constants["readout_weight"][block * self._pairs + pair])
            for weight, digits in zip(split(both), sums, strict=False):
                for word, total in zip(words, digits, strict=True):
                    total.set(call("smlad", weight, word, total.value))

        turns = self._pairs // _PAIRS
        if turns:
            with tir.loop(turns) as turn:
                for place in range(_PAIRS):
                    add(turn * _PAIRS + place)
        for pair in range(turns * _PAIRS, self._pairs):
            add(pair)
        for place, (low, high) in enumerate(sums):
            upper = high.value.astype(self._dtype) * tirx.const(2**_DIGIT, self._dtype)
            tir.store(operands.scores, upper + low.value.astype(self._dtype), first + place, 1)
