"""The score of a network with one output, summed neuron by neuron in straight-line code.

One function after the other may add to it: between them it lies in the scores themselves.
"""

from typing import Any

from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Operands
from qdeploy.compiler.mcu.operations import call

__all__ = ["DigitScore", "MemoryScore", "RegisterScore", "digits_fit"]

_DIGIT = 16


class RegisterScore:
    """A score that stays in registers.

    Args:
        operands: of the kernel.
        dtype: of the score.
        start: the score before the first neuron; None where it lies in memory.
        mla: whether the core adds a product in one instruction, to 32 bits.
    """

    def __init__(self, operands: Operands, dtype: str, start: int | None, *, mla: bool) -> None:
        self._operands, self._dtype, self._mla = operands, dtype, mla
        self._total = None if start is None else tirx.const(start, dtype)

    def add(self, product: Any, weight: int) -> None:
        """Add a weighted neuron."""
        if weight == 0:
            return
        if self._total is None:
            self._total = tir.bind(self._operands.scores[0])
        if self._mla and self._dtype == "int32":
            self._total = call("mla", product, tirx.const(weight, "int32"), self._total)
        else:
            addend = product.astype(self._dtype) * tirx.const(weight, self._dtype)
            self._total = self._total + addend

    def end_pass(self) -> None:
        """Called behind the neurons of every pass."""

    def close(self) -> None:
        """Write the score."""
        if self._total is not None:
            tir.store(self._operands.scores, self._total, 0, 1)
        self._total = None


class MemoryScore(RegisterScore):
    """A score that lies in memory between passes: LLVM would collect the products of all."""

    def end_pass(self) -> None:
        """Write the score."""
        self.close()


class DigitScore:
    """A score of 64 bits where products have 32: sums of the products' halves, joined at the end.

    Two products of 32 bits are cheaper than one of 64 where that is a function. `digits_fit` says
    whether both sums fit 32 bits.

    Args:
        operands: of the kernel.
        start: the score before the first neuron; None where it lies in memory.
    """

    def __init__(self, operands: Operands, start: int | None) -> None:
        self._operands, self._start = operands, start
        self._sums: list[Any] = [None, None]

    def add(self, product: Any, weight: int) -> None:
        """Add a weighted neuron."""
        if weight == 0:
            return
        low = tir.bind(product.astype("uint16").astype("int32"))
        high = tir.bind(product >> tirx.const(_DIGIT, "int32"))
        for place, digit in enumerate((low, high)):
            part = tir.bind(digit * tirx.const(weight, "int32"))
            known = self._sums[place]
            # An addition that compilers know would be widened to 64 bits, with every product.
            self._sums[place] = part if known is None else call("add", known, part)

    def end_pass(self) -> None:
        """Nothing is kept in memory."""

    def close(self) -> None:
        """Write the score."""
        scores = self._operands.scores
        total = scores[0] if self._start is None else tirx.const(self._start, "int64")
        if self._sums[0] is not None:
            low, high = (value.astype("int64") for value in self._sums)
            total = total + low + high * tirx.const(1 << _DIGIT, "int64")
        tir.store(scores, total, 0, 1)


def digits_fit(weights: int) -> bool:
    """Whether the sums of both halves fit 32 bits for weights of that total magnitude."""
    return weights * (2**_DIGIT - 1) < 2**31
