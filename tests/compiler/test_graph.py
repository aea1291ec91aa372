"""The network is found in Relax graphs, however they were written."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qdeploy.compiler.graph import import_graph, match_network, with_kernel
from qdeploy.compiler.isa import INSTRUCTION_SETS
from qdeploy.compiler.kernel import batch_function
from qdeploy.compiler.plan import make_plan
from qdeploy.errors import QDeployError
from qdeploy.onnx import export


def assert_same_network(found, expected):
    for ours, theirs in zip(found.layers, expected.layers, strict=True):
        for name in vars(theirs):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize(
    ("inputs", "neurons", "outputs", "options"),
    [
        (30, 40, 1, {}),
        (5, 3, 4, {"weights": "int8"}),
        (7, 2, 2, {"amplitude": 2**31 - 1}),
        (4, 6, 3, {"readout": "zero", "constant": 0}),
    ],
)
def test_exported_networks_are_found(model, inputs, neurons, outputs, options):
    subject = model(inputs, neurons, outputs, **options)
    match = match_network(import_graph(export(subject)))
    assert_same_network(match.network, subject.network)


def foreign(nodes, constants, score_type=TensorProto.INT32):
    """A graph from x, int8 (batch, 3), to scores (batch, 1)."""
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", TensorProto.INT8, ["batch", 3])],
        [helper.make_tensor_value_info("scores", score_type, ["batch", 1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


WEIGHTS = {
    "u": np.array([[1, -1], [1, 1], [-1, 1]], dtype=np.int8),
    "v": np.array([[1, 1], [-1, 1], [1, 1]], dtype=np.int8),
    "a": np.array([[2], [-3]], dtype=np.int32),
}


def test_a_graph_of_another_tool_is_found():
    """No zero points, no biases, the readout's bias first."""
    node = helper.make_node
    proto = foreign(
        [
            node("MatMulInteger", ["x", "u"], ["p"]),
            node("MatMulInteger", ["x", "v"], ["q"]),
            node("Mul", ["q", "p"], ["s"]),
            node("MatMul", ["s", "a"], ["t"]),
            node("Add", ["b", "t"], ["scores"]),
        ],
        WEIGHTS | {"b": np.array([7], dtype=np.int32)},
    )
    onnx.checker.check_model(proto, full_check=True)
    network = match_network(import_graph(proto)).network
    layer, readout = network.layers
    np.testing.assert_array_equal(layer.left, WEIGHTS["v"].T)
    np.testing.assert_array_equal(layer.right, WEIGHTS["u"].T)
    assert readout.bias.tolist() == [7]
    assert not layer.left_bias.any()


def test_a_graph_without_the_layers_is_refused():
    node = helper.make_node
    proto = foreign(
        [
            node("MatMulInteger", ["x", "u"], ["p"]),
            node("MatMul", ["p", "a"], ["scores"]),
        ],
        {name: WEIGHTS[name] for name in ("u", "a")},
    )
    with pytest.raises(QDeployError, match="no quadratic layer with a readout"):
        match_network(import_graph(proto))


def test_scores_in_a_type_that_may_overflow_are_refused():
    node = helper.make_node
    proto = foreign(
        [
            node("MatMulInteger", ["x", "u"], ["p"]),
            node("MatMulInteger", ["x", "v"], ["q"]),
            node("Mul", ["p", "q"], ["s"]),
            node("MatMul", ["s", "a"], ["scores"]),
        ],
        WEIGHTS | {"a": np.array([[2**30], [1]], dtype=np.int32)},
    )
    with pytest.raises(QDeployError, match="scores in int32, but only int64 holds them"):
        match_network(import_graph(proto))


def test_the_operators_are_replaced_by_one_call(model):
    subject = model(30, 40, 2)
    module = import_graph(export(subject))
    match = match_network(module)
    isa = next(entry for entry in INSTRUCTION_SETS if entry.name == "scalar")
    planned = make_plan(match.network, isa)
    function = batch_function(planned.batch, "kernel", 1)
    replaced = with_kernel(module, match, planned.batch, function, 1)
    text = replaced["main"].script()
    assert text.count("call_tir") == 1
    assert "matmul" not in text
    assert "multiply" not in text
