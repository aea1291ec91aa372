"""A board that TVM's RPC reaches: kernels as TVM functions, timed by its time_evaluator there."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.plan import Candidate
from qdeploy.errors import QDeployError
from qdeploy.runners.rpc import RpcRunner
from qdeploy.targets import ArmTarget
from qdeploy.toolchains.linux import DEFAULT_TOOLCHAIN, LINUX_TOOLCHAINS
from qdeploy.tuning.measures import MEASURES, Measure, Subject, Weighing
from qdeploy.tuning.timed import TimedWeighing, rows_of

__all__ = ["RpcMeasure", "kernel_module"]

_MODULE = "candidates.so"
_CLOCK_SECONDS = 1e-6
"""More than a reading of the board's clock takes."""


class _KernelTimer:
    """One kernel on buffers that lie on the board.

    Args:
        function: the kernel there.
        remote: TVM's session.
        candidate: what it is.
    """

    def __init__(self, module: Any, symbol: str, remote: Any, candidate: Candidate) -> None:
        self._module = module
        self._symbol = symbol
        self._device = remote.cpu()
        self._buffers = [self._tensor(array) for array in _arguments(candidate)]

    def measure(self, calls: int, groups: int, warm_seconds: float = 0.0) -> NDArray[np.float64]:
        """Mean seconds a call of each group, (groups,), after warming up."""
        warm_until = time.monotonic() + warm_seconds
        while time.monotonic() < warm_until:
            self._evaluate(calls, 1)
        return self._evaluate(calls, groups)

    def _evaluate(self, calls: int, repeats: int) -> NDArray[np.float64]:
        evaluator = self._module.time_evaluator(
            self._symbol, self._device, number=calls, repeat=repeats
        )
        return np.array(evaluator(*self._buffers).results)

    def _tensor(self, array: NDArray[np.integer]) -> Any:
        import tvm

        return tvm.runtime.tensor(array, self._device)


def _arguments(candidate: Candidate) -> list[NDArray[np.integer]]:
    """Inputs, constants, scores and working memory of a kernel, in its order."""
    kernel, rows = candidate.kernel, rows_of(candidate)
    network = kernel.network
    rng = np.random.default_rng(0)
    return [
        rng.integers(-128, 128, (rows, network.inputs), dtype=np.int8),
        *(constant.values for constant in kernel.constants),
        np.zeros((rows, network.outputs), dtype=network.score_dtype),
        *(np.zeros(item.elements, dtype=item.dtype) for item in kernel.scratch(candidate.tile)),
    ]


def kernel_module(subject: Subject, found: Sequence[Candidate], output: Path) -> list[str]:
    """Build the candidates as functions of TVM's calling convention; their names, in order.

    Args:
        subject: what is tuned.
        found: the candidates.
        output: the module to write.
    """
    import tvm

    assert isinstance(subject.target, ArmTarget), "only such targets suit"
    core = subject.target.compiled_core
    toolchain = LINUX_TOOLCHAINS[subject.toolchain or DEFAULT_TOOLCHAIN]
    names = [f"kernel_{number}" for number in range(len(found))]
    functions = {
        name: candidate.function(name) for name, candidate in zip(names, found, strict=True)
    }

    def link(path: str, objects: Sequence[str], **_: Any) -> None:
        toolchain.module(core, [Path(item) for item in objects], Path(path))

    built = tvm.compile(tvm.IRModule(functions), target=subject.setting.processor.target)
    built.export_library(str(output), fcompile=link)
    return names


class RpcMeasure(Measure):
    """Times kernels on a board of a server or tracker."""

    name = "rpc"
    obtained = "measured"
    unit = "s"

    def suits(self, subject: Subject) -> bool:
        """Where a server or tracker is named for a target of a Linux board."""
        return subject.access.rpc is not None and isinstance(subject.target, ArmTarget)

    def open(self, subject: Subject, found: Sequence[Candidate]) -> Weighing:
        """Build one module of all candidates, upload and load it.

        Raises:
            QDeployError: nobody answers, or the board cannot load the module.
        """
        address = subject.access.rpc
        assert address is not None, "only such callers suit"
        remote = RpcRunner(address).connect()
        with tempfile.TemporaryDirectory(prefix="qdeploy-tune-") as folder:
            path = Path(folder) / _MODULE
            names = kernel_module(subject, found, path)
            try:
                remote.upload(str(path))
                module = remote.load_module(_MODULE)
                timers = [
                    _KernelTimer(module, name, remote, candidate)
                    for name, candidate in zip(names, found, strict=True)
                ]
            except (RuntimeError, OSError) as error:
                told = str(error).strip().splitlines() or [type(error).__name__]
                raise QDeployError(
                    f"the board at {address} cannot load the kernels ({told[-1]}); look whether "
                    f"it is a {subject.setting.processor.cpu} with the TVM of this version"
                ) from None
        return TimedWeighing(
            subject, found, f"the board at {address}", timers, clock=_CLOCK_SECONDS
        )


MEASURES.register(RpcMeasure.name)(RpcMeasure())
