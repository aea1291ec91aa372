"""The model's ONNX graph through TVM's importer and default lowering, by TVM's LLVM for the core.

It is less than what TVM's Relax virtual machine takes for the same graph, whose dispatch, checks
and memory management are not in it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_arm import ARM_PEERS, ArmSubject, CompiledPeer
from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.benchmark.tvm_graph import DefaultLowering, default_lowering, lower_blocks
from qdeploy.model import Model
from qdeploy.targets import ArmCore

if TYPE_CHECKING:
    from qdeploy.remote import Place

NOTE = (
    "the model's ONNX graph through TVM's importer and default pipeline (legalisation, constant "
    "folding, fusion, static memory plan), compiled by TVM's LLVM for this core, for each batch "
    "size by itself. TVM's virtual machine is not in it, so that the figures are lower bounds: its "
    "calls come one after the other, and working memory is there for the asking. Int8 inputs come "
    "from the caller and integer scores go back."
)

WORKSPACE = """\
static uint8_t workspace[{bytes}] __attribute__((aligned(64)));
static size_t used;

static void *allocate(int device, int number, uint64_t bytes, int code, int bits)
{{
    (void)device, (void)number, (void)code, (void)bits;
    void *place = workspace + used;
    used += (bytes + 63) / 64 * 64;
    return used > sizeof workspace ? NULL : place;
}}

/* Where objects of TVM look for the function of its runtime. */
extern void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int);
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = allocate;
"""


class _TvmDefault(CompiledPeer):
    """No kernels of ours, the same bits."""

    name = "tvm-default"

    def obstacle(self, context: Context, place: "Place | None") -> str | None:
        """None: it learns nothing."""
        return None

    def prepare(
        self, context: Context, core: ArmCore, batches: Sequence[int], folder: Path
    ) -> ArmSubject:
        model, network = context.model, context.model.network

        def subject(kind: type[McuSubject], rows: int, **more: Any) -> McuSubject:
            entry = f"tvm_default_{rows}"
            path = folder / f"{entry}.o"
            return kind(
                name=self.name,
                title="TVM, default lowering",
                note=NOTE,
                entry=entry,
                input_dtype=np.dtype(np.int8),
                output_dtype=np.dtype(network.score_dtype),
                inputs=network.inputs,
                outputs=network.outputs,
                encode=model.quantize,
                decode=model.interpret,
                reference=model.predict,
                sources={f"{entry}_calls.c": _build(model, core, rows, entry, path)},
                objects=(path,),
                expected=network.forward,
                **more,
            )

        fixed = {rows: subject(McuSubject, rows) for rows in batches if rows > 1}
        made = subject(ArmSubject, 1, fixed=fixed)
        assert isinstance(made, ArmSubject)
        return made


def _build(model: Model, core: ArmCore, rows: int, entry: str, path: Path) -> str:
    """Write the object of TVM's functions, and give the C that calls them."""
    from qdeploy.compiler.lowering import Processor, lower_to_object

    processor = Processor(core.triple, core.cpu, core.features, vector_bits=128)
    lowering = default_lowering(model, rows, processor.target, f"{entry}_")
    functions = {}
    workspace = 0
    for symbol, function in lowering.functions.items():
        lowered, bytes_ = _returning(function)
        functions[symbol] = lowered.with_attr("global_symbol", symbol)
        workspace = max(workspace, bytes_)
    path.parent.mkdir(parents=True, exist_ok=True)
    lower_to_object(functions, processor, path)
    return _calls(lowering, entry, model.network.score_dtype, workspace)


def _calls(lowering: DefaultLowering, entry: str, score: str, workspace: int) -> str:
    prototypes = {
        symbol: f"int {symbol}({', '.join(['void *'] * len(arguments))});"
        for symbol, arguments in lowering.calls
    }
    prototype = f"void {entry}(const int8_t *x, {score}_t *scores)"
    calls = []
    for symbol, arguments in lowering.calls:
        if workspace:
            calls.append("    used = 0;")
        given = ", ".join(f"(void *){argument}" for argument in arguments)
        calls.append(f"    {symbol}({given});")
    return "\n".join(
        [
            "#include <stddef.h>\n#include <stdint.h>\n",
            *([WORKSPACE.format(bytes=workspace)] if workspace else []),
            *prototypes.values(),
            *lowering.definitions,
            f"{prototype};\n",
            f"{prototype}\n{{",
            *calls,
            "}\n",
        ]
    )


def _returning(function: Any) -> tuple[Any, int]:
    """The function with an int as result, and bytes that it takes from the runtime.

    TVM's lowering wants to say with it that memory could not be had.
    """
    from tvm import tirx
    from tvm.ir import PrimType

    function = lower_blocks(function)
    zero = tirx.const(0, "int32")
    body = function.body
    statements = list(body.seq) if isinstance(body, tirx.SeqStmt) else [body]
    bytes_ = sum(
        -(-_bytes(statement.buffer) // 64) * 64
        for statement in statements
        if isinstance(statement, tirx.AllocBuffer)
    )
    body = tirx.SeqStmt([*statements, tirx.Return(zero)])
    # Temporary buffers are asked for with the device that the runtime would have told.
    body = tirx.AttrStmt(zero, "device_type", tirx.const(1, "int32"), body)
    body = tirx.AttrStmt(zero, "device_id", zero, body)
    return tirx.PrimFunc(function.params, body, PrimType("int32"), function.attrs), bytes_


def _bytes(buffer: Any) -> int:
    elements = int(np.prod([int(extent) for extent in buffer.shape]))
    return elements * np.dtype(str(buffer.dtype)).itemsize


ARM_PEERS.register(_TvmDefault.name)(_TvmDefault())
