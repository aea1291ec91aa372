"""onnxruntime on the board, where its Python has it: the aarch64 wheel, called from Python."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_arm import ARM_PEERS, BoardPeer, BoardSubject
from qdeploy.benchmark.subjects import pool
from qdeploy.errors import QDeployError

if TYPE_CHECKING:
    from qdeploy.remote import Place

_PROGRAM = Path(__file__).parents[1] / "arm" / "onnxruntime_program.py"
_SECONDS = 60.0
"""That the import may take on a small board with a slow card."""


class _Onnxruntime(BoardPeer):
    """One thread, as everybody here."""

    name = "onnxruntime"

    def obstacle(self, context: Context, place: "Place | None") -> str | None:
        """It needs a board whose Python has onnxruntime."""
        if place is None:
            return "it runs on a board only; name one with --host"
        try:
            place.command(["python3", "-c", "import numpy, onnxruntime"], _SECONDS)
        except QDeployError:
            return (
                f"python3 on {place.title} has no onnxruntime; add it there with: "
                "pip install onnxruntime"
            )
        return None

    def prepare(
        self, context: Context, place: "Place", batches: Sequence[int], folder: Path
    ) -> BoardSubject:
        from qdeploy.onnx import export
        from qdeploy.remote import ProgramTimer, checksum

        model = export(context.model).SerializeToString()
        head = json.dumps({"model_bytes": len(model), "threads": 1}).encode() + b"\n"
        timers = {}
        for batch in batches:
            rows = pool(context.inputs, batch)
            timer = ProgramTimer(place, _PROGRAM, head + model + rows.tobytes(), batch)
            timer.measure(1, 1)
            assert timer.last is not None, "it measured"
            scores = context.model.network.forward(rows.reshape(-1, rows.shape[2]))
            if timer.last.checksum != checksum(scores):
                raise QDeployError(
                    f"onnxruntime on {place.title} gives other scores than the model in batches of "
                    f"{batch}, so its figures would mean nothing; please report this"
                )
            timers[batch] = timer
        command = "import onnxruntime; print(onnxruntime.__version__)"
        told = place.command(["python3", "-c", command], _SECONDS).strip()
        return BoardSubject(
            name=self.name,
            title="onnxruntime, from Python",
            note=(
                f"onnxruntime {told}, InferenceSession.run called from Python on arrays made "
                "beforehand, one thread; the others are called from C"
            ),
            timers=timers,
        )


ARM_PEERS.register(_Onnxruntime.name)(_Onnxruntime())
