"""Straight-line sums of subsets of the inputs, xᵀu and xᵀv of a neuron in the halves of a word.

With the sum T of all inputs, xᵀu = 2·Σ_{u_i=+1} x_i - T. So an input is added to both halves, to
one of them, or not at all: x·(1 + 2^16), x, 2^16·x or nothing. Signs of u and v are turned such
that the last is the most frequent. That is about 0.7·d·m additions into one register a neuron, for
cores without dual additions: ordinary ones on a + 2^16·b are exact modulo 2^16 in both halves, and
the borrow is undone at the end.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Operands, Scratch
from qdeploy.compiler.mcu.line import LineKernel, stretches
from qdeploy.compiler.mcu.operations import barrier, call
from qdeploy.compiler.mcu.signs import SignRows
from qdeploy.network import QuantizedNetwork

__all__ = ["SubsetSums"]


def _at_once(extensions: frozenset[str]) -> int:
    """Neurons whose sums stay in registers together, beside pointers, words and the sum of all."""
    return 20 if "many-registers" in extensions else 8


class SubsetSums(LineKernel):
    """About 0.7·d·m additions.

    Args:
        network: the network, of ±1 weights.
        rows: its weights.
        extensions: of the core.
    """

    def __init__(
        self, network: QuantizedNetwork, rows: SignRows, extensions: frozenset[str]
    ) -> None:
        super().__init__(network, extensions, _at_once(extensions))
        self._shifts = "unaligned" in extensions
        self._rows = rows
        sides = rows.rows.reshape(-1, 2, rows.size).astype(np.int8)
        self._signs = np.stack([_signs(neuron) for neuron in sides])
        sides = sides * self._signs[:, :, None]
        self._positive = sides > 0
        magnitude = np.zeros((2, len(sides)), dtype=np.int64)
        self._stretches = stretches(sides[:, 0], sides[:, 1], magnitude, exact=True)
        if len(self._passes) > 1:
            self.scratch = (Scratch("totals", "int32", len(self._stretches)), *self.scratch)
        if network.outputs == 1:
            self._weights = self._weights * self._signs.prod(axis=1)

    def _dot(self) -> str:
        return "int16" if len(self._stretches) == 1 else "int32"

    def _products(self, operands: Operands, neurons: range) -> Sequence[Any]:
        sums: list[tuple[Any, Any]] = []
        for number in range(len(self._stretches)):
            known = sums
            sums = self._stretch(operands, neurons, number)
            if known:
                sums = [
                    (tir.bind(a + c), tir.bind(b + d))
                    for (a, b), (c, d) in zip(known, sums, strict=True)
                ]
        return [
            self._product_of(neuron, p, q) for neuron, (p, q) in zip(neurons, sums, strict=True)
        ]

    def _product_of(self, neuron: int, p: Any, q: Any) -> Any:
        bias = self._rows.bias[2 * neuron : 2 * neuron + 2] * self._signs[neuron]
        if bias.any():
            p, q = (
                tir.bind(value + tirx.const(int(b), "int32"))
                for value, b in zip((p, q), bias, strict=True)
            )
        product = p.astype(self._product) * q.astype(self._product)
        if self.network.outputs > 1 and self._signs[neuron].prod() < 0:
            product = tirx.const(0, self._product) - product
        return tir.bind(product)

    def _stretch(self, operands: Operands, neurons: range, number: int) -> list[tuple[Any, Any]]:
        """The sums ±xᵀu and ±xᵀv over a stretch of inputs, int32."""
        sums: list[Any] = [None] * len(neurons)
        total: Any = None
        first = neurons.start == 0
        for index in range(*self._stretches[number]):
            value = self._input(operands, index)
            upper = None if self._shifts else tir.bind(value * tirx.const(1 << 16, "int32"))
            both = tir.bind(
                value + (value * tirx.const(1 << 16, "int32") if self._shifts else upper)
            )
            words = {(True, True): both, (True, False): value, (False, True): upper}
            for place, neuron in enumerate(neurons):
                left, right = (bool(sign) for sign in self._positive[neuron, :, index])
                if left or right:
                    sums[place] = _add(sums[place], words[left, right], value)
            if first:
                total = _add(total, both, value)
        if not first:
            total = tir.bind(operands.scratch["totals"][number])
        elif len(self._passes) > 1:
            tir.store(operands.scratch["totals"], total, number, 1)
        return [self._halves(word, total) for word in sums]

    def _input(self, operands: Operands, index: int) -> Any:
        if index == self.network.inputs:
            return tirx.const(self._rows.constant or 0, "int32")
        # Loads would otherwise gather in front of the sums and take their registers.
        barrier()
        return tir.bind(operands.x[index].astype("int32"))

    def _halves(self, subset: Any, total: Any) -> tuple[Any, Any]:
        """Twice the sum of a subset less the sum of all: its halves as int32 values."""
        known = tirx.const(0, "int32") if subset is None else subset
        if self._shifts:
            word = call("doubled_less", known, total)
        else:
            word = call("sub", call("add", known, known), total)
        low = tir.bind(word.astype("int16").astype("int32"))
        # A negative low half has borrowed from the high one.
        return low, tir.bind((word - low) >> tirx.const(16, "int32"))


def _add(total: Any, word: Any, value: Any) -> Any:
    """The sum with a word, or with 2^16 times the value where there is no such word."""
    if word is not None:
        return word if total is None else call("add", total, word)
    if total is None:
        return tir.bind(value * tirx.const(1 << 16, "int32"))
    return call("add_upper", total, value)


def _signs(neuron: Any) -> Any:
    """The signs of u and v, (2,), that make (-1, -1) the most frequent pattern of a neuron."""
    patterns = [np.array(signs, dtype=np.int8) for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    counts = [int((neuron == -signs[:, None]).all(axis=0).sum()) for signs in patterns]
    return patterns[int(np.argmax(counts))]
