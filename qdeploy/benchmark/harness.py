"""The C harness seen from Python: states of its steps, and a timer on top of them."""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.native import cached_library

__all__ = [
    "BatchState",
    "HarnessTimer",
    "PredictState",
    "SessionState",
    "clock_cost",
    "harness",
    "loop_cost",
]

_Double = ctypes.POINTER(ctypes.c_double)


class PredictState(ctypes.Structure):
    """`struct predict_state` of harness.c."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [
        ("predict", ctypes.c_void_p),
        ("inputs", ctypes.c_void_p),
        ("stride", ctypes.c_size_t),
        ("scores", ctypes.c_void_p),
    ]


class BatchState(ctypes.Structure):
    """`struct batch_state` of harness.c."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [
        *PredictState._fields_,
        ("count", ctypes.c_size_t),
    ]


class SessionState(ctypes.Structure):
    """`struct session_state` of harness.c."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [
        ("run", ctypes.c_void_p),
        ("release_status", ctypes.c_void_p),
        ("session", ctypes.c_void_p),
        ("input_name", ctypes.c_char_p),
        ("output_name", ctypes.c_char_p),
        ("inputs", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
    ]


@cache
def harness() -> ctypes.CDLL:
    """The harness, compiled for this machine.

    Raises:
        QDeployError: there is no C compiler, or it fails.
    """
    library = cached_library(Path(__file__).with_name("harness.c"))
    library.harness_clock_cost.argtypes = [ctypes.c_size_t]
    library.harness_clock_cost.restype = ctypes.c_double
    library.harness_measure.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_double,
        ctypes.c_size_t,
        ctypes.c_size_t,
        _Double,
    ]
    library.harness_measure.restype = ctypes.c_int
    return library


@cache
def clock_cost() -> float:
    """Seconds that one reading of the clock takes: the smallest of several averages."""
    return min(float(harness().harness_clock_cost(10_000)) for _ in range(5))


@cache
def loop_cost() -> float:
    """Seconds a call that the harness itself adds: the median over calls of an empty step."""
    empty = HarnessTimer("step_empty", None, inputs=2, keep=())
    return float(np.median(empty.measure(calls=10_000, groups=20)))


class HarnessTimer:
    """Times one step function of the harness.

    Args:
        step: its name in harness.c.
        state: the structure that the step takes, or None.
        inputs: how many inputs the step can choose from.
        keep: whatever `state` points to, held for as long as the timer lives.
    """

    def __init__(
        self, step: str, state: ctypes.Structure | None, inputs: int, keep: Sequence[object]
    ) -> None:
        self._step = ctypes.cast(getattr(harness(), step), ctypes.c_void_p)
        self._state = state
        self._inputs = inputs
        self._keep = tuple(keep)

    def measure(self, calls: int, groups: int, warm_seconds: float = 0.0) -> NDArray[np.float64]:
        """Mean seconds a call of each group, (groups,).

        Raises:
            QDeployError: the step reported a failure.
        """
        seconds = np.empty(groups)
        state = None if self._state is None else ctypes.byref(self._state)
        status = harness().harness_measure(
            self._step,
            state,
            self._inputs,
            warm_seconds,
            calls,
            groups,
            seconds.ctypes.data_as(_Double),
        )
        if status:
            raise QDeployError(
                f"a timed call failed with status {status}; the model could not be run natively"
            )
        return seconds
