"""The model itself through TVM's importer and its default lowering, as freestanding C.

The passes are those of TVM's default pipeline for processors, up to its static memory plan; its
virtual machine is replaced by the calls that it would make. TVM folds the int8 weights to int32
constants, and takes zero points off them in advance; so they are counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import MCU_PEERS, McuPeer, McuSubject
from qdeploy.benchmark.peers_mcu.generated import SILENCED
from qdeploy.errors import QDeployError
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


def _lowered(model: Model) -> Any:
    """The module after TVM's default passes; `main` allocates storage and calls functions."""
    import tvm
    from tvm import relax
    from tvm.relax.backend.cpu_generic import pipeline
    from tvm.relax.frontend.onnx import from_onnx

    from qdeploy.onnx import export

    proto = export(model)
    name = proto.graph.input[0].name
    module = from_onnx(
        proto, shape_dict={name: [1, model.network.inputs]}, dtype_dict={name: "int8"}
    )
    target = tvm.target.Target({"kind": "c"})
    target = target.with_host(target)
    passes = [
        *pipeline.library_dispatch_passes(target),
        *pipeline.legalize_passes(target),
        *pipeline.dataflow_lower_passes(target),
        relax.transform.StaticPlanBlockMemory(),
    ]
    with target:
        return tvm.transform.Sequential(passes)(module)


@dataclass
class _Caller:
    """Turns the statements of `main` into C.

    Attributes:
        constants: definitions of constants by their content.
        storage: definitions of buffers.
        calls: statements.
        places: C expression of each variable, by identity.
    """

    constants: dict[tuple[str, bytes], str] = field(default_factory=dict)
    storage: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)

    def statement(self, variable: Any, value: Any, last: bool) -> None:
        """One binding of `main`.

        Args:
            variable: what is bound.
            value: to what.
            last: whether the variable holds the result.
        """
        if hash(value) in self.places:
            self.places[hash(variable)] = self.places[hash(value)]
            return
        name = str(getattr(value.op, "name", getattr(value.op, "name_hint", "")))
        if name == "relax.memory.alloc_storage":
            count = int(value.args[0].values[0])
            self.places[hash(variable)] = self._buffer(count)
        elif name == "relax.memory.alloc_tensor":
            offset = int(value.args[1].value)
            self.places[hash(variable)] = f"({self.places[hash(value.args[0])]} + {offset})"
        elif name == "relax.builtin.alloc_tensor":
            self.places[hash(variable)] = "scores" if last else self._buffer(_bytes(variable.ty))
        elif not name.startswith("relax."):
            arguments = ", ".join(f"(void *){self._place(argument)}" for argument in value.args)
            self.calls.append(f"    {_symbol(name)}({arguments});")
        else:
            raise QDeployError(f"tvm-default: TVM's lowering uses {name}, which has no C here")

    def _place(self, argument: Any) -> str:
        if hash(argument) in self.places:
            return self.places[hash(argument)]
        values = argument.value.numpy()
        key = (str(values.dtype), values.tobytes())
        if key not in self.constants:
            self.constants[key] = f"constant_{len(self.constants)}"
        return self.constants[key]

    def _buffer(self, count: int) -> str:
        name = f"storage_{len(self.storage)}"
        self.storage.append(f"static uint8_t {name}[{count}] __attribute__((aligned(8)));")
        return name


def _source(model: Model) -> str:
    from tvm import tirx

    from qdeploy.compiler.lowering import lower_to_c

    module = _lowered(model)
    functions: Mapping[str, Any] = {
        _symbol(variable.name_hint): _with_locals(function).with_attr(
            "global_symbol", _symbol(variable.name_hint)
        )
        for variable, function in module.functions.items()
        if isinstance(function, tirx.PrimFunc)
    }
    main = module["main"]
    caller = _Caller()
    caller.places[hash(main.params[0])] = "x"
    bindings = [binding for block in main.body.blocks for binding in block.bindings]
    result = _origin(main.body.body, bindings)
    for binding in bindings:
        caller.statement(binding.var, binding.value, last=hash(binding.var) == result)
    ctype = np.dtype(model.network.score_dtype).name + "_t"
    prototype = f"void {ENTRY}(const int8_t *x, {ctype} *scores)"
    constants = [
        f"static const {dtype}_t {name}[] = {{{_values(np.frombuffer(raw, dtype))}}};"
        for (dtype, raw), name in caller.constants.items()
    ]
    return "\n".join(
        [
            SILENCED + lower_to_c(functions),
            *constants,
            *caller.storage,
            f"{prototype};\n",
            f"{prototype}\n{{",
            *caller.calls,
            "}\n",
        ]
    )


def _with_locals(function: Any) -> Any:
    """The function with its temporary buffers as local arrays, whatever their size.

    Those of 1 KiB and more would otherwise be asked from TVM's runtime.
    """
    import tvm
    from tvm import tirx
    from tvm.s_tir import transform

    passes = [
        transform.CanonicalizeLoop(),
        transform.LowerInitBlock(),
        transform.PlanAndUpdateBufferAllocationLocation(),
        transform.ConvertBlocksToOpaque(),
        transform.CompactBufferAllocation(),
        transform.LowerMatchBuffer(),
        transform.LowerOpaqueBlock(),
    ]
    module = tvm.transform.Sequential(passes)(tvm.IRModule({"function": function}))
    function = module["function"]
    body = function.body
    statements = [
        tirx.AllocBuffer(statement.buffer, {"disable_lower_builtin": tirx.const(True)})
        if isinstance(statement, tirx.AllocBuffer)
        else statement
        for statement in (body.seq if isinstance(body, tirx.SeqStmt) else [body])
    ]
    return function.with_body(tirx.SeqStmt(statements))


def _origin(variable: Any, bindings: list[Any]) -> int:
    """Identity of the first name of a variable, behind the others that it is given."""
    named = {hash(binding.var): hash(binding.value) for binding in bindings}
    identity = hash(variable)
    while named.get(identity) in named:
        identity = named[identity]
    return identity


def _symbol(name: str) -> str:
    return f"tvm_default_{name}"


def _bytes(kind: Any) -> int:
    """Bytes of a tensor of a known shape."""
    elements = int(np.prod([int(extent) for extent in kind.shape]))
    return elements * np.dtype(str(kind.dtype)).itemsize


def _values(values: NDArray[Any]) -> str:
    return ", ".join(str(value) for value in values.tolist())


MCU_PEERS.register(_TvmDefault.name)(_TvmDefault())
