"""Straight-line code: the weights are the instructions, one for an input and a pair of neurons.

An input lies in both halves of a word, one half for each of two neurons A and B. With u = ±v in a
neuron, an input belongs to s (u = v) or to t (u = -v), so for two neurons to one of four sums with
two halves: ss = (s_A, s_B), st = (s_A, t_B), ts, tt. Its two signs choose one of four dual
additions. That is d·m/2 additions for 2·d·m weights. At the end

    p = s + t,  q = s - t,  (xᵀu)(xᵀv) = p·q.

Cores without dual additions take ordinary ones on a + 2^16·b, with two words an input, x·(1 + 2^16)
and x·(1 - 2^16): both halves of the sum are exact modulo 2^16, and the borrow is undone at the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.mcu.kernel import McuKernel, Part
from qdeploy.compiler.mcu.operations import barrier, call
from qdeploy.compiler.mcu.readout import MemoryReadout
from qdeploy.compiler.mcu.signs import has_only_signs
from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import QuantizedNetwork

__all__ = ["StraightLineForm"]

_LARGEST_CODE = 2**17
"""Dual additions of one model: more would be half a megabyte of code."""

_PART = 2048
"""Additions in one function: the schedulers of LLVM and GCC need the square of its length."""

_LOWEST, _HIGHEST = -(2**15), 2**15 - 1


@dataclass(frozen=True, eq=False)
class _Arithmetic:
    """How a core adds to both halves of a word.

    Attributes:
        words: words an input has in scratch memory.
        pairs: neuron pairs whose sums stay in registers together.
        group: inputs that are loaded together.
    """

    words: int
    pairs: int
    group: int


_DUAL = _Arithmetic(words=1, pairs=2, group=2)
_PLAIN = _Arithmetic(words=2, pairs=2, group=1)
_NARROW = _Arithmetic(words=2, pairs=1, group=1)
"""For the eight registers that the first Thumb instruction set computes with."""

_DUAL_OPERATION = {(1, 1): "sadd16", (-1, -1): "ssub16", (1, -1): "ssax", (-1, 1): "sasx"}


def _segments(
    left: NDArray[np.int8], right: NDArray[np.int8], bias: NDArray[np.int64], *, exact: bool
) -> list[tuple[int, int]]:
    """Stretches of inputs whose half sums fit 16 bits for every int8 input.

    Args:
        left: u, (m, d).
        right: v, (m, d).
        bias: what the first stretch starts from, (2, m).
        exact: whether only p and q need to fit; otherwise every combination of signs has to.
    """
    sums = np.stack([left, right]).astype(np.int64)
    largest = 2 * np.abs(bias)
    low, high = (bias, bias) if exact else (-largest, largest)
    segments, start = [], 0
    for index in range(left.shape[1]):
        weight = sums[:, :, index]
        down = np.where(weight > 0, -128, -127) if exact else np.full_like(low, -128)
        up = np.where(weight > 0, 127, 128) if exact else np.full_like(high, 128)
        if (low + down).min() < _LOWEST or (high + up).max() > _HIGHEST:
            segments.append((start, index))
            start, low, high = index, np.zeros_like(low), np.zeros_like(high)
        low, high = low + down, high + up
    return [*segments, (start, left.shape[1])]


class _StraightLineKernel:
    reloads = True

    def __init__(self, network: QuantizedNetwork, arithmetic: _Arithmetic) -> None:
        self.network = network
        self._arithmetic = arithmetic
        layer, readout = quadratic_and_readout(network)
        self._left, self._right = layer.left, layer.right
        bias = np.stack([layer.left_bias, layer.right_bias]).astype(np.int64)
        # s and t start from half the sum and half the difference, where those are integers.
        self._inside = bool(((bias[0] + bias[1]) % 2 == 0).all()) and int(abs(bias).max()) < 2**12
        self._bias = bias
        self._segments = _segments(
            layer.left,
            layer.right,
            bias if self._inside else np.zeros_like(bias),
            exact=arithmetic.words == 1,
        )
        self._product = network.accumulators[0]["product"]
        self._weights = readout.weights
        self._start = int(readout.bias[0])
        self._readout = None if network.outputs == 1 else MemoryReadout(network)
        self.constants: tuple[Constant, ...] = (
            self._readout.constants if self._readout is not None else ()
        )
        words = Scratch("words", "int32", network.inputs * arithmetic.words)
        self.scratch = (words,) if self._readout is None else (words, self._readout.scratch())
        self.accumulators: Mapping[str, str] = {
            "dot": "int16" if len(self._segments) == 1 else "int32",
            "product": self._product,
            "score": network.score_dtype,
        }

    def parts(self) -> Sequence[Part]:
        """Functions of up to `_PART` additions: the first spreads, the last reads out."""
        neurons, step = self.network.layers[0].width, 2 * self._arithmetic.pairs
        length = max(step, 2 * _PART // self.network.inputs // step * step)
        starts = range(0, neurons, length)
        return [
            partial(self._part, range(start, min(start + length, neurons)), step)
            for start in starts
        ]

    def _part(self, neurons: range, step: int, operands: Operands) -> None:
        """Some neurons; few at a time, as many as there are registers for."""
        first, last = neurons.start == 0, neurons.stop == self.network.layers[0].width
        if first:
            self._spread(operands)
        wide = self.network.score_dtype == "int64"
        total: Any = None
        for start in range(neurons.start, neurons.stop, step):
            barrier()
            chosen = range(start, min(start + step, neurons.stop))
            # 64-bit totals are kept in memory: LLVM would collect the products of all neurons.
            if self._readout is None and (total is None or wide):
                total = self._opening(operands, first=start == 0)
            for neuron, (p, q) in zip(chosen, self._sums(operands, chosen), strict=True):
                product = self._product_of(p, q)
                if self._readout is not None:
                    tir.store(operands.scratch["neurons"], product, neuron, 1)
                else:
                    total = self._accumulate(total, product, int(self._weights[neuron, 0]))
            if self._readout is None and (wide or chosen.stop == neurons.stop):
                tir.store(operands.scores, total, 0, 1)
        if last and self._readout is not None:
            self._readout.emit(operands)

    def _opening(self, operands: Operands, *, first: bool) -> Any:
        """The score before a neuron is added: its bias, or what lies in memory."""
        if first:
            return tirx.const(self._start, self.network.score_dtype)
        return tir.bind(operands.scores[0])

    def _accumulate(self, total: Any, product: Any, weight: int) -> Any:
        dtype = self.network.score_dtype
        if weight == 0:
            return total
        if dtype == "int32" and self._arithmetic is not _NARROW:
            return call("mla", product, tirx.const(weight, "int32"), total)
        return total + product.astype(dtype) * tirx.const(weight, dtype)

    def _product_of(self, p: Any, q: Any) -> Any:
        """Product of two sums: (word, half) where they still lie in halves, else int32 values."""
        if isinstance(p, tuple):
            (left, half), (right, _) = p, q
            product = call("smulbb" if half == 0 else "smultt", left, right)
        else:
            product = tir.bind(p.astype(self._product) * q.astype(self._product))
        return product.astype(self._product)

    # Inputs -------------------------------------------------------------------------------------

    def _spread(self, operands: Operands) -> None:
        if self._arithmetic.words == 1:
            self._spread_dual(operands)
        else:
            self._spread_plain(operands)

    def _spread_dual(self, operands: Operands) -> None:
        words, inputs = operands.scratch["words"], self.network.inputs
        with tir.loop(inputs // 4) as group:
            four = call("load4", tirx.address_of(operands.x[group * 4]))
            even, odd = call("sxtb16", four), call("sxtb16_ror8", four)
            spread = [
                call(f"broadcast_{half}", pair) for half in ("low", "high") for pair in (even, odd)
            ]
            for place, word in enumerate(spread):
                tir.store(words, word, group * 4 + place, 1)
        for index in range(inputs // 4 * 4, inputs):
            value = tir.bind(operands.x[index].astype("int32"))
            tir.store(words, call("broadcast_low", value), index, 1)

    def _spread_plain(self, operands: Operands) -> None:
        words = operands.scratch["words"]
        with tir.loop(self.network.inputs) as index:
            value = tir.bind(operands.x[index].astype("int32"))
            upper = tir.bind(value * tirx.const(1 << 16, "int32"))
            tir.store(words, value + upper, index * 2, 1)
            tir.store(words, value - upper, index * 2 + 1, 1)

    # Sums ---------------------------------------------------------------------------------------

    def _sums(self, operands: Operands, neurons: Sequence[int]) -> list[tuple[Any, Any]]:
        """P and q of up to four neurons."""
        pairs = [
            (neurons[place], neurons[min(place + 1, len(neurons) - 1)])
            for place in range(0, len(neurons), 2)
        ]
        wide: dict[int, tuple[Any, Any]] = {}
        in_halves = len(self._segments) == 1 and self._arithmetic.words == 1 and self._inside
        for number, segment in enumerate(self._segments):
            accumulators = [self._initial(pair, first=number == 0) for pair in pairs]
            self._add_inputs(operands, segment, pairs, accumulators)
            for pair, sums in zip(pairs, accumulators, strict=True):
                halves = self._halves(sums)
                # An odd last neuron stands in both halves; one is enough.
                for half, neuron in enumerate(dict.fromkeys(pair)):
                    if in_halves:
                        wide[neuron] = halves[half]
                        continue
                    values = [self._widen(word, place) for word, place in halves[half]]
                    if number:
                        values = [
                            tir.bind(a + b) for a, b in zip(wide[neuron], values, strict=True)
                        ]
                    wide[neuron] = (values[0], values[1])
        if not self._inside:
            for neuron in neurons:
                p, q = wide[neuron]
                left, right = (tirx.const(int(b), "int32") for b in self._bias[:, neuron])
                wide[neuron] = (tir.bind(p + left), tir.bind(q + right))
        return [wide[neuron] for neuron in neurons]

    def _initial(self, pair: tuple[int, int], *, first: bool) -> dict[str, Any]:
        """The four sums of a pair before the first input; absent ones are zero."""
        if not (first and self._inside):
            return {}
        left, right = self._bias[0, list(pair)], self._bias[1, list(pair)]
        starts = {"ss": (left + right) // 2, "tt": (left - right) // 2}
        return {
            name: tirx.const(self._word(*map(int, values)), "int32")
            for name, values in starts.items()
            if values.any()
        }

    def _word(self, low: int, high: int) -> int:
        """The two halves as this arithmetic keeps them, as a signed 32-bit integer."""
        word = (
            (low & 0xFFFF) | (high & 0xFFFF) << 16
            if self._arithmetic.words == 1
            else (low + (high << 16))
        )
        return (word + 2**31) % 2**32 - 2**31

    def _add_inputs(
        self,
        operands: Operands,
        segment: tuple[int, int],
        pairs: Sequence[tuple[int, int]],
        accumulators: Sequence[dict[str, Any]],
    ) -> None:
        words, count = operands.scratch["words"], self._arithmetic.words
        for start in range(*segment, self._arithmetic.group):
            stop = min(start + self._arithmetic.group, segment[1])
            loaded = [
                [tir.bind(words[index * count + k]) for k in range(count)]
                for index in range(start, stop)
            ]
            for index, inputs in zip(range(start, stop), loaded, strict=True):
                for (a, b), sums in zip(pairs, accumulators, strict=True):
                    kinds = [
                        "s" if self._left[n, index] == self._right[n, index] else "t"
                        for n in (a, b)
                    ]
                    signs = int(self._left[a, index]), int(self._left[b, index])
                    name = "".join(kinds)
                    sums[name] = self._add(sums.get(name), inputs, signs)

    def _add(self, total: Any, inputs: Sequence[Any], signs: tuple[int, int]) -> Any:
        if self._arithmetic.words == 1:
            if total is None and signs == (1, 1):
                return inputs[0]
            zero = tirx.const(0, "int32")
            return call(_DUAL_OPERATION[signs], zero if total is None else total, inputs[0])
        value = inputs[0] if signs[0] == signs[1] else inputs[1]
        if total is None:
            return value if signs[0] > 0 else call("sub", tirx.const(0, "int32"), value)
        return call("add" if signs[0] > 0 else "sub", total, value)

    # Halves -------------------------------------------------------------------------------------

    def _halves(self, sums: Mapping[str, Any]) -> list[tuple[tuple[Any, int], tuple[Any, int]]]:
        """For both neurons of a pair, p and q as (word, half)."""
        add, sub = ("sadd16", "ssub16") if self._arithmetic.words == 1 else ("add", "sub")

        def combine(operation: str, a: Any, b: Any) -> Any:
            if b is None:
                return a
            if a is None:
                return b if operation == add else call(sub, tirx.const(0, "int32"), b)
            return call(operation, a, b)

        ss, st, ts, tt = (sums.get(name) for name in ("ss", "st", "ts", "tt"))
        p = combine(add, combine(add, ss, tt), combine(add, st, ts))
        same, mixed = combine(sub, ss, tt), combine(sub, st, ts)
        low, high = combine(add, same, mixed), combine(sub, same, mixed)
        return [((p, 0), (low, 0)), ((p, 1), (high, 1))]

    def _widen(self, word: Any, half: int) -> Any:
        """One half of a word as an int32 value."""
        low = word.astype("int16").astype("int32")
        if half == 0:
            return tir.bind(low)
        sixteen = tirx.const(16, "int32")
        if self._arithmetic.words == 1:
            return tir.bind(word >> sixteen)
        return tir.bind(call("sub", word, tir.bind(low)) >> sixteen)


class StraightLineForm:
    """The fastest form for few neurons; a byte of flash a weight on cores with dual additions."""

    name = "straight-line"
    weights = "±1, as the opcodes of straight-line code"

    def kernel(self, network: QuantizedNetwork, extensions: frozenset[str]) -> McuKernel | str:
        """The kernel where all weights are ±1 and the code is not absurdly long."""
        layer, _ = quadratic_and_readout(network)
        if not has_only_signs(layer):
            return "its weights are not all +1 or -1"
        if layer.width * layer.inputs // 2 > _LARGEST_CODE:
            return "its straight-line code would exceed half a megabyte"
        if "dsp" in extensions:
            return _StraightLineKernel(network, _DUAL)
        return _StraightLineKernel(network, _PLAIN if "unaligned" in extensions else _NARROW)


FORMS.register(StraightLineForm.name)(StraightLineForm())
