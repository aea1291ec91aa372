"""Files that no exporter writes: damaged, oversized or outside the standard."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from qdeploy.errors import QDeployError
from qdeploy.onnx import from_proto


def plain():
    """A small, good file."""
    arrays = {
        "A": np.array([[1, -1], [-1, 1], [1, 1]], dtype=np.int8),
        "B": np.array([[1, 1], [-1, -1], [-1, 1]], dtype=np.int8),
        "C": np.array([[3, -2], [5, 7]], dtype=np.int32),
    }
    nodes = [
        helper.make_node("MatMulInteger", ["data", "A"], ["p"]),
        helper.make_node("MatMulInteger", ["data", "B"], ["q"]),
        helper.make_node("Mul", ["p", "q"], ["s"]),
        helper.make_node("MatMul", ["s", "C"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("data", TensorProto.INT8, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["n", None])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_without_damage_it_is_a_model():
    assert from_proto(plain()).network.inputs == 3


def set_dims(proto, dims):
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend(dims)


def make_external(proto):
    tensor = proto.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def mistype(proto):
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.int32_data.extend([300] * 6)


BROKEN = {
    "external data": (make_external, "stored outside the file"),
    "huge dimensions": (lambda p: set_dims(p, [2**40, 2**20]), "values; 67108864 are allowed"),
    "negative dimensions": (lambda p: set_dims(p, [-1, 2]), "none empty"),
    "missing bytes": (lambda p: set_dims(p, [3, 20]), "holds 6 bytes where 60 are needed"),
    "values outside the type": (mistype, "values outside its 8-bit type"),
    "unknown element type": (
        lambda p: setattr(p.graph.initializer[0], "data_type", 99),
        "unknown element type 99",
    ),
    "a version of the format beyond ours": (
        lambda p: setattr(p, "ir_version", 1000),
        "breaks the ONNX standard",
    ),
    "no data": (lambda p: p.graph.initializer[0].ClearField("raw_data"), "is damaged|too few"),
    "a nameless tensor": (lambda p: p.graph.initializer[0].ClearField("name"), "nameless"),
    "a function": (lambda p: p.functions.add(name="f"), "functions"),
    "a sparse tensor": (lambda p: p.graph.sparse_initializer.add(), "sparse"),
    "no operator set": (lambda p: p.ClearField("opset_import"), "operator set none"),
    "a future operator set": (
        lambda p: setattr(p.opset_import[0], "version", 10_000),
        "operator set 10000",
    ),
    "no nodes": (lambda p: p.graph.ClearField("node"), "no ONNX graph"),
    "no graph": (lambda p: p.ClearField("graph"), "no ONNX graph"),
    "too many nodes": (
        lambda p: p.graph.node.extend(p.graph.node[0] for _ in range(2000)),
        "1000 are allowed",
    ),
    "an output too many": (lambda p: p.graph.node[0].output.append("more"), "exactly one value"),
    "an input too few": (lambda p: p.graph.node[0].input.pop(), "has 1 inputs where 2"),
    "a repeated key": (
        lambda p: [p.metadata_props.add(key="k", value="v") for _ in range(2)],
        "'k' is given twice",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_in_a_sentence(name):
    damage, message = BROKEN[name]
    proto = plain()
    damage(proto)
    with pytest.raises(QDeployError, match=message) as caught:
        from_proto(proto)
    assert "\n" not in str(caught.value)
