"""A foreign ONNX graph, checked for what everything else relies on, and its constants.

Only the operators of the table below, every value given exactly once and before it is used (so
there are no cycles), no external data, no sub-graphs, no huge declared tensors.
"""

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from qdeploy.errors import QDeployError

__all__ = ["INTEGERS", "CheckedGraph", "attributes_of", "label_of", "shown"]

MAX_NODES = 1000
MAX_ELEMENTS = 2**26

ATTRIBUTES: dict[str, frozenset[str]] = {
    "Add": frozenset(),
    "ArgMax": frozenset({"axis", "keepdims", "select_last_index"}),
    "Cast": frozenset({"to", "saturate", "round_mode"}),
    "Constant": frozenset({"value"}),
    "Gather": frozenset({"axis"}),
    "Greater": frozenset(),
    "MatMul": frozenset(),
    "MatMulInteger": frozenset(),
    "Mul": frozenset(),
    "QuantizeLinear": frozenset({"axis", "saturate", "block_size", "output_dtype", "precision"}),
    "Sub": frozenset(),
}
"""The operators that can be understood, with the attributes that they may carry."""

INPUT_COUNTS = {
    "ArgMax": (1, 1),
    "Cast": (1, 1),
    "Constant": (0, 0),
    "MatMulInteger": (2, 4),
    "QuantizeLinear": (2, 3),
}
"""Least and most inputs; two for every other operator."""

INTEGERS: dict[int, tuple[str, int]] = {
    TensorProto.INT2: ("int2", 2),
    TensorProto.INT4: ("int4", 4),
    TensorProto.INT8: ("int8", 8),
    TensorProto.INT16: ("int16", 16),
    TensorProto.INT32: ("int32", 32),
    TensorProto.INT64: ("int64", 64),
}
"""Signed integer element types: name and bits."""

_OTHER_BITS: dict[int, int] = {TensorProto.FLOAT: 32, TensorProto.DOUBLE: 64, TensorProto.BOOL: 8}


def shown(name: str) -> str:
    """A name from the file, fit for a message."""
    text = ascii(name)
    return text if len(text) <= 82 else text[:78] + "...'"


def label_of(node: onnx.NodeProto) -> str:
    """How messages name a node."""
    called = node.name or (node.output[0] if node.output else "")
    return f"node {shown(called)} ({shown(node.op_type[:40])[1:-1]})"


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node by name; tensors as they are."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


class CheckedGraph:
    """A graph whose structure is sound, indexed by value name.

    Attributes:
        inputs: declared inputs that are not initialisers.
        outputs: declared outputs.
        types: for each value its element type as numpy names it, "" where that is not a signed
            integer; those of nodes follow from their operators, whatever the file declares.
        used: outputs of the nodes that the match has explained so far.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Check and index a graph.

        Raises:
            QDeployError: it holds something that is not supported, or is not well formed.
        """
        if len(graph.node) > MAX_NODES:
            raise QDeployError(f"the graph has {len(graph.node)} nodes; {MAX_NODES} are allowed")
        if graph.sparse_initializer:
            raise QDeployError("sparse initialisers are not supported; store them densely")
        self._tensors: dict[str, onnx.TensorProto] = {}
        for tensor in graph.initializer:
            if not tensor.name or tensor.name in self._tensors:
                raise QDeployError(f"initialiser {shown(tensor.name)} is nameless or given twice")
            if tensor.data_type not in TensorProto.DataType.values()[1:]:
                raise QDeployError(
                    f"initialiser {shown(tensor.name)} has the unknown element type "
                    f"{tensor.data_type}"
                )
            self._tensors[tensor.name] = tensor
        self.inputs = [item for item in graph.input if item.name not in self._tensors]
        self.outputs = list(graph.output)
        self._nodes: dict[str, onnx.NodeProto] = {}
        self.used: set[str] = set()
        self.types = {name: _type_name(tensor) for name, tensor in self._tensors.items()}
        for item in self.inputs:
            self.types[item.name] = INTEGERS.get(item.type.tensor_type.elem_type, ("", 0))[0]
        for node in graph.node:
            _check_node(node)
            for name in node.input:
                if name and name not in self.types:
                    raise QDeployError(
                        f"{label_of(node)} uses {shown(name)}, which nothing before it gives"
                    )
            output = node.output[0]
            if output in self.types:
                raise QDeployError(f"{label_of(node)} gives {shown(output)} a second time")
            self._nodes[output] = node
            self.types[output] = self._result_type(node)
        for item in self.outputs:
            if item.name not in self.types:
                raise QDeployError(f"nothing gives the graph's output {shown(item.name)}")

    def _result_type(self, node: onnx.NodeProto) -> str:
        match node.op_type:
            case "MatMulInteger":
                return "int32"
            case "QuantizeLinear":
                return "int8"
            case "Cast":
                return INTEGERS.get(_target(node), ("", 0))[0]
            case "Constant":
                value = attributes_of(node).get("value")
                return _type_name(value) if isinstance(value, onnx.TensorProto) else ""
            case _:
                return self.types[node.input[0]]

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that computes a value, marked as used; None for inputs and initialisers."""
        node = self._nodes.get(name)
        if node is not None:
            self.used.add(name)
        return node

    @property
    def unused(self) -> list[onnx.NodeProto]:
        """Nodes that no call of `producer` or `constant` has reached."""
        return [node for name, node in self._nodes.items() if name not in self.used]

    def is_constant(self, name: str) -> bool:
        """Whether a value is an initialiser, a Constant, or a Cast of one of them."""
        return self._origin(name) is not None

    def constant(self, name: str) -> NDArray[Any]:
        """The value of a constant, after the casts behind it.

        Raises:
            QDeployError: it is not constant, not of a supported type, or its data are damaged.
        """
        origin = self._origin(name)
        if origin is None:
            raise QDeployError(f"{shown(name)} must be constant: an initialiser or a Constant node")
        tensor, casts = origin
        values = _tensor_values(tensor, shown(tensor.name or name))
        for node in casts:
            values = _cast_constant(values, node)
        return values

    def _origin(self, name: str) -> tuple[onnx.TensorProto, list[onnx.NodeProto]] | None:
        """The tensor behind a constant and the casts from it to the value, in order."""
        casts: list[onnx.NodeProto] = []
        passed = [name]
        while name not in self._tensors:
            node = self._nodes.get(name)
            if node is None or node.op_type not in ("Cast", "Constant"):
                return None
            if node.op_type == "Constant":
                tensor = attributes_of(node).get("value")
                if not isinstance(tensor, onnx.TensorProto):
                    raise QDeployError(f"{label_of(node)} must carry its value as a tensor")
                self.used.update(passed)
                return tensor, casts[::-1]
            casts.append(node)
            name = node.input[0]
            passed.append(name)
        self.used.update(passed)
        return self._tensors[name], casts[::-1]


def _type_name(tensor: onnx.TensorProto) -> str:
    return INTEGERS.get(tensor.data_type, ("", 0))[0]


def _target(node: onnx.NodeProto) -> int:
    """Element type that a Cast states, 0 (undefined) when it states none."""
    target = attributes_of(node).get("to")
    return target if isinstance(target, int) else 0


def _check_node(node: onnx.NodeProto) -> None:
    operator = node.op_type
    if node.domain not in ("", "ai.onnx") or operator not in ATTRIBUTES:
        domain = f" of domain {shown(node.domain)}" if node.domain else ""
        raise QDeployError(
            f"{label_of(node)}{domain} is not supported; a model is made of "
            f"{', '.join(sorted(ATTRIBUTES))}"
        )
    for item in node.attribute:
        if item.name not in ATTRIBUTES[operator]:
            raise QDeployError(f"{label_of(node)} has an unknown attribute {shown(item.name)}")
    least, most = INPUT_COUNTS.get(operator, (2, 2))
    given = len(node.input)
    if not least <= given <= most or not all(node.input[:least]):
        raise QDeployError(f"{label_of(node)} has {given} inputs where {least} are needed")
    if len(node.output) != 1 or not node.output[0]:
        raise QDeployError(f"{label_of(node)} must give exactly one value")


def _tensor_values(tensor: onnx.TensorProto, name: str) -> NDArray[Any]:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise QDeployError(
            f"tensor {name} is stored outside the file; save the model with its weights inside"
        )
    bits = INTEGERS.get(tensor.data_type, ("", 0))[1] or _OTHER_BITS.get(tensor.data_type, 0)
    if not bits and tensor.data_type != TensorProto.STRING:
        raise QDeployError(
            f"tensor {name} has element type {tensor.data_type}; signed integers are supported"
        )
    if len(tensor.dims) > 2 or min(tensor.dims, default=1) < 1:
        raise QDeployError(
            f"tensor {name} has shape {list(tensor.dims)[:8]}; at most two dimensions, none empty, "
            "are supported"
        )
    count = math.prod(tensor.dims)
    if count > MAX_ELEMENTS:
        raise QDeployError(f"tensor {name} declares {count} values; {MAX_ELEMENTS} are allowed")
    if tensor.HasField("raw_data") and bits:
        size = -(-count * bits // 8)
        if len(tensor.raw_data) != size:
            raise QDeployError(
                f"tensor {name} of shape {list(tensor.dims)} holds {len(tensor.raw_data)} bytes "
                f"where {size} are needed"
            )
    elif bits in (8, 16) and tensor.data_type in INTEGERS and tensor.int32_data:
        half = 2 ** (bits - 1)
        if min(tensor.int32_data) < -half or max(tensor.int32_data) >= half:
            raise QDeployError(f"tensor {name} holds values outside its {bits}-bit type")
    try:
        values = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, AttributeError) as error:
        raise QDeployError(
            f"tensor {name} of shape {list(tensor.dims)} is damaged: "
            f"{' '.join(str(error).split())[:160]}"
        ) from error
    if values.shape != tuple(tensor.dims):
        raise QDeployError(f"tensor {name} of shape {list(tensor.dims)} has too few values")
    return values.astype(np.int8) if bits in (2, 4) else values


def _cast_constant(values: NDArray[Any], node: onnx.NodeProto) -> NDArray[Any]:
    """A constant behind a Cast, which must be between integers and keep every value."""
    target = INTEGERS.get(_target(node), ("", 0))
    if values.dtype.kind != "i" or target[1] < 8:
        raise QDeployError(f"{label_of(node)} of a constant must cast between signed integers")
    cast = values.astype(target[0])
    if not np.array_equal(cast, values):
        raise QDeployError(f"{label_of(node)} does not keep the values of its constant")
    return cast
