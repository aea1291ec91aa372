"""onnxruntime on the same ONNX file: through its C API where the wheel brings the library."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.onnxruntime_api import NativeSession, find_library
from qdeploy.benchmark.peers import PEERS, Context, Native, Peer, Prepared, Size


class _Session(Prepared):
    def __init__(self, context: Context, threads: int) -> None:
        import onnxruntime

        from qdeploy.onnx import export

        self._model = context.model
        self._proto = export(context.model).SerializeToString()
        self._intra_op = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            self._proto, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self._native: list[NativeSession] = []
        self.threads = threads or _default_threads()

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._session.run([self._output], {self._input: x})[0]

    def predict(self, features: NDArray[np.float64]) -> NDArray[Any]:
        return self._model.interpret(self.run(self._model.quantize(features)))

    def native(self, inputs: NDArray[np.int8]) -> Native | None:
        library = find_library()
        if library is None:
            return None
        inputs = np.ascontiguousarray(inputs)
        network = self._model.network
        scores = np.empty((inputs.shape[1], network.outputs), dtype=network.score_dtype)
        if not self._native:
            self._native.append(NativeSession(library, self._proto, self._intra_op))
        timer = self._native[0].timer(inputs, scores, self._input, self._output)
        count = f"{self.threads} thread" + "s" * (self.threads > 1)
        note = f"OrtApi::Run called from C on tensors made beforehand, {count}"
        return Native(timer, note, scores)

    def sizes(self) -> Mapping[str, Size]:
        return {"model_bytes": Size(len(self._proto), "integer core as an ONNX file")}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for session in self._native:
            session.close()
        self._native.clear()


def _default_threads() -> int:
    """Intra-op threads that onnxruntime takes by itself: one a physical core."""
    import psutil

    return psutil.cpu_count(logical=False) or 1


class _OnnxruntimePeer(Peer):
    """One intra-op thread (the fastest choice at batch 1), or as many as onnxruntime likes.

    Args:
        name: `implementation` of its figures.
        threads: intra-op threads, 0 for onnxruntime's own choice.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._threads = threads
        self.name = name

    def title(self, context: Context) -> str:
        return "onnxruntime, 1 thread" if self._threads == 1 else "onnxruntime, default threads"

    def obstacle(self, context: Context) -> str | None:
        if self._threads != 1 and _default_threads() == 1:
            return "this machine has one core, so it equals the single-threaded session"
        return None

    def prepare(self, context: Context) -> Prepared:
        return _Session(context, self._threads)


for _peer in (_OnnxruntimePeer("onnxruntime", 1), _OnnxruntimePeer("onnxruntime-threads", 0)):
    PEERS.register(_peer.name)(_peer)
