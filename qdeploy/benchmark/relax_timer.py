"""Times a function of a TVM Relax VM with TVM's own evaluator, which loops in C++."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RelaxTimer"]


class RelaxTimer:
    """A group is one repeat of the evaluator, on one input; groups take the inputs in turn.

    Args:
        machine: the relax.VirtualMachine.
        inputs: int8 (p, n, d); copied to TVM tensors once.
        function: name of the VM function.
        device: where the machine runs; by default this machine's processor.
    """

    def __init__(
        self,
        machine: Any,
        inputs: NDArray[np.int8],
        function: str = "main",
        *,
        device: Any = None,
    ) -> None:
        import tvm

        self._machine = machine
        self._function = function
        self._device = tvm.cpu() if device is None else device
        self._inputs = [tvm.runtime.tensor(np.ascontiguousarray(x), self._device) for x in inputs]
        self._next = 0

    def measure(self, calls: int, groups: int, warm_seconds: float = 0.0) -> NDArray[np.float64]:
        """Mean seconds a call of each group, (groups,), after warming up."""
        warm_until, warm_calls = time.perf_counter() + warm_seconds, calls
        while time.perf_counter() < warm_until:
            self._evaluate(warm_calls, 1)
            warm_calls *= 2
        # A few evaluations of many repeats each: setting one up costs more than a short group.
        shares = np.array_split(np.arange(groups), min(groups, len(self._inputs), 8))
        return np.concatenate([self._evaluate(calls, share.size) for share in shares])

    def _evaluate(self, calls: int, repeats: int) -> NDArray[np.float64]:
        evaluator = self._machine.time_evaluator(
            self._function, self._device, number=calls, repeat=repeats
        )
        x = self._inputs[self._next % len(self._inputs)]
        self._next += 1
        return np.array(evaluator(x).results)
