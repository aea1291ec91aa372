"""TVM without qdeploy: the same ONNX file through its importer and its default CPU pipeline."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import PEERS, Context, Native, Peer, Prepared
from qdeploy.benchmark.relax_timer import RelaxTimer


class _TvmDefault(Prepared):
    """One module a batch size: static shapes are what TVM's default lowering does best with."""

    def __init__(self, context: Context) -> None:
        from qdeploy.onnx import export

        self._model = context.model
        self._proto = export(context.model)
        self._machines: dict[int, Any] = {}

    def _machine(self, batch: int) -> Any:
        if batch not in self._machines:
            import tvm
            from tvm import relax
            from tvm.relax.frontend.onnx import from_onnx

            name = self._proto.graph.input[0].name
            shape = [batch, self._model.network.inputs]
            module = from_onnx(self._proto, shape_dict={name: shape}, dtype_dict={name: "int8"})
            processor = tvm.target.codegen.llvm_get_system_cpu()
            target = tvm.target.Target({"kind": "llvm", "mcpu": processor})
            self._machines[batch] = relax.VirtualMachine(
                tvm.compile(module, target=target), tvm.cpu()
            )
        return self._machines[batch]

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        import tvm

        scores = self._machine(len(x))["main"](tvm.runtime.tensor(np.ascontiguousarray(x)))
        return scores.numpy()

    def predict(self, features: NDArray[np.float64]) -> NDArray[Any]:
        return self._model.interpret(self.run(self._model.quantize(features)))

    def native(self, inputs: NDArray[np.int8]) -> Native:
        timer = RelaxTimer(self._machine(inputs.shape[1]), inputs)
        return Native(timer, "Relax VM call in TVM's time_evaluator, compiled for this batch size")


class _TvmDefaultPeer(Peer):
    """relax.frontend.onnx.from_onnx and tvm.compile, no kernels of ours."""

    name = "tvm-default"

    def title(self, context: Context) -> str:
        return "TVM, default lowering"

    def prepare(self, context: Context) -> Prepared:
        return _TvmDefault(context)


PEERS.register(_TvmDefaultPeer.name)(_TvmDefaultPeer())
