"""A model's ONNX graph through TVM's importer and default pipeline, without TVM's runtime.

The passes are those of TVM's default pipeline for processors, up to its static memory plan; its
virtual machine is replaced by the calls that it would make, as C. TVM folds the int8 weights to
int32 constants, and takes zero points off them in advance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.model import Model

__all__ = ["DefaultLowering", "default_lowering", "lower_blocks"]


@dataclass(frozen=True, eq=False)
class DefaultLowering:
    """What TVM made of a graph.

    Attributes:
        functions: its functions, not lowered further, by symbol.
        calls: the symbol and the C expressions of the arguments of each call, in order.
        definitions: C of the constants and of the buffers between functions.
    """

    functions: Mapping[str, Any]
    calls: list[tuple[str, list[str]]]
    definitions: list[str]


def default_lowering(model: Model, rows: int, target: Any, prefix: str) -> DefaultLowering:
    """The graph for a number of rows, as functions and the calls that compute its scores.

    The calls read `const int8_t *x` and write `scores`.

    Args:
        model: what is exported.
        rows: samples that a call computes; a static shape is what TVM does best with.
        target: TVM's target.
        prefix: of all symbols.

    Raises:
        QDeployError: the lowering uses what has no C here.
    """
    from tvm import tirx

    module = _lowered(model, rows, target)
    functions = {
        prefix + variable.name_hint: function
        for variable, function in module.functions.items()
        if isinstance(function, tirx.PrimFunc)
    }
    main = module["main"]
    caller = _Caller(prefix)
    caller.places[hash(main.params[0])] = "x"
    bindings = [binding for block in main.body.blocks for binding in block.bindings]
    result = _origin(main.body.body, bindings)
    for binding in bindings:
        caller.statement(binding.var, binding.value, last=hash(binding.var) == result)
    constants = [
        f"static const {dtype}_t {name}[] = {{{_values(np.frombuffer(raw, dtype))}}};"
        for (dtype, raw), name in caller.constants.items()
    ]
    return DefaultLowering(functions, caller.calls, [*constants, *caller.storage])


def lower_blocks(function: Any) -> Any:
    """A function without blocks, whose buffers are allocated where they are first needed."""
    import tvm
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
    return tvm.transform.Sequential(passes)(tvm.IRModule({"function": function}))["function"]


def _lowered(model: Model, rows: int, target: Any) -> Any:
    """The module after TVM's default passes; `main` allocates storage and calls functions."""
    import tvm
    from tvm import relax
    from tvm.relax.backend.cpu_generic import pipeline
    from tvm.relax.frontend.onnx import from_onnx

    from qdeploy.onnx import export

    proto = export(model)
    name = proto.graph.input[0].name
    shape = [rows, model.network.inputs]
    module = from_onnx(proto, shape_dict={name: shape}, dtype_dict={name: "int8"})
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
        prefix: of the functions' symbols.
        constants: definitions of constants by their content.
        storage: definitions of buffers.
        calls: symbols and arguments.
        places: C expression of each variable, by identity.
    """

    prefix: str
    constants: dict[tuple[str, bytes], str] = field(default_factory=dict)
    storage: list[str] = field(default_factory=list)
    calls: list[tuple[str, list[str]]] = field(default_factory=list)
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
            self.calls.append((self.prefix + name, [self._place(each) for each in value.args]))
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


def _origin(variable: Any, bindings: list[Any]) -> int:
    """Identity of the first name of a variable, behind the others that it is given."""
    named = {hash(binding.var): hash(binding.value) for binding in bindings}
    identity = hash(variable)
    while named.get(identity) in named:
        identity = named[identity]
    return identity


def _bytes(kind: Any) -> int:
    """Bytes of a tensor of a known shape."""
    elements = int(np.prod([int(extent) for extent in kind.shape]))
    return elements * np.dtype(str(kind.dtype)).itemsize


def _values(values: NDArray[Any]) -> str:
    return ", ".join(str(value) for value in values.tolist())
