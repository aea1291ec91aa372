"""A board that TVM's RPC reaches: the artifact's module in TVM's virtual machine there.

The server, the tracker and the clock around the calls (`time_evaluator`) are TVM's own.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.native_times import enter_native
from qdeploy.benchmark.relax_timer import RelaxTimer
from qdeploy.benchmark.subjects import pool
from qdeploy.benchmark.timing import Schedule, interleave
from qdeploy.errors import QDeployError
from qdeploy.progress import Progress

if TYPE_CHECKING:
    from qdeploy.compiler.arm.artifact import LinuxArtifact

__all__ = ["RpcBoard"]

_ADDRESS = re.compile(r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})(?:/(?P<key>\S+))?")
_SESSION_SECONDS = 600
"""After which a tracker may give the board to somebody else."""

_CLOCK_SECONDS = 1e-6
"""More than a reading of the board's clock takes: groups of a tenth of a millisecond."""


class RpcBoard:
    """A session of a server, or one that a tracker lends.

    Args:
        text: ``host:port`` of a server, or ``host:port/key`` of a tracker and its boards.

    Attributes:
        name: implementation of its figures.
        title: a few words for tables and plots.

    Raises:
        QDeployError: the text is no address, or nobody lends a board there.
    """

    name = "qdeploy-vm"
    title = "qdeploy (Relax VM)"

    def __init__(self, text: str) -> None:
        from tvm import rpc

        found = _ADDRESS.fullmatch(text)
        if found is None:
            raise QDeployError(
                f"{text!r} is no address of TVM's RPC; write host:port of a server, or "
                "host:port/key of a tracker and the key of its boards"
            )
        host, port, key = found["host"].strip("[]"), int(found["port"]), found["key"]
        try:
            self._session: Any = (
                rpc.connect(host, port, session_timeout=_SESSION_SECONDS)
                if key is None
                else rpc.connect_tracker(host, port).request(key, session_timeout=_SESSION_SECONDS)
            )
        except (RuntimeError, OSError) as error:
            told = str(error).strip().splitlines() or [type(error).__name__]
            raise QDeployError(
                f"no board is lent at {text} ({told[-1]}); look whether TVM's RPC server runs, "
                "and whether the tracker knows the key"
            ) from None
        self.where = text

    @property
    def note(self) -> str:
        """What a call covers."""
        return (
            f"the artifact's module in TVM's virtual machine on the board at {self.where}, timed "
            "by TVM's time_evaluator there; scores were compared before"
        )

    def measure(
        self,
        artifact: "LinuxArtifact",
        inputs: NDArray[np.int8],
        batches: Sequence[int],
        schedule: Schedule,
        quantiles: Mapping[str, float],
        sheet: FigureSheet,
        progress: Progress,
    ) -> None:
        """Compare the module's scores, then enter its latency and throughput.

        Args:
            artifact: whose module is uploaded.
            inputs: int8 rows (n, d).
            batches: batch sizes.
            schedule: time and rounds.
            quantiles: of the latency, by metric.
            sheet: takes the figures.
            progress: told after each turn.

        Raises:
            QDeployError: the board cannot load the module, or gives other scores.
        """
        import tvm
        from tvm import relax

        device = self._session.cpu()
        try:
            self._session.upload(str(artifact.module))
            machine = relax.VirtualMachine(self._session.load_module(artifact.module.name), device)
            scores = machine["main"](tvm.runtime.tensor(inputs, device)).numpy()
        except RuntimeError as error:
            told = str(error).strip().splitlines() or [type(error).__name__]
            raise QDeployError(
                f"the board at {self.where} cannot run {artifact.module.name} ({told[-1]}); look "
                "whether its TVM has the version of this one"
            ) from None
        if (scores != artifact.model.network.forward(inputs)).any():
            raise QDeployError(
                f"the board at {self.where} gives other scores than the model, so its figures "
                "would mean nothing; please report this"
            )
        timers = {
            batch: RelaxTimer(machine, pool(inputs, batch), device=device) for batch in batches
        }
        samples = interleave(timers, schedule, clock=_CLOCK_SECONDS, progress=progress)
        for batch, taken in samples.items():
            enter_native(sheet, self.name, batch, taken, self.note, quantiles)
