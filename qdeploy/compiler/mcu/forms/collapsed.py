"""The collapsed quadratic form: score = Σ_i x_i · (Σ_{j≥i} C_ij x_j), whatever the width is.

With dual multiply-accumulates (SMLAD) two coefficients of 16 bits are one instruction. Rows are
taken four at a time, so that a pair of inputs is loaded once for four of them. Coefficients of 32
bits, and cores without the instruction, take one multiplication each.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from qdeploy.compiler import tir
from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.mcu.kernel import McuKernel, Part
from qdeploy.compiler.mcu.operations import call
from qdeploy.compiler.mcu.readout import narrowest
from qdeploy.compiler.mcu.words import joined, split
from qdeploy.compiler.symmetric import CollapsedForm as Quadratic
from qdeploy.compiler.symmetric import collapse
from qdeploy.network import INPUT_MAGNITUDE, QuantizedNetwork

__all__ = ["CollapsedQuadraticForm"]

_INT32 = 2**31 - 1
_DUAL_ROWS, _PLAIN_ROWS = 4, 2
"""Rows at once, with dual multiplications and without."""

_COLUMNS = (4, 8)
"""Columns in a step of the loop: more where rows are long enough to fill them."""

_LONG = 48


@dataclass(frozen=True, eq=False)
class _Triangle:
    """Upper triangles of the quadratic forms, rows and columns padded to whole blocks.

    Attributes:
        values: int64 (K, D', D'), zero below the diagonal.
        magnitudes: largest |x_i|, int64 (D',).
    """

    values: NDArray[np.int64]
    magnitudes: NDArray[np.int64]


def _triangle(form: Quadratic, block: int) -> _Triangle:
    size = -(-form.size // block) * block
    values = np.zeros((len(form.coefficients), size, size), dtype=np.int64)
    first = np.arange(form.size)
    for shift, coefficients in enumerate(form.coefficients.transpose(1, 0, 2)):
        second = (first + shift) % form.size
        factor = form.factor if shift else 1
        low, high = np.minimum(first, second), np.maximum(first, second)
        for matrix, part in zip(values, coefficients, strict=True):
            # At half the size a pair appears twice, once with the coefficient zero.
            np.add.at(matrix, (low, high), part * factor)
    magnitudes = np.zeros(size, dtype=np.int64)
    magnitudes[: form.size] = INPUT_MAGNITUDE
    if form.constant is not None:
        magnitudes[form.size - 1] = form.constant
    return _Triangle(values, magnitudes)


def _columns(form: Quadratic) -> int:
    return _COLUMNS[form.size >= _LONG]


class _CollapsedKernel(ABC):
    """What both arithmetics have in common: the walk over the blocks of rows, and the totals.

    Args:
        network: the network.
        form: its quadratic forms.
        triangle: their coefficients.
        rows: rows at once.
    """

    reloads = False

    def __init__(
        self, network: QuantizedNetwork, form: Quadratic, triangle: _Triangle, rows: int
    ) -> None:
        self.network = network
        self._form = form
        self._block, self._step = rows, _columns(form)
        self._size = triangle.values.shape[1]
        reach = np.abs(triangle.values) @ triangle.magnitudes
        total = int((reach @ triangle.magnitudes + np.abs(form.bias)).max())
        self._wide_product = int((reach * triangle.magnitudes).max()) > _INT32
        narrow = total <= _INT32 and network.score_dtype == "int32"
        self._total = "int32" if narrow else "int64"
        self._bias = Constant("bias", form.bias.astype(self._total))
        self.accumulators: Mapping[str, str] = {"row": "int32", "score": self._total}

    def _blocks(self, triangle: _Triangle) -> list[NDArray[np.int64]]:
        """Coefficients of each block of rows from its first step on: (K, rows, columns)."""
        return [
            triangle.values[:, start : start + self._block, start // self._step * self._step :]
            for start in range(0, self._size, self._block)
        ]

    def parts(self) -> Sequence[Part]:
        """One function."""
        return (self._emit,)

    def _emit(self, operands: Operands) -> None:
        """Inputs as halfwords, then block after block of rows, an output after the other."""
        self._copy_inputs(operands)
        position = tir.Accumulator("int32", 1)
        position.set(tirx.const(0, "int32"))
        steps, ratio = self._size // self._step, self._step // self._block
        with tir.loop(self.network.outputs) as output:
            total = tir.Accumulator(self._total, 1)
            total.set(operands.constants["bias"][output])
            with tir.loop(self._size // self._block) as block:
                sums = [tir.Accumulator("int32", 1) for _ in range(self._block)]
                for accumulator in sums:
                    accumulator.clear()
                first = block if ratio == 1 else tirx.floordiv(block, ratio)
                with tir.loop(first, steps, trips=(steps + 1) / 2) as step:
                    start = tir.bind(position.value)
                    position.set(start + self._multiply(operands, step, start, sums))
                for row, accumulator in enumerate(sums):
                    value = self._input(operands, block, row)
                    dtype = "int64" if self._wide_product else self._total
                    product = accumulator.value.astype(dtype) * value.astype(dtype)
                    total.set(total.value + product.astype(self._total))
            tir.store(operands.scores, total.value.astype(self.network.score_dtype), output, 1)

    def _behind(self, index: int) -> int:
        """The constant input stands behind the others, zeros behind it."""
        return self._form.constant or 0 if index == self.network.inputs else 0

    @abstractmethod
    def _copy_inputs(self, operands: Operands) -> None: ...

    @abstractmethod
    def _multiply(
        self, operands: Operands, step: Any, start: Any, sums: Sequence[tir.Accumulator]
    ) -> int:
        """One step of columns times the rows of a block; how many coefficients entries it took."""

    @abstractmethod
    def _input(self, operands: Operands, block: Any, row: int) -> Any:
        """The input of a row of a block, int32."""


class _DualKernel(_CollapsedKernel):
    """Two coefficients an instruction; four inputs, or two rows' pairs, are one load of 64 bits.

    Of four inputs, (0, 2) share a word and (1, 3) the next: that is how bytes are widened.
    """

    _ORDER = (0, 2, 1, 3)

    def __init__(self, network: QuantizedNetwork, form: Quadratic, triangle: _Triangle) -> None:
        super().__init__(network, form, triangle, _DUAL_ROWS)
        outputs = triangle.values.shape[0]
        parts = []
        for block in self._blocks(triangle):
            fours = block.reshape(outputs, self._block, -1, 4)[..., self._ORDER]
            halves = fours.reshape(outputs, self._block, -1, 2) & 0xFFFF
            words = (halves[..., 0] | halves[..., 1] << 16).transpose(0, 2, 1)
            pairs = words.reshape(outputs, -1, 2)
            parts.append(pairs[..., 0] | pairs[..., 1] << 32)
        self.constants: tuple[Constant, ...] = (
            Constant("coefficients", np.concatenate(parts, axis=1).ravel()),
            self._bias,
        )
        self.scratch = (Scratch("inputs", "int64", self._size // 4),)

    def _copy_inputs(self, operands: Operands) -> None:
        inputs, count = operands.scratch["inputs"], self.network.inputs
        with tir.loop(count // 4) as group:
            four = call("load4", tirx.address_of(operands.x[group * 4]))
            even, odd = call("sxtb16", four), call("sxtb16_ror8", four)
            tir.store(inputs, joined(even, odd), group, 1)
        for group in range(count // 4, self._size // 4):
            words = []
            for places in (self._ORDER[:2], self._ORDER[2:]):
                low, high = (
                    operands.x[4 * group + place].astype("int32")
                    if 4 * group + place < count
                    else tirx.const(self._behind(4 * group + place), "int32")
                    for place in places
                )
                low = low & tirx.const(0xFFFF, "int32")
                words.append(tir.bind(low + high * tirx.const(1 << 16, "int32")))
            tir.store(inputs, joined(*words), group, 1)

    def _multiply(
        self, operands: Operands, step: Any, start: Any, sums: Sequence[tir.Accumulator]
    ) -> int:
        inputs, coefficients = operands.scratch["inputs"], operands.constants["coefficients"]
        place = 0
        for group in range(self._step // 4):
            four = tir.bind(inputs[step * (self._step // 4) + group])
            for word in split(four):
                for row in range(0, self._block, 2):
                    pair = split(tir.bind(coefficients[start + place]))
                    place += 1
                    for coefficient, total in zip(pair, sums[row : row + 2], strict=True):
                        total.set(call("smlad", coefficient, word, total.value))
        return place

    def _input(self, operands: Operands, block: Any, row: int) -> Any:
        index = block * self._block + self._ORDER[row]
        return call("halfword", tirx.address_of(operands.scratch["inputs"][0]), index)


class _PlainKernel(_CollapsedKernel):
    """One multiplication a coefficient, of 8 to 32 bits."""

    def __init__(self, network: QuantizedNetwork, form: Quadratic, triangle: _Triangle) -> None:
        super().__init__(network, form, triangle, _PLAIN_ROWS)
        outputs = triangle.values.shape[0]
        parts = [block.transpose(0, 2, 1).reshape(outputs, -1) for block in self._blocks(triangle)]
        self.constants: tuple[Constant, ...] = (
            Constant("coefficients", narrowest(np.concatenate(parts, axis=1).ravel())),
            self._bias,
        )
        self.scratch = (Scratch("inputs", "int16", self._size),)

    def _copy_inputs(self, operands: Operands) -> None:
        inputs, count = operands.scratch["inputs"], self.network.inputs
        with tir.loop(count) as index:
            tir.store(inputs, operands.x[index].astype("int16"), index, 1)
        for index in range(count, self._size):
            tir.store(inputs, tirx.const(self._behind(index), "int16"), index, 1)

    def _multiply(
        self, operands: Operands, step: Any, start: Any, sums: Sequence[tir.Accumulator]
    ) -> int:
        inputs, coefficients = operands.scratch["inputs"], operands.constants["coefficients"]
        for column in range(self._step):
            value = tir.bind(inputs[step * self._step + column].astype("int32"))
            for row, total in enumerate(sums):
                coefficient = coefficients[start + column * self._block + row].astype("int32")
                total.set(total.value + coefficient * value)
        return self._step * self._block

    def _input(self, operands: Operands, block: Any, row: int) -> Any:
        return operands.scratch["inputs"][block * self._block + row].astype("int32")


class CollapsedQuadraticForm:
    """About d²/2 multiply-accumulates an output, independent of the number of neurons."""

    name = "collapsed"
    weights = "any; the products of the weights are kept, 16 bits each where they fit"

    def kernel(self, network: QuantizedNetwork, extensions: frozenset[str]) -> McuKernel | str:
        """The kernel where every row's sum fits 32 bits."""
        form = collapse(network)
        if isinstance(form, str):
            return form
        if form.constant is not None and form.constant >= 2**15:
            return "its constant input does not fit 16 bits"
        triangle = _triangle(form, _columns(form))
        reach = np.abs(triangle.values) @ triangle.magnitudes
        if int(reach.max()) > _INT32:
            return "the sum of a row may overflow 32 bits"
        narrow = int(triangle.values.max()) < 2**15 and int(triangle.values.min()) >= -(2**15)
        if narrow and "dsp" in extensions:
            return _DualKernel(network, form, triangle)
        return _PlainKernel(network, form, triangle)


FORMS.register(CollapsedQuadraticForm.name)(CollapsedQuadraticForm())
