"""Instructions and code size of a kernel, read off its TVM functions before anything is compiled.

Every value, load and store is taken for one instruction, a turn of a loop for three more. That is
within a third of what compilers make of it: enough to leave out forms that cannot win. What is left
is compiled and counted exactly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.ir import Call
from tvm.ir.expr import TensorLoad

from qdeploy.compiler.tir import TRIPS

__all__ = ["Prediction", "predict"]

_LOOP = 3
_BYTES = 4
_LEAVES = (tirx.Var, tirx.IntImm, tirx.FloatImm)


@dataclass(frozen=True)
class Prediction:
    """What a kernel is expected to take.

    Attributes:
        instructions: executed for one sample.
        code_bytes: of its machine code.
    """

    instructions: float
    code_bytes: float


def predict(functions: Iterable[Any]) -> Prediction:
    """Prediction for functions with constant loop bounds that are called one after the other."""
    counter = _Counter()
    for function in functions:
        counter.statement(function.body, 1.0)
    return Prediction(counter.executed, _BYTES * counter.written)


class _Counter:
    def __init__(self) -> None:
        self.executed = self.written = 0.0
        self._registers: list[Any] = []

    def _add(self, times: float, instructions: int = 1) -> None:
        self.executed += times * instructions
        self.written += instructions

    def _in_register(self, buffer: Any) -> bool:
        return any(buffer.same_as(other) for other in self._registers)

    def statement(self, node: Any, times: float) -> None:
        """Count a statement that runs `times` times."""
        if isinstance(node, tirx.SeqStmt):
            for part in node.seq:
                self.statement(part, times)
        elif isinstance(node, tirx.For):
            given = node.annotations.get(TRIPS)
            trips = float(str(given)) if given is not None else float(int(node.extent))
            self._add(times * trips, _LOOP)
            self.statement(node.body, times * trips)
        elif isinstance(node, tirx.BufferStore):
            self.expression(node.value, times)
            if not self._in_register(node.buffer):
                self._add(times)
        elif isinstance(node, tirx.AllocBuffer):
            self._registers.append(node.buffer)
        elif isinstance(node, tirx.Bind | tirx.Evaluate):
            self.expression(node.value, times)
        else:
            raise TypeError(f"cannot count a statement of type {type(node).__name__}")

    def expression(self, node: Any, times: float) -> None:
        """Count an expression that is evaluated `times` times; addresses are free."""
        if isinstance(node, _LEAVES):
            return
        if isinstance(node, TensorLoad):
            if not self._in_register(node.source):
                self._add(times)
        elif isinstance(node, Call):
            if node.op.name == "tirx.call_extern":
                self._add(times)
                for argument in node.args[1:]:
                    self.expression(argument, times)
        elif isinstance(node, tirx.Cast):
            self.expression(node.value, times)
        else:
            self._add(times)
            self.expression(node.a, times)
            self.expression(node.b, times)
