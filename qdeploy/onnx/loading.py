"""ONNX to model: the graph says what the network computes, the metadata what it means.

A file that qdeploy wrote gives the same model back; its float front and its tail must be exactly
those that the metadata would write. A file from elsewhere may hold the integer core alone.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto

from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model
from qdeploy.onnx.export import GraphBuilder, Value, add_front, add_tail
from qdeploy.onnx.graph import CheckedGraph, attributes_of, label_of, shown
from qdeploy.onnx.matching import Match, match_network
from qdeploy.onnx.metadata import decode

__all__ = ["from_proto"]

OLDEST_OPSET = 10
"""MatMulInteger's first."""


def from_proto(proto: onnx.ModelProto, *, name: str = "model") -> Model:
    """The model in an ONNX graph.

    Args:
        proto: the graph with its metadata, if any.
        name: what to call a model without metadata (made a valid C name).

    Returns:
        The model as it was exported; or, without qdeploy's metadata, a bare classifier with labels
        0, 1, … whose scores have scale 1.

    Raises:
        QDeployError: the graph computes something else, or graph and metadata disagree.
    """
    _check_envelope(proto)
    metadata = decode(_properties(proto))
    graph = CheckedGraph(proto.graph)
    if len(graph.inputs) != 1 or not 1 <= len(graph.outputs) <= 2:
        raise QDeployError(
            f"the graph has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; one "
            "input, the scores and at most one output after them are supported"
        )
    match = match_network(graph, graph.outputs[0].name)
    model = metadata.complete(match.network) if metadata else _bare_model(match, name)
    _check_source(graph, match, model)
    _check_output_type(graph.outputs[0], match.score_dtype)
    if len(graph.outputs) == 2:
        _check_tail(graph, match, model)
    if graph.unused:
        raise QDeployError(f"{label_of(graph.unused[0])} plays no part in the output; remove it")
    _check_standard(proto)
    return model


def _check_envelope(proto: onnx.ModelProto) -> None:
    versions = [item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if not proto.HasField("graph") or not proto.graph.node:
        raise QDeployError("the file holds no ONNX graph")
    if len(versions) != 1 or not OLDEST_OPSET <= versions[0] <= newest:
        given = ", ".join(str(version) for version in versions[:3]) or "none"
        raise QDeployError(
            f"the file states operator set {given}; one from {OLDEST_OPSET} to {newest} is needed"
        )
    if proto.functions or proto.training_info:
        raise QDeployError("model-local functions and training graphs are not supported")
    if any(isinstance(text, bytes) for text in _texts(proto)):
        raise QDeployError("the file holds names that are not UTF-8 text; it was damaged")


def _texts(proto: onnx.ModelProto) -> Iterator[str | bytes]:
    """Every text that is looked at later; protobuf hands out bytes where it is not UTF-8."""
    for entry in proto.metadata_props:
        yield from (entry.key, entry.value)
    for node in proto.graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for items in (proto.graph.input, proto.graph.output, proto.graph.initializer):
        yield from (item.name for item in items)


def _properties(proto: onnx.ModelProto) -> Mapping[str, str]:
    properties: dict[str, str] = {}
    for item in proto.metadata_props:
        if item.key in properties:
            raise QDeployError(f"metadata {shown(item.key)} is given twice")
        properties[item.key] = item.value
    return properties


def _bare_model(match: Match, name: str) -> Model:
    outputs = match.network.outputs
    identifier = re.sub(r"[^A-Za-z0-9_]+", "_", name)[:60].strip("_") or "model"
    if identifier[0].isdigit():
        identifier = f"m_{identifier}"
    return Model(
        name=identifier,
        network=match.network,
        scale=1.0,
        head=Classes(tuple(range(max(outputs, 2))), outputs),
    )


def _check_source(graph: CheckedGraph, match: Match, model: Model) -> None:
    """What feeds the core: the graph's int8 input, or the front that the quantiser would write."""
    source = graph.inputs[0]
    if match.source == source.name:
        _check_input(source, TensorProto.INT8, "int8", model.network.inputs)
        return
    node = graph.producer(match.source)
    if node is None:
        raise QDeployError(f"the layers are fed by {shown(match.source)}, not by the graph's input")
    if model.quantizer is None:
        raise QDeployError(
            f"{label_of(node)} quantises float features, which needs the quantiser in qdeploy's "
            "metadata; export the integer core alone, with an int8 input"
        )
    _check_input(source, TensorProto.FLOAT, "float32", len(model.quantizer.feature_names))
    expected = GraphBuilder()
    result = add_front(expected, model.quantizer, source.name)
    if not _same(expected, result, graph, match.source, {source.name: source.name}):
        raise QDeployError(
            f"{label_of(node)} and the nodes before it are not the front that the quantiser in "
            "the metadata describes; the file was damaged or edited"
        )


def _check_input(source: onnx.ValueInfoProto, element: int, kind: str, width: int) -> None:
    declared = source.type.tensor_type
    dims = declared.shape.dim
    if declared.elem_type != element or len(dims) != 2:
        raise QDeployError(
            f"the graph's input {shown(source.name)} must be {kind} of shape (batch, {width})"
        )
    if dims[0].HasField("dim_value") and dims[0].dim_value < 1:
        raise QDeployError(
            f"the graph's input {shown(source.name)} declares {dims[0].dim_value} rows; leave the "
            "number open"
        )
    if dims[1].HasField("dim_value") and dims[1].dim_value != width:
        raise QDeployError(
            f"the graph's input {shown(source.name)} has {dims[1].dim_value} columns but the "
            f"layers take {width}"
        )


def _check_output_type(output: onnx.ValueInfoProto, dtype: str) -> None:
    declared = output.type.tensor_type.elem_type
    if declared != onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)):
        raise QDeployError(
            f"the graph's output {shown(output.name)} is declared as element type {declared} but "
            f"is {dtype}"
        )


def _check_tail(graph: CheckedGraph, match: Match, model: Model) -> None:
    """The second output must be what the head and scale of the model would write."""
    expected = GraphBuilder()
    scores, output = graph.outputs[0].name, graph.outputs[1].name
    result = add_tail(expected, model.head, model.scale, Value(scores, match.score_dtype))
    same_type = graph.outputs[1].type.tensor_type.elem_type == result.type.tensor_type.elem_type
    if not same_type or not _same(expected, result.name, graph, output, {scores: scores}):
        raise QDeployError(
            f"the output {shown(output)} is not the {result.name} that the model's metadata "
            "describes; remove it, or export the file again"
        )


def _same(
    expected: GraphBuilder,
    expected_name: str,
    graph: CheckedGraph,
    name: str,
    leaves: Mapping[str, str],
) -> bool:
    """Whether two values are the same expression of the same leaves, bit for bit."""
    if expected_name in leaves:
        return name == leaves[expected_name]
    for tensor in expected.initializers:
        if tensor.name == expected_name:
            if not graph.is_constant(name):
                return False
            wanted, found = onnx.numpy_helper.to_array(tensor), graph.constant(name)
            return (
                wanted.dtype == found.dtype
                and wanted.shape == found.shape
                and (wanted.dtype == object or wanted.tobytes() == found.tobytes())
                and bool(np.array_equal(wanted, found))
            )
    wanted_node = next(node for node in expected.nodes if node.output[0] == expected_name)
    node = graph.producer(name)
    return (
        node is not None
        and node.op_type == wanted_node.op_type
        and attributes_of(node) == attributes_of(wanted_node)
        and len(node.input) == len(wanted_node.input)
        and all(
            _same(expected, wanted_name, graph, given_name, leaves)
            for wanted_name, given_name in zip(wanted_node.input, node.input, strict=True)
        )
    )


def _check_standard(proto: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = ascii(" ".join(str(error).split()))[1:-1][:200]
        raise QDeployError(f"the graph breaks the ONNX standard: {reason}") from error
