"""Straight-line kernels: a few neurons a pass, their products, and the readout behind them.

How a pass sums is the matter of `pair_sums` and `subset_sums`. With one output the score is summed
on the way; with several the neurons go to memory and are read out at the end.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.compiler.mcu.digit_readout import DigitReadout, digits_suffice
from qdeploy.compiler.mcu.kernel import Part
from qdeploy.compiler.mcu.line_scores import DigitScore, MemoryScore, RegisterScore, digits_fit
from qdeploy.compiler.mcu.operations import barrier
from qdeploy.compiler.mcu.readout import MemoryReadout
from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import QuantizedNetwork

__all__ = ["HIGHEST_HALF", "LOWEST_HALF", "LineKernel", "stretches"]

_PART = 2048
"""Additions in one function: the schedulers of LLVM and GCC need the square of its length."""

LOWEST_HALF, HIGHEST_HALF = -(2**15), 2**15 - 1


def stretches(
    left: NDArray[np.int8], right: NDArray[np.int8], bias: NDArray[np.int64], *, exact: bool
) -> list[tuple[int, int]]:
    """Stretches of inputs whose half sums fit 16 bits for every int8 input.

    Args:
        left: u, (m, d).
        right: v, (m, d).
        bias: what the first stretch starts from, (2, m).
        exact: whether only xᵀu and xᵀv need to fit; otherwise every combination of signs has to.
    """
    sums = np.stack([left, right]).astype(np.int64)
    largest = 2 * np.abs(bias)
    low, high = (bias, bias) if exact else (-largest, largest)
    found, start = [], 0
    for index in range(left.shape[1]):
        weight = sums[:, :, index]
        down = np.where(weight > 0, -128, -127) if exact else np.full_like(low, -128)
        up = np.where(weight > 0, 127, 128) if exact else np.full_like(high, 128)
        if (low + down).min() < LOWEST_HALF or (high + up).max() > HIGHEST_HALF:
            found.append((start, index))
            start, low, high = index, np.zeros_like(low), np.zeros_like(high)
        low, high = low + down, high + up
    return [*found, (start, left.shape[1])]


class LineKernel(ABC):
    """A network of ±1 weights as straight-line code.

    Args:
        network: the network.
        extensions: of the core.
        at_once: most neurons of a pass.
    """

    reloads = True

    def __init__(self, network: QuantizedNetwork, extensions: frozenset[str], at_once: int) -> None:
        self.network = network
        self._extensions = extensions
        self._product = network.accumulators[0]["product"]
        self._score = network.score_dtype
        _, readout = quadratic_and_readout(network)
        self._weights = readout.weights[:, 0].astype(np.int64)
        self._start = int(readout.bias[0])
        self._readout = None if network.outputs == 1 else _readout(network, extensions)
        self._passes = list(_passes(network.layers[0].width, at_once))
        self.constants: tuple[Constant, ...] = (
            self._readout.constants if self._readout is not None else ()
        )
        self.scratch: tuple[Scratch, ...] = (
            (self._readout.scratch(),) if self._readout is not None else ()
        )

    @property
    def accumulators(self) -> Mapping[str, str]:
        """Widths, for the plan."""
        return {"dot": self._dot(), "product": self._product, "score": self._score}

    @abstractmethod
    def _dot(self) -> str: ...

    @abstractmethod
    def _products(self, operands: Operands, neurons: range) -> Sequence[Any]:
        """Of each neuron of a pass, xᵀu·xᵀv in the type of products."""

    def parts(self) -> Sequence[Part]:
        """Functions of up to `_PART` additions."""
        most = max(1, 2 * _PART // self.network.inputs)
        groups: list[list[range]] = [[]]
        for neurons in self._passes:
            if groups[-1] and neurons.stop - groups[-1][0].start > most:
                groups.append([])
            groups[-1].append(neurons)
        return [partial(self._part, group) for group in groups]

    def _part(self, passes: Sequence[range], operands: Operands) -> None:
        score = self._opened(operands, first=passes[0].start == 0)
        for neurons in passes:
            barrier()
            products = self._products(operands, neurons)
            if score is None:
                self._keep(operands, neurons, products)
                continue
            for neuron, product in zip(neurons, products, strict=True):
                score.add(product, int(self._weights[neuron]))
            score.end_pass()
        if score is not None:
            score.close()
        elif passes[-1] is self._passes[-1]:
            assert self._readout is not None
            self._readout.emit(operands)

    def _keep(self, operands: Operands, neurons: range, products: Sequence[Any]) -> None:
        """Put the neurons of a pass where the readout finds them."""
        if isinstance(self._readout, DigitReadout):
            for place in range(0, len(neurons), 2):
                one, other = (*products[place : place + 2], tirx.const(0, "int32"))[:2]
                self._readout.keep(operands, neurons[place] // 2, one, other)
            return
        for neuron, product in zip(neurons, products, strict=True):
            tir.store(operands.scratch["neurons"], product, neuron, 1)

    def _opened(self, operands: Operands, *, first: bool) -> RegisterScore | DigitScore | None:
        """What sums the only score; None for several."""
        if self._readout is not None:
            return None
        start = self._start if first else None
        if self._score == "int32":
            mla = "unaligned" in self._extensions
            return RegisterScore(operands, self._score, start, mla=mla)
        digits = self._product == "int32" and digits_fit(int(np.abs(self._weights).sum()))
        if digits and "long-multiply" not in self._extensions:
            return DigitScore(operands, start)
        return MemoryScore(operands, self._score, start, mla=False)


def _readout(network: QuantizedNetwork, extensions: frozenset[str]) -> MemoryReadout | DigitReadout:
    """By digits where the core can and most weights are not zero."""
    readout = MemoryReadout(network, long_multiply="long-multiply" in extensions)
    if "dsp" in extensions and not readout.sparse and digits_suffice(network):
        return DigitReadout(network)
    return readout


def _passes(neurons: int, at_once: int) -> Iterator[range]:
    """Passes of about the same even length."""
    start = 0
    for left in range(-(-neurons // at_once), 0, -1):
        length = -(-(neurons - start) // left)
        length = min(length + length % 2, neurons - start)
        yield range(start, start + length)
        start += length
