"""The compiled model through TVM's Relax VM: for programs that already carry TVM's runtime."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import PEERS, Context, Native, Peer, Prepared
from qdeploy.benchmark.relax_timer import RelaxTimer


class _Vm(Prepared):
    def __init__(self, context: Context) -> None:
        self._artifact = context.artifact
        self._model = context.model

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._artifact.vm_scores(x)

    def predict(self, features: NDArray[np.float64]) -> NDArray[Any]:
        return self._model.interpret(self.run(self._model.quantize(features)))

    def native(self, inputs: NDArray[np.int8]) -> Native:
        return Native(
            RelaxTimer(self._artifact.vm, inputs), "Relax VM call in TVM's time_evaluator"
        )


class _VmPeer(Peer):
    """qdeploy's kernels behind the Relax VM."""

    name = "qdeploy-vm"

    def title(self, context: Context) -> str:
        return "qdeploy (Relax VM)"

    def prepare(self, context: Context) -> Prepared:
        return _Vm(context)


PEERS.register(_VmPeer.name)(_VmPeer())
