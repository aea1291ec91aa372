"""Model to ONNX: a core of integer operators, with a float front and a tail where asked for.

The graph is written for the widest support: opset 13, plain int8 weights, both zero points of
MatMulInteger present with shape [1], every bias added even when it is zero (one shape of graph for
whoever matches it). The same model gives the same bytes. docs/file-formats.md shows the graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from qdeploy import __version__
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Head, Model
from qdeploy.network import INPUT_MAGNITUDE, Layer, ReadoutLayer
from qdeploy.onnx.metadata import encode

__all__ = ["IR_VERSION", "OPSET", "GraphBuilder", "Value", "add_front", "add_tail", "export"]

OPSET = 13
"""The first with per-axis QuantizeLinear; nothing newer is needed."""

IR_VERSION = 7

_ELEMENT_TYPES = {"int8": TensorProto.INT8, "int32": TensorProto.INT32, "int64": TensorProto.INT64}


@dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Attributes:
        name: its name.
        dtype: numpy name of its element type.
    """

    name: str
    dtype: str


class GraphBuilder:
    """Collects nodes and initialisers.

    Attributes:
        nodes: in the order of computation.
        initializers: constants.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add an initialiser and return its name."""
        little_endian = np.ascontiguousarray(array).reshape(array.shape)
        self.initializers.append(numpy_helper.from_array(little_endian, name))
        return name

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node called after its only output, and return that name."""
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def cast(self, value: Value, dtype: str, name: str) -> Value:
        """The value in another integer type; itself when it has that type."""
        if value.dtype == dtype:
            return value
        return Value(self.node("Cast", [value.name], name, to=_ELEMENT_TYPES[dtype]), dtype)


def export(model: Model, *, front: bool = False, tail: bool = False) -> onnx.ModelProto:
    """The model as an ONNX graph, checked by onnx.checker.

    Args:
        model: what to export.
        front: take raw float32 features (batch, D) and quantise them in the graph; otherwise the
            input is `x`, int8 (batch, d).
        tail: give a second output beside `scores` (batch, K): `label` (batch,), or `value`,
            float64 (batch,) or (batch, K), for regression.

    Raises:
        QDeployError: a front is asked of a model without a quantiser, or the model holds something
            that the file cannot carry.
    """
    graph = GraphBuilder()
    if front:
        if model.quantizer is None:
            raise QDeployError(
                f"model {model.name!r} has no input quantiser, so no float front can be exported"
            )
        width = len(model.quantizer.feature_names)
        source = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", width])
        value = Value(add_front(graph, model.quantizer, "features"), "int8")
    else:
        width = model.network.inputs
        source = helper.make_tensor_value_info("x", TensorProto.INT8, ["batch", width])
        value = Value("x", "int8")
    scores = _core(graph, model, value)
    outputs = [
        helper.make_tensor_value_info(
            scores.name, _ELEMENT_TYPES[scores.dtype], ["batch", model.network.outputs]
        )
    ]
    if tail:
        outputs.append(add_tail(graph, model.head, model.scale, scores))
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes, model.name, [source], outputs, initializer=graph.initializers
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="qdeploy",
        producer_version=__version__,
    )
    for key, text in encode(model).items():
        proto.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def add_front(graph: GraphBuilder, quantizer: InputQuantizer, features: str) -> str:
    """Append raw features (batch, D) to quantised inputs (batch, d); return their name."""
    kept = quantizer.kept
    if not np.array_equal(kept, np.arange(len(quantizer.feature_names))):
        features = graph.node(
            "Gather", [features, graph.constant("kept", kept)], "kept_features", axis=1
        )
    centred = graph.node(
        "Sub", [features, graph.constant("offset", quantizer.offset)], "centred_features"
    )
    zero_points = np.full(kept.size, quantizer.zero_point, dtype=np.int8)
    return graph.node(
        "QuantizeLinear",
        [
            centred,
            graph.constant("step", quantizer.scale),
            graph.constant("input_zero_point", zero_points),
        ],
        "x",
        axis=1,
    )


def _core(graph: GraphBuilder, model: Model, value: Value) -> Value:
    """Append the integer layers, in the accumulator widths that the network proves."""
    graph.constant("zero_point", np.zeros(1, dtype=np.int8))
    network = model.network
    for number, (layer, widths) in enumerate(
        zip(network.layers, network.accumulators, strict=True), start=1
    ):
        output = "scores" if number == len(network.layers) else f"layer{number}"
        value = _add_layer(graph, layer, dict(widths), value, f"layer{number}", output)
    return value


def _add_layer(
    graph: GraphBuilder,
    layer: Layer,
    widths: dict[str, str],
    value: Value,
    prefix: str,
    output: str,
) -> Value:
    if isinstance(layer, ReadoutLayer):
        return _linear(
            graph, value, (layer.weights, layer.bias), widths["sum"], f"{prefix}_readout", output
        )
    sides = [
        _linear(graph, value, side, widths["dot"], f"{prefix}_{name}", f"{prefix}_{name}")
        for name, side in (
            ("left", (layer.left.T, layer.left_bias)),
            ("right", (layer.right.T, layer.right_bias)),
        )
    ]
    left, right = (graph.cast(side, widths["product"], f"{side.name}_wide") for side in sides)
    return Value(graph.node("Mul", [left.name, right.name], output), widths["product"])


def _linear(
    graph: GraphBuilder,
    value: Value,
    parameters: tuple[NDArray[np.integer], NDArray[np.integer]],
    width: str,
    prefix: str,
    output: str,
) -> Value:
    """Append value @ weights + bias, accumulated in `width`.

    Int8 values with int8 weights whose sums fit int32 go through MatMulInteger; anything else
    through MatMul in `width`.
    """
    weights, bias = parameters
    name = f"{prefix}_weights"
    if value.dtype == "int8" and _fits_matmul_integer(weights):
        given = graph.constant(name, weights.astype(np.int8))
        inputs = [value.name, given, "zero_point", "zero_point"]
        total = Value(graph.node("MatMulInteger", inputs, f"{prefix}_sum"), "int32")
        total = graph.cast(total, width, f"{prefix}_sum_wide")
    else:
        value = graph.cast(value, width, f"{prefix}_input")
        given = graph.constant(name, weights.astype(width))
        total = Value(graph.node("MatMul", [value.name, given], f"{prefix}_sum"), width)
    added = graph.constant(f"{prefix}_bias", bias.astype(width))
    return Value(graph.node("Add", [total.name, added], output), width)


def _fits_matmul_integer(weights: NDArray[np.integer]) -> bool:
    wide = weights.astype(np.int64)
    if wide.min() < -128 or wide.max() > 127:
        return False
    return int(np.abs(wide).sum(axis=0).max()) * INPUT_MAGNITUDE < 2**31


def add_tail(graph: GraphBuilder, head: Head, scale: float, scores: Value) -> onnx.ValueInfoProto:
    """Append what the scores mean, `label` or `value`; return the output's declaration."""
    if head.outputs == 1:
        first = graph.constant("first_column", np.array(0, dtype=np.int64))
        column = graph.node("Gather", [scores.name, first], "score_column", axis=1)
    if isinstance(head, Classes):
        labels = _label_array(head)
        if head.outputs == 1:
            zero = graph.constant("zero_score", np.array(0, dtype=scores.dtype))
            positive = graph.node("Greater", [column, zero], "is_second_class")
            index = graph.node("Cast", [positive], "class_index", to=TensorProto.INT64)
        else:
            index = graph.node("ArgMax", [scores.name], "class_index", axis=1, keepdims=0)
        graph.node("Gather", [graph.constant("labels", labels), index], "label", axis=0)
        kind = helper.np_dtype_to_tensor_dtype(labels.dtype)
        return helper.make_tensor_value_info("label", kind, ["batch"])
    units = column if head.outputs == 1 else scores.name
    shape: list[str | int] = ["batch"] if head.outputs == 1 else ["batch", head.outputs]
    real = graph.node("Cast", [units], "real_scores", to=TensorProto.DOUBLE)
    factor = graph.constant("score_scale", np.array(scale, dtype=np.float64))
    scaled = graph.node("Mul", [real, factor], "scaled_scores")
    deviation = graph.constant("deviation", np.array(head.deviation, dtype=np.float64))
    spread = graph.node("Mul", [scaled, deviation], "spread_scores")
    mean = graph.constant("mean", np.array(head.mean, dtype=np.float64))
    graph.node("Add", [spread, mean], "value")
    return helper.make_tensor_value_info("value", TensorProto.DOUBLE, shape)


def _label_array(head: Classes) -> NDArray[Any]:
    """The labels as numpy stacks them (as `Classes.decide` does), strings as objects for ONNX."""
    labels = np.array(head.labels)
    if labels.dtype.kind == "U":
        return labels.astype(object)
    if labels.dtype not in (np.int64, np.float64, np.bool_):
        raise QDeployError(
            "class labels of such different kinds or sizes do not fit one ONNX tensor; "
            "export without the tail"
        )
    return labels
