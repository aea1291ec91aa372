"""A board that TVM's RPC reaches: the artifact's module in TVM's virtual machine there.

The server, the tracker and the clock around the calls (`time_evaluator`) are TVM's own.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.native_times import enter_native
from qdeploy.benchmark.relax_timer import RelaxTimer
from qdeploy.benchmark.subjects import pool
from qdeploy.benchmark.timing import Schedule, interleave
from qdeploy.errors import QDeployError
from qdeploy.progress import Progress
from qdeploy.runners.rpc import RpcRunner, RpcSession

if TYPE_CHECKING:
    from qdeploy.compiler.arm.artifact import LinuxArtifact

__all__ = ["RpcBoard"]

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
        self._runner = RpcRunner(text)
        # Nobody there is told now, rather than after minutes of emulation.
        self._runner.connect()
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
        with self._runner.open(artifact) as session:
            self._compare(session, artifact, inputs)
            timers = {
                batch: RelaxTimer(session.machine, pool(inputs, batch), device=session.device)
                for batch in batches
            }
            samples = interleave(timers, schedule, clock=_CLOCK_SECONDS, progress=progress)
            del timers
        for batch, taken in samples.items():
            enter_native(sheet, self.name, batch, taken, self.note, quantiles)

    def _compare(
        self, session: RpcSession, artifact: "LinuxArtifact", inputs: NDArray[np.int8]
    ) -> None:
        """See that the module gives the scores of the model."""
        if (session(inputs) != artifact.model.network.forward(inputs)).any():
            raise QDeployError(
                f"the board at {self.where} gives other scores than the model, so its figures "
                "would mean nothing; please report this"
            )
