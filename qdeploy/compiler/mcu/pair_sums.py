"""Straight-line sums of two neurons at a time, in the halves of a word.

With u = ±v in a neuron, an input belongs to s (u = v) or to t (u = -v), so for two neurons A and B
to one of four sums with two halves: ss = (s_A, s_B), st = (s_A, t_B), ts, tt. At the end

    xᵀu = s + t,  xᵀv = s - t,  (xᵀu)(xᵀv) = s² - t².

The two signs of an input choose one of four dual additions of a word that holds it twice. Cores
without those take ordinary ones on a + 2^16·b, with two words an input, x·(1 + 2^16) and
x·(1 - 2^16): both halves of the sum are exact modulo 2^16, and the borrow is undone at the end.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Operands, Scratch
from qdeploy.compiler.mcu.line import LineKernel, stretches
from qdeploy.compiler.mcu.operations import barrier, call
from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import QuantizedNetwork

__all__ = ["DualPairSums", "PlainPairSums"]

_OPERATION = {(1, 1): "sadd16", (-1, -1): "ssub16", (1, -1): "ssax", (-1, 1): "sasx"}
_FOUR = (0, 2, 1, 3)
"""Bytes are widened two by two, the even ones of four first."""

_REACH = 16
"""Inputs whose two words each the first Thumb instruction set reaches from one address."""


class _PairSums(LineKernel):
    """What both arithmetics have in common.

    Args:
        network: the network, of ±1 weights.
        extensions: of the core.
        at_once: neurons whose sums stay in registers together.
        order: the order in which inputs are added.
        exact: whether halves are apart; otherwise a sum must fit whatever its signs are.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        extensions: frozenset[str],
        at_once: int,
        order: NDArray[np.intp],
        *,
        exact: bool,
    ) -> None:
        super().__init__(network, extensions, at_once)
        layer, _ = quadratic_and_readout(network)
        bias = np.stack([layer.left_bias, layer.right_bias]).astype(np.int64)
        # s and t start from half the sum and half the difference, where those are integers.
        self._inside = bool(((bias[0] + bias[1]) % 2 == 0).all()) and int(abs(bias).max()) < 2**12
        self._left, self._right, self._bias = _turned(
            layer.left[:, order], layer.right[:, order], bias
        )
        inside = self._bias if self._inside else np.zeros_like(bias)
        self._stretches = stretches(self._left, self._right, inside, exact=exact)
        # A single pass takes its words from the inputs; further ones find them in memory.
        self._keeps = len(self._passes) > 1

    def _dot(self) -> str:
        return "int16" if len(self._stretches) == 1 else "int32"

    @abstractmethod
    def _words(self, operands: Operands, *, first: bool) -> Iterator[Any]:
        """What each input is added by: the first pass makes it, and keeps it for the others."""

    @abstractmethod
    def _first(self, word: Any, signs: tuple[int, int]) -> Any:
        """A sum that starts with an input."""

    @abstractmethod
    def _next(self, total: Any, word: Any, signs: tuple[int, int]) -> Any:
        """A sum with one input more."""

    @abstractmethod
    def _constant(self, low: int, high: int) -> int:
        """A word of two halves."""

    @abstractmethod
    def _join(self, one: Any, other: Any) -> Any:
        """The sum of two sums."""

    @abstractmethod
    def _pair_products(self, joined: Sequence[tuple[Any, Any]]) -> list[Any]:
        """The product of each neuron, from the words that hold its s and t."""

    @abstractmethod
    def _halves(self, joined: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        """(s, t) of each neuron as int32 values."""

    def _products(self, operands: Operands, neurons: range) -> Sequence[Any]:
        """Pair by pair; an odd last neuron has no partner."""
        pairs = [neurons[place : place + 2] for place in range(0, len(neurons), 2)]
        words = self._words(operands, first=neurons.start == 0)
        single = len(self._stretches) == 1 and self._inside
        wide: dict[int, tuple[Any, Any]] = {}
        products: dict[int, Any] = {}
        for number, (start, stop) in enumerate(self._stretches):
            sums = [self._initial(pair, first=number == 0) for pair in pairs]
            for index, word in zip(range(start, stop), islice(words, stop - start), strict=True):
                for pair, four in zip(pairs, sums, strict=True):
                    self._add_input(four, pair, index, word)
            for pair, four in zip(pairs, sums, strict=True):
                joined = self._joined(four, len(pair))
                if single:
                    products.update(zip(pair, self._pair_products(joined), strict=True))
                    continue
                for neuron, (s, t) in zip(pair, self._halves(joined), strict=True):
                    wide[neuron] = (wide[neuron][0] + s, wide[neuron][1] + t) if number else (s, t)
        if not single:
            products = {neuron: self._wide_product(neuron, *wide[neuron]) for neuron in neurons}
        return [products[neuron].astype(self._product) for neuron in neurons]

    def _wide_product(self, neuron: int, s: Any, t: Any) -> Any:
        p, q = s + t, s - t
        if not self._inside:
            left, right = (tirx.const(int(b), "int32") for b in self._bias[:, neuron])
            p, q = p + left, q + right
        p, q = (tir.bind(value).astype(self._product) for value in (p, q))
        return tir.bind(p * q)

    def _initial(self, pair: range, *, first: bool) -> dict[str, Any]:
        """The four sums of a pair before the first input; absent ones are zero."""
        if not (first and self._inside):
            return {}
        left, right = self._bias[:, [pair[0], pair[-1]]]
        starts = {"ss": (left + right) // 2, "tt": (left - right) // 2}
        return {
            name: tirx.const((self._constant(*map(int, values)) + 2**31) % 2**32 - 2**31, "int32")
            for name, values in starts.items()
            if values.any()
        }

    def _add_input(self, sums: dict[str, Any], pair: range, index: int, word: Any) -> None:
        # A neuron without a partner takes both halves.
        both = pair[0], pair[-1]
        name = "".join("s" if self._left[n, index] == self._right[n, index] else "t" for n in both)
        signs = int(self._left[both[0], index]), int(self._left[both[1], index])
        if name in sums:
            sums[name] = self._next(sums[name], word, signs)
        else:
            sums[name] = self._first(word, signs)

    def _joined(self, sums: Mapping[str, Any], neurons: int) -> list[tuple[Any, Any]]:
        """Words that hold s and t, A's in their low halves, B's in their high ones."""

        def join(one: str, other: str) -> Any:
            known = [sums[name] for name in (one, other) if name in sums]
            if len(known) == 2:
                return self._join(*known)
            return known[0] if known else tirx.const(0, "int32")

        places = ((("ss", "st"), ("ts", "tt")), (("ss", "ts"), ("st", "tt")))
        return [(join(*s), join(*t)) for s, t in places[:neurons]]


class DualPairSums(_PairSums):
    """d·m/2 dual additions.

    Args:
        network: the network, of ±1 weights.
        extensions: of the core.
    """

    def __init__(self, network: QuantizedNetwork, extensions: frozenset[str]) -> None:
        super().__init__(network, extensions, 4, _order(network.inputs), exact=True)
        if self._keeps:
            self.scratch = (Scratch("words", "int32", network.inputs), *self.scratch)

    def _words(self, operands: Operands, *, first: bool) -> Iterator[Any]:
        inputs = self.network.inputs
        if not first:
            words = operands.scratch["words"]
            # Two words are one load.
            for index in range(0, inputs, 2):
                yield from [tir.bind(words[k]) for k in range(index, min(index + 2, inputs))]
            return
        index = 0
        for made in self._broadcast(operands):
            for word in made if self._keeps else ():
                tir.store(operands.scratch["words"], word, index, 1)
                index += 1
            yield from made

    def _broadcast(self, operands: Operands) -> Iterator[list[Any]]:
        """Words that hold an input twice, in their order."""
        inputs = self.network.inputs
        for start in range(0, inputs - 3, 4):
            four = call("load4", tirx.address_of(operands.x[start]))
            for widen in ("sxtb16", "sxtb16_ror8"):
                two = call(widen, four)
                yield [call(f"broadcast_{half}", two) for half in ("low", "high")]
        for index in range(inputs // 4 * 4, inputs):
            yield [call("broadcast_low", tir.bind(operands.x[index].astype("int32")))]

    def _first(self, word: Any, signs: tuple[int, int]) -> Any:
        return word if signs == (1, 1) else self._next(tirx.const(0, "int32"), word, signs)

    def _next(self, total: Any, word: Any, signs: tuple[int, int]) -> Any:
        return call(_OPERATION[signs], total, word)

    def _constant(self, low: int, high: int) -> int:
        return low & 0xFFFF | (high & 0xFFFF) << 16

    def _join(self, one: Any, other: Any) -> Any:
        return call("sadd16", one, other)

    def _words_of_sums(self, joined: Sequence[tuple[Any, Any]]) -> list[Any]:
        """S and t of each neuron as the low and the high half of a word."""
        (s, t), *rest = joined
        return [call("pkhbt", s, t), *(call("pkhtb", t, s) for s, t in rest)]

    def _pair_products(self, joined: Sequence[tuple[Any, Any]]) -> list[Any]:
        return [call("smusd", word, word) for word in self._words_of_sums(joined)]

    def _halves(self, joined: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        halves = []
        for word in self._words_of_sums(joined):
            low = tir.bind(word.astype("int16").astype("int32"))
            halves.append((low, tir.bind(word >> tirx.const(16, "int32"))))
        return halves


class PlainPairSums(_PairSums):
    """d·m/2 ordinary additions, for cores with the eight registers of the first Thumb set.

    Args:
        network: the network, of ±1 weights.
        extensions: of the core.
    """

    def __init__(self, network: QuantizedNetwork, extensions: frozenset[str]) -> None:
        super().__init__(network, extensions, 2, np.arange(network.inputs), exact=False)
        self.scratch = (Scratch("words", "int32", 2 * network.inputs), *self.scratch)

    def _words(self, operands: Operands, *, first: bool) -> Iterator[Any]:
        words = operands.scratch["words"]
        if first:
            # In a loop: straight-line code would need more registers than there are.
            with tir.loop(self.network.inputs) as index:
                value = tir.bind(operands.x[index].astype("int32"))
                upper = call("hidden", value * tirx.const(1 << 16, "int32"))
                tir.store(words, value + upper, 2 * index, 1)
                tir.store(words, value - upper, 2 * index + 1, 1)
            barrier()
        base: Any = None
        for index in range(self.network.inputs):
            place = index % _REACH
            if place == 0 and index:
                base = call("hidden", tirx.const(2 * index, "int32"))
            start = 2 * index if index < _REACH else base + 2 * place
            yield [tir.bind(words[start + k]) for k in range(2)]

    def _first(self, word: Any, signs: tuple[int, int]) -> Any:
        value = word[signs[0] != signs[1]]
        return value if signs[0] > 0 else call("sub", tirx.const(0, "int32"), value)

    def _next(self, total: Any, word: Any, signs: tuple[int, int]) -> Any:
        return call("add" if signs[0] > 0 else "sub", total, word[signs[0] != signs[1]])

    def _constant(self, low: int, high: int) -> int:
        return low + (high << 16)

    def _join(self, one: Any, other: Any) -> Any:
        return call("add", one, other)

    def _pair_products(self, joined: Sequence[tuple[Any, Any]]) -> list[Any]:
        return [tir.bind(s * s - t * t) for s, t in self._halves(joined)]

    def _halves(self, joined: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        sixteen, rounding = tirx.const(16, "int32"), tirx.const(1 << 15, "int32")
        low, *rest = joined
        halves = [tuple(tir.bind(_low_half(word)) for word in low)]
        # What a negative low half has borrowed comes back by rounding.
        halves += [
            tuple(tir.bind(call("add", word, rounding) >> sixteen) for word in high)
            for high in rest
        ]
        return [(s, t) for s, t in halves]


def _low_half(word: Any) -> Any:
    """The lower sixteen bits with their sign, also of a constant: a neuron of one sum has one."""
    if isinstance(word, tirx.IntImm):
        return tirx.const((int(word.value) + 2**15) % 2**16 - 2**15, "int32")
    return word.astype("int16").astype("int32")


def _order(inputs: int) -> NDArray[np.intp]:
    """Inputs in the order in which their bytes are widened."""
    whole = inputs // 4 * 4
    fours = np.arange(whole).reshape(-1, 4)[:, _FOUR].ravel()
    return np.concatenate([fours, np.arange(whole, inputs)])


def _turned(
    left: NDArray[np.int8], right: NDArray[np.int8], bias: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int64]]:
    """The same neurons such that their sums start from positive terms, for which no zero is needed.

    The product does not change when s or t change their signs, which is (u, v) → (-v, -u) or
    (u, v) → (v, u).
    """
    left, right, bias = left.copy(), right.copy(), bias.copy()
    for neuron, (u, v) in enumerate(zip(left, right, strict=True)):
        b, c = bias[:, neuron]
        for same, start in ((True, b + c), (False, b - c)):
            (places,) = np.nonzero((u == v) == same)
            first = start if start or not len(places) else u[places[0]]
            if first < 0:
                sign = -1 if same else 1
                u, v = sign * v, sign * u
                b, c = sign * c, sign * b
        left[neuron], right[neuron], bias[:, neuron] = u, v, (b, c)
    return left, right, bias
