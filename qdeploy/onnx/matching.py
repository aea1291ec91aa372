"""The integer layers that an ONNX graph computes, found by walking back from its scores.

    linear    = MatMulInteger(x, W) | MatMul(x, W), then optionally Add(·, b)
    layer     = Mul(linear, linear) of the same x  (quadratic)  |  linear  (readout)
    network   = one layer or more; Casts to a wider integer may stand between any two operators

Types and order of evaluation are the graph's own, so a second pass proves that no stage of it can
overflow: then it computes what the network means, for every input.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.network import (
    INPUT_MAGNITUDE,
    Layer,
    QuadraticLayer,
    QuantizedNetwork,
    ReadoutLayer,
    weighted_magnitudes,
)
from qdeploy.onnx.graph import CheckedGraph, label_of, shown

__all__ = ["Match", "match_network"]

MAX_WEIGHTS = 2**26

_WIDENING = {
    ("int8", "int32"),
    ("int8", "int64"),
    ("int32", "int32"),
    ("int32", "int64"),
    ("int64", "int64"),
}

_GRAMMAR = (
    "the integer core must be MatMulInteger or MatMul by a constant, Add of a constant bias, Mul "
    "of two such sums of the same input, and Cast to int32 or int64"
)


IntegerType = TypeVar("IntegerType", bound=np.signedinteger[Any])


@dataclass(frozen=True, eq=False)
class Match:
    """What the walk found.

    Attributes:
        network: the integer layers.
        source: name of the int8 value that feeds them.
        score_dtype: integer type of the scores in the graph.
    """

    network: QuantizedNetwork
    source: str
    score_dtype: str


@dataclass(frozen=True, eq=False)
class _Linear:
    """One matched sum of products: weights (inputs, width) and bias (width,), and their nodes."""

    weights: NDArray[np.int64]
    bias: NDArray[np.int64]
    source: str
    product: onnx.NodeProto
    added: onnx.NodeProto | None


def match_network(graph: CheckedGraph, scores: str) -> Match:
    """Find the integer layers behind a graph's scores.

    Args:
        graph: the checked graph.
        scores: name of the value that holds the scores.

    Raises:
        QDeployError: the graph computes something else, or a stage of it can overflow.
    """
    layer: Layer
    multiplied: onnx.NodeProto | None
    layers: list[Layer] = []
    matched: list[tuple[list[_Linear], onnx.NodeProto | None]] = []
    name, size = scores, 0
    while True:
        name = _behind_casts(graph, name)
        node = graph.producer(name)
        if node is None or node.op_type == "QuantizeLinear":
            break
        if node.op_type == "Mul":
            sides = [_match_linear(graph, side) for side in node.input]
            if sides[0].source != sides[1].source:
                raise QDeployError(
                    f"{label_of(node)} multiplies sums of different inputs; {_GRAMMAR}"
                )
            layer, multiplied = _quadratic(sides), node
        else:
            sides, multiplied = [_match_linear(graph, name)], None
            weights = _narrowed(sides[0].weights, np.int32, sides[0])
            layer = ReadoutLayer(weights, sides[0].bias)
        size += sum(side.weights.size for side in sides)
        if size > MAX_WEIGHTS:
            raise QDeployError(f"the graph has more than {MAX_WEIGHTS} weights")
        layers.insert(0, layer)
        matched.insert(0, (sides, multiplied))
        name = sides[0].source
    if not layers:
        raise QDeployError(f"the output {shown(scores)} is not computed by a layer; {_GRAMMAR}")
    network = QuantizedNetwork(layers)
    _prove_widths(network, matched, graph)
    return Match(network, name, graph.types[scores])


def _match_linear(graph: CheckedGraph, name: str) -> _Linear:
    name = _behind_casts(graph, name)
    node = graph.producer(name)
    bias_name, added = None, None
    if node is not None and node.op_type == "Add":
        constants = [graph.is_constant(side) for side in node.input]
        if constants.count(True) != 1:
            raise QDeployError(f"{label_of(node)} must add one constant bias; {_GRAMMAR}")
        added, bias_name = node, node.input[constants.index(True)]
        name = _behind_casts(graph, node.input[constants.index(False)])
        node = graph.producer(name)
    if node is None:
        raise QDeployError(f"{shown(name)} is used where a sum of products is needed; {_GRAMMAR}")
    if node.op_type not in ("MatMulInteger", "MatMul"):
        raise QDeployError(f"{label_of(node)} is not supported here; {_GRAMMAR}")
    weights = _integers(graph, node.input[1], node)
    if weights.ndim != 2:
        raise QDeployError(f"{label_of(node)} must multiply by a matrix, not {weights.shape}")
    for zero_point in node.input[2:]:
        _check_zero_point(graph, zero_point, weights.shape[1], node)
    _check_operands(graph, node)
    bias = np.zeros(weights.shape[1], dtype=np.int64)
    if added is not None and bias_name is not None:
        _check_operands(graph, added)
        bias = _bias(_integers(graph, bias_name, added), weights.shape[1], added)
    return _Linear(weights, bias, _behind_casts(graph, node.input[0]), node, added)


def _integers(graph: CheckedGraph, name: str, node: onnx.NodeProto) -> NDArray[np.int64]:
    if not graph.is_constant(name):
        raise QDeployError(f"{label_of(node)} needs {shown(name)} to be constant; {_GRAMMAR}")
    values = graph.constant(name)
    if values.dtype.kind != "i":
        raise QDeployError(
            f"{label_of(node)} uses {shown(name)} of type {values.dtype}; signed integers are "
            "needed"
        )
    return values.astype(np.int64)


def _check_zero_point(graph: CheckedGraph, name: str, width: int, node: onnx.NodeProto) -> None:
    """Zero points, where present, must be zero."""
    if not name:
        return
    values = _integers(graph, name, node)
    if values.any():
        raise QDeployError(
            f"{label_of(node)} has a zero point other than 0; fold it into the bias that follows"
        )
    if values.ndim > 1 or values.size not in (1, width):
        raise QDeployError(f"{label_of(node)} has a zero point of shape {values.shape}; use (1,)")


def _bias(values: NDArray[np.int64], width: int, node: onnx.NodeProto) -> NDArray[np.int64]:
    if values.shape not in ((), (1,), (width,), (1, 1), (1, width)):
        raise QDeployError(
            f"{label_of(node)} adds a bias of shape {values.shape} to {width} values a row"
        )
    return np.broadcast_to(values.reshape(-1), (width,))


def _quadratic(sides: list[_Linear]) -> QuadraticLayer:
    (left, left_bias), (right, right_bias) = (
        (_narrowed(side.weights.T, np.int8, side), _narrowed(side.bias, np.int32, side))
        for side in sides
    )
    return QuadraticLayer(left, right, left_bias, right_bias)


def _narrowed(
    values: NDArray[np.int64], dtype: type[IntegerType], side: _Linear
) -> NDArray[IntegerType]:
    info = np.iinfo(dtype)
    if values.min() < info.min or values.max() > info.max:
        raise QDeployError(
            f"{label_of(side.product)} or the bias after it holds values from {values.min()} to "
            f"{values.max()}; a layer of this kind takes {dtype.__name__} there"
        )
    return values.astype(dtype)


def _behind_casts(graph: CheckedGraph, name: str) -> str:
    """The value before the casts that end in `name`; each must widen a signed integer."""
    while True:
        node = graph.producer(name)
        if node is None or node.op_type != "Cast":
            return name
        before, after = graph.types[node.input[0]], graph.types[name]
        if (before, after) not in _WIDENING:
            raise QDeployError(
                f"{label_of(node)} casts {before or 'another type'} to "
                f"{after or 'another type'}; only casts to a wider signed integer are supported"
            )
        name = node.input[0]


def _check_operands(graph: CheckedGraph, node: onnx.NodeProto) -> None:
    """Refuse a node whose operands have types that its operator cannot take together."""
    given = [graph.types[name] for name in node.input[:2]]
    allowed = ("int8",) if node.op_type == "MatMulInteger" else ("int32", "int64")
    if given[0] != given[1] or given[0] not in allowed:
        kinds = " and ".join(kind or "another type" for kind in given)
        raise QDeployError(f"{label_of(node)} takes {kinds}; both must be {' or '.join(allowed)}")


def _prove_widths(
    network: QuantizedNetwork,
    matched: list[tuple[list[_Linear], onnx.NodeProto | None]],
    graph: CheckedGraph,
) -> None:
    """Refuse a graph in which some stage is too narrow for what some input makes of it."""
    magnitudes = np.full(network.inputs, INPUT_MAGNITUDE, dtype=object)
    for layer, (sides, multiplied) in zip(network.layers, matched, strict=True):
        for side in sides:
            bounds = weighted_magnitudes(side.weights.T, magnitudes)
            _prove(bounds, side.product, graph)
            if side.added is not None:
                _prove(bounds + abs(side.bias.astype(object)), side.added, graph)
        magnitudes = layer.magnitudes(magnitudes)
        if multiplied is not None:
            _check_operands(graph, multiplied)
            _prove(magnitudes, multiplied, graph)


def _prove(bounds: NDArray[np.object_], node: onnx.NodeProto, graph: CheckedGraph) -> None:
    computed = graph.types[node.output[0]]
    if int(bounds.max()) >= (2**63 if computed == "int64" else 2**31):
        raise QDeployError(
            f"{label_of(node)} computes in {computed}, which its values can exceed "
            f"({int(bounds.max()):.3e}); cast its inputs to int64"
        )
