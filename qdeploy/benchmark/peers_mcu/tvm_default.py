"""The model itself through TVM's importer and its default lowering, as freestanding C."""

from typing import Any

import numpy as np

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import MCU_PEERS, McuPeer, McuSubject
from qdeploy.benchmark.peers_mcu.generated import SILENCED
from qdeploy.benchmark.tvm_graph import default_lowering, lower_blocks
from qdeploy.model import Model

ENTRY = "tvm_default_scores"

NOTE = (
    "the model's ONNX graph through TVM's importer, its default legalisation, constant folding, "
    "fusion and static memory plan, printed as C by TVM's C generator: plain loops over int32 "
    "constants. Int8 inputs come from the caller and integer scores go back."
)


class _TvmDefault(McuPeer):
    """No kernels of ours, the same bits."""

    name = "tvm-default"

    def obstacle(self, context: Context) -> str | None:
        """None: it learns nothing."""
        return None

    def prepare(self, context: Context) -> McuSubject:
        model = context.model
        network = model.network
        return McuSubject(
            name=self.name,
            title="TVM, default lowering",
            note=NOTE,
            entry=ENTRY,
            input_dtype=np.dtype(np.int8),
            output_dtype=np.dtype(network.score_dtype),
            inputs=network.inputs,
            outputs=network.outputs,
            encode=model.quantize,
            decode=model.interpret,
            reference=model.predict,
            sources={f"{ENTRY}.c": _source(model)},
            expected=network.forward,
        )


def _source(model: Model) -> str:
    import tvm

    from qdeploy.compiler.lowering import lower_to_c

    target = tvm.target.Target({"kind": "c"})
    lowering = default_lowering(model, 1, target.with_host(target), "tvm_default_")
    functions = {
        symbol: _with_locals(function).with_attr("global_symbol", symbol)
        for symbol, function in lowering.functions.items()
    }
    ctype = np.dtype(model.network.score_dtype).name + "_t"
    prototype = f"void {ENTRY}(const int8_t *x, {ctype} *scores)"
    calls = [
        f"    {symbol}({', '.join(f'(void *){argument}' for argument in arguments)});"
        for symbol, arguments in lowering.calls
    ]
    return "\n".join(
        [
            SILENCED + lower_to_c(functions),
            *lowering.definitions,
            f"{prototype};\n",
            f"{prototype}\n{{",
            *calls,
            "}\n",
        ]
    )


def _with_locals(function: Any) -> Any:
    """The function with its temporary buffers as local arrays, whatever their size.

    Those of 1 KiB and more would otherwise be asked from TVM's runtime.
    """
    from tvm import tirx

    function = lower_blocks(function)
    body = function.body
    statements = [
        tirx.AllocBuffer(statement.buffer, {"disable_lower_builtin": tirx.const(True)})
        if isinstance(statement, tirx.AllocBuffer)
        else statement
        for statement in (body.seq if isinstance(body, tirx.SeqStmt) else [body])
    ]
    return function.with_body(tirx.SeqStmt(statements))


MCU_PEERS.register(_TvmDefault.name)(_TvmDefault())
