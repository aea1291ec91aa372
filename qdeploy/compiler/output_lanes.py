"""A readout with outputs in lanes: each neuron, broadcast, times its row of weights.

No output needs a sum over lanes, but weights of zero are multiplied as well; `cost` counts what
that takes, to be compared with sums over vectors of neurons.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler import tir
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Constant, Operands

__all__ = ["LOOP", "MULTIPLICATION", "OutputLanes"]

LOOP = 2
"""Instructions of an iteration that only count and branch."""

MULTIPLICATION = {"int32": 7, "int64": 4}
"""What a multiply-accumulate to lanes of such a type counts: itself, and three instructions for a
cycle of the one multiplier. Lanes of int32 take two cycles on Cortex-A72, Cortex-A76 and their kin.
"""

_SPARE_REGISTERS = 8
"""Those that totals leave to weights and neurons."""


class OutputLanes:
    """The readout of int32 neurons that lie in scratch memory.

    Args:
        weights: of the neurons in the order in which they lie, int32 (m, K).
        bias: of the outputs, (K,).
        dtype: integer type of the scores, int32 or int64.
        isa: instruction set that multiplies int32 to int64.
        stride: neurons of a sample in scratch memory, a multiple of the int32 lanes.
    """

    def __init__(
        self,
        weights: NDArray[np.integer],
        bias: NDArray[np.integer],
        dtype: str,
        isa: InstructionSet,
        stride: int,
    ) -> None:
        neurons, self._outputs = weights.shape
        self._dtype = dtype
        self._products = isa.word_products if dtype == "int64" else None
        self._lanes = isa.lanes
        self._step = isa.vector_bits // np.dtype(dtype).itemsize // 8
        self._totals = -(-self._outputs // self._step)
        self._vectors = -(-neurons // self._lanes)
        self._stride = stride
        self._most = isa.registers - _SPARE_REGISTERS
        rows = np.zeros((self._vectors * self._lanes, self._totals * self._step), dtype=np.int32)
        rows[:neurons, : self._outputs] = weights
        padded = np.zeros(rows.shape[1], dtype=dtype)
        padded[: self._outputs] = bias
        self.constants = (
            Constant("readout_weight", rows.ravel()),
            Constant("readout_bias", padded),
        )

    @property
    def fits(self) -> bool:
        """Whether there are outputs to lie in lanes, and registers for the totals of a sample."""
        return self._outputs > 1 and self._totals <= self._most

    @property
    def cost(self) -> int:
        """Instructions of one sample, multiplications weighted."""
        products = self._lanes * self._totals
        loads = 1 + products * self._step // self._lanes
        vector = loads + products * MULTIPLICATION[self._dtype] + LOOP
        return self._vectors * vector + 2 * self._totals

    def emit(self, operands: Operands, row: Any, samples: int) -> None:
        """Write the scores of the samples, of as many at a time as registers hold."""
        together = self._most // self._totals
        for first in range(0, samples, together):
            self._some(operands, row, range(first, min(first + together, samples)))

    def _some(self, operands: Operands, row: Any, samples: range) -> None:
        step, lanes = self._step, self._lanes
        weights, bias = (operands.constants[constant.name] for constant in self.constants)
        totals = [
            [tir.Accumulator(self._dtype, step) for _ in range(self._totals)] for _ in samples
        ]
        for index in range(self._totals):
            value = tir.bind(tir.load(bias, index * step, step))
            for sums in totals:
                sums[index].set(value)
        with tir.loop(self._vectors) as vector:
            neurons = [
                tir.bind(
                    tir.load(
                        operands.scratch["neurons"], sample * self._stride + vector * lanes, lanes
                    )
                )
                for sample in samples
            ]
            start = vector * (lanes * self._totals * step)
            for number in range(lanes * self._totals):
                # A register of weights serves as many totals as it takes to fill its lanes.
                offset = number * step % lanes
                if offset == 0:
                    loaded = tir.bind(tir.load(weights, start + number * step, lanes))
                neuron, index = divmod(number, self._totals)
                for values, sums in zip(neurons, totals, strict=True):
                    product = self._product(loaded, offset, values, neuron)
                    sums[index].set(sums[index].value + product)
        for sample, sums in zip(samples, totals, strict=True):
            for index, total in enumerate(sums):
                self._store(operands.scores, row + sample, index * step, total.value)

    def _product(self, weights: Any, offset: int, neurons: Any, neuron: int) -> Any:
        """The weights from a lane on times one neuron."""
        factor = tir.splat(neurons, neuron, self._step)
        if self._products is None:
            return weights * factor
        some = tir.shuffle([weights], range(offset, offset + self._step))
        return tir.intrinsic(self._products, "int64", self._step, some, factor)

    def _store(self, scores: Any, row: Any, first: int, values: Any) -> None:
        rest = self._outputs - first
        if rest >= self._step:
            tir.store(scores, values, first, self._step, row)
            return
        for index in range(rest):
            tir.store(scores, tir.lane(values, index), first + index, 1, row)
