"""The compiled model's C library: what a program without an interpreter calls."""

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.harness import BatchState, HarnessTimer, PredictState
from qdeploy.benchmark.memory import artifact_sizes
from qdeploy.benchmark.peers import PEERS, Context, Native, Peer, Prepared, Size
from qdeploy.runners.host import load_private


class _Library(Prepared):
    def __init__(self, context: Context) -> None:
        self._artifact = context.artifact
        self._network = context.model.network
        self._name = context.model.name
        self._library = load_private(context.artifact.library)

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._artifact.scores(x)

    def predict(self, features: NDArray[np.float64]) -> NDArray[Any]:
        return self._artifact.run(features)

    def native(self, inputs: NDArray[np.int8]) -> Native:
        inputs = np.ascontiguousarray(inputs)
        pool, batch, width = inputs.shape
        scores = np.empty((batch, self._network.outputs), dtype=self._network.score_dtype)
        function = f"{self._name}_predict" if batch == 1 else f"{self._name}_predict_batch"
        address = ctypes.cast(getattr(self._library, function), ctypes.c_void_p).value
        fields = (address, inputs.ctypes.data, batch * width, scores.ctypes.data)
        state = PredictState(*fields) if batch == 1 else BatchState(*fields, batch)
        step = "step_predict" if batch == 1 else "step_batch"
        timer = HarnessTimer(step, state, pool, (inputs, scores, self._library))
        return Native(timer, f"{function} called from C, one thread", scores)

    def sizes(self) -> Mapping[str, Size]:
        return artifact_sizes(self._artifact)


class _LibraryPeer(Peer):
    """`NAME_predict` for one sample, `NAME_predict_batch` for more."""

    name = "qdeploy"

    def title(self, context: Context) -> str:
        return "qdeploy (C library)"

    def prepare(self, context: Context) -> Prepared:
        return _Library(context)


PEERS.register(_LibraryPeer.name)(_LibraryPeer())
