"""Graphs from elsewhere: which are models, and why others are not."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from qdeploy.errors import QDeployError
from qdeploy.model import Classes
from qdeploy.network import ReadoutLayer
from qdeploy.onnx import from_proto

LEFT = np.array([[1, -1], [-1, 1], [1, 1]], dtype=np.int8)
RIGHT = np.array([[1, 1], [-1, -1], [-1, 1]], dtype=np.int8)
READOUT = np.array([[3, -2], [5, 7]], dtype=np.int32)


def foreign(
    nodes, tensors, *, outputs=("y",), width=3, element=TensorProto.INT8, rank=2, kind=None
):
    """A graph from elsewhere, with input `data`."""
    kind = TensorProto.INT32 if kind is None else kind
    shape = ["n", width, 1][:rank]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("data", element, shape)],
        [helper.make_tensor_value_info(name, kind, ["n", None]) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(operator, inputs, output, **attributes):
    return helper.make_node(operator, inputs, [output], **attributes)


def plain_nodes():
    return [
        node("MatMulInteger", ["data", "A"], "p"),
        node("MatMulInteger", ["data", "B"], "q"),
        node("Mul", ["p", "q"], "s"),
        node("MatMul", ["s", "C"], "y"),
    ]


PLAIN = {"A": LEFT, "B": RIGHT, "C": READOUT}


def test_the_smallest_foreign_graph_is_a_classifier():
    model = from_proto(foreign(plain_nodes(), PLAIN), name="some file 1!")
    assert model.name == "some_file_1"
    assert model.head == Classes((0, 1), 2)
    assert (model.scale, model.quantizer, model.certificate) == (1.0, None, None)
    layer, readout = model.network.layers
    assert np.array_equal(layer.left, LEFT.T)
    assert np.array_equal(layer.right, RIGHT.T)
    assert not layer.left_bias.any()
    assert np.array_equal(readout.weights, READOUT)
    x = np.array([[1, 2, 3]], dtype=np.int8)
    assert model.scores(x).tolist() == [[16, 72]]
    assert model.predict(x).tolist() == [1]


def test_one_score_makes_two_classes():
    model = from_proto(foreign(plain_nodes(), {**PLAIN, "C": READOUT[:, :1]}))
    assert model.head == Classes((0, 1))


def test_three_scores_make_three_classes():
    tensors = {**PLAIN, "C": np.array([[1, 2, 3], [4, 5, 6]], np.int32)}
    assert from_proto(foreign(plain_nodes(), tensors)).head == Classes((0, 1, 2))


def test_optional_parts_and_other_spellings_are_understood():
    packed = helper.make_tensor(
        "A", TensorProto.INT4, LEFT.shape, LEFT.astype(np.int8).ravel().tolist()
    )
    constant = helper.make_tensor("shift", TensorProto.INT16, [1, 2], [10, -10])
    nodes = [
        node("Constant", [], "shift", value=constant),
        node("Cast", ["A"], "A8", to=TensorProto.INT8),
        node("MatMulInteger", ["data", "B", "", "zeros"], "q"),
        node("MatMulInteger", ["data", "A8", "zero"], "p"),
        node("Cast", ["shift"], "wide_shift", to=TensorProto.INT64),
        node("Cast", ["p"], "p64", to=TensorProto.INT64),
        node("Add", ["wide_shift", "p64"], "p_biased"),
        node("Cast", ["q"], "q64", to=TensorProto.INT64),
        node("Mul", ["p_biased", "q64"], "s"),
        node("MatMul", ["s", "C"], "y0"),
        node("Add", ["y0", "bias"], "y"),
    ]
    tensors = {
        "B": RIGHT,
        "C": READOUT.astype(np.int64),
        "zero": np.array(0, np.int8),
        "zeros": np.zeros(2, np.int8),
        "bias": np.array([7], np.int64),
    }
    proto = foreign(nodes, tensors, kind=TensorProto.INT64)
    proto.opset_import[0].version = 21
    proto.ir_version = 10
    proto.graph.initializer.append(packed)
    layer, readout = from_proto(proto).network.layers
    assert np.array_equal(layer.left, LEFT.T)
    assert layer.left_bias.tolist() == [10, -10]
    assert layer.right_bias.tolist() == [0, 0]
    assert readout.bias.tolist() == [7, 7]


def test_a_squared_sum_is_a_neuron_with_equal_sides():
    nodes = [
        node("MatMulInteger", ["data", "A"], "p"),
        node("Mul", ["p", "p"], "s"),
        node("MatMul", ["s", "C"], "y"),
    ]
    layer = from_proto(foreign(nodes, {"A": LEFT, "C": READOUT})).network.layers[0]
    assert np.array_equal(layer.left, LEFT.T)
    assert np.array_equal(layer.right, LEFT.T)


def test_initializers_listed_among_the_inputs_are_no_inputs():
    proto = foreign(plain_nodes(), PLAIN)
    proto.graph.input.append(helper.make_tensor_value_info("A", TensorProto.INT8, [3, 2]))
    assert from_proto(proto).network.inputs == 3


def replaced(position, *given):
    nodes = plain_nodes()
    nodes[position : position + 1] = given
    return nodes


REFUSED = {
    "an operator outside the table": (
        foreign(replaced(2, node("Div", ["p", "q"], "s")), PLAIN),
        r"node 's' \(Div\) is not supported; a model is made of Add, ArgMax, ",
    ),
    "an operator with a control character in its name": (
        foreign(replaced(2, node("M\0l", ["p", "q"], "s")), PLAIN),
        r"node 's' \(M\\x00l\) is not supported; a model is made of Add, ArgMax, ",
    ),
    "an operator of another domain": (
        foreign(replaced(2, node("Mul", ["p", "q"], "s", domain="com.microsoft")), PLAIN),
        r"node 's' \(Mul\) of domain 'com.microsoft' is not supported",
    ),
    "an operator in the wrong place": (
        foreign(replaced(2, node("Sub", ["p", "q"], "s")), PLAIN),
        r"node 'y' \(MatMul\)|node 's' \(Sub\) is not supported here",
    ),
    "an unknown attribute": (
        foreign(replaced(2, node("Mul", ["p", "q"], "s", broadcast=1)), PLAIN),
        r"node 's' \(Mul\) has an unknown attribute 'broadcast'",
    ),
    "a value that nothing gives": (
        foreign(replaced(2, node("Mul", ["p", "nowhere"], "s")), PLAIN),
        r"node 's' \(Mul\) uses 'nowhere', which nothing before it gives",
    ),
    "a cycle": (
        foreign(replaced(0, node("Add", ["s", "s"], "p")), PLAIN),
        r"node 'p' \(Add\) uses 's', which nothing before it gives",
    ),
    "a value given twice": (
        foreign([*plain_nodes(), node("Mul", ["p", "q"], "s")], PLAIN),
        r"gives 's' a second time",
    ),
    "a node without part in the output": (
        foreign([*plain_nodes(), node("Mul", ["p", "q"], "spare")], PLAIN),
        r"node 'spare' \(Mul\) plays no part",
    ),
    "an output that nothing gives": (
        foreign(plain_nodes(), PLAIN, outputs=("z",)),
        "nothing gives the graph's output 'z'",
    ),
    "three outputs": (
        foreign(plain_nodes(), PLAIN, outputs=("y", "p", "q")),
        "1 inputs and 3 outputs",
    ),
    "a second output that is no tail": (
        foreign(plain_nodes(), PLAIN, outputs=("y", "s")),
        "the output 's' is not the label",
    ),
    "float inputs": (
        foreign(plain_nodes(), PLAIN, element=TensorProto.FLOAT),
        r"node 'p' \(MatMulInteger\) takes another type and int8; both must be int8",
    ),
    "unsigned inputs": (
        foreign(plain_nodes(), PLAIN, element=TensorProto.UINT8),
        "both must be int8",
    ),
    "an input of another width": (
        foreign(plain_nodes(), PLAIN, width=4),
        "has 4 columns but the layers take 3",
    ),
    "an input of three dimensions": (
        foreign(plain_nodes(), PLAIN, rank=3),
        r"must be int8 of shape \(batch, 3\)",
    ),
    "a zero point other than zero": (
        foreign(
            replaced(0, node("MatMulInteger", ["data", "A", "z"], "p")),
            {**PLAIN, "z": np.array([3], np.int8)},
        ),
        r"node 'p' \(MatMulInteger\) has a zero point other than 0; fold it",
    ),
    "weights that are not constant": (
        foreign(replaced(3, node("MatMul", ["s", "p"], "y")), {"A": LEFT, "B": RIGHT}),
        r"node 'y' \(MatMul\) needs 'p' to be constant",
    ),
    "float weights": (
        foreign(plain_nodes(), {**PLAIN, "C": READOUT.astype(np.float32)}),
        r"node 'y' \(MatMul\) uses 'C' of type float32",
    ),
    "weights of another type than the values": (
        foreign(plain_nodes(), {**PLAIN, "C": READOUT.astype(np.int64)}),
        r"takes int32 and int64; both must be",
    ),
    "weights that are no matrix": (
        foreign(plain_nodes(), {**PLAIN, "C": READOUT[0]}),
        r"must multiply by a matrix, not \(2,\)",
    ),
    "empty weights": (
        foreign(plain_nodes(), {**PLAIN, "C": np.zeros((2, 0), np.int32)}),
        r"shape \[2, 0\]",
    ),
    "widths that do not chain": (
        foreign(plain_nodes(), {**PLAIN, "C": np.zeros((3, 1), np.int32)}),
        r"gives 2 values but layer 2 \(readout\) takes 3",
    ),
    "sides of different width": (
        foreign(plain_nodes(), {**PLAIN, "B": RIGHT[:, :1]}),
        "must be equal, non-empty matrices",
    ),
    "a bias of another width": (
        foreign(
            replaced(3, node("MatMul", ["s", "C"], "t"), node("Add", ["t", "b"], "y")),
            {**PLAIN, "b": np.zeros(3, np.int32)},
        ),
        r"adds a bias of shape \(3,\) to 2 values a row",
    ),
    "two biases": (
        foreign(replaced(3, node("Add", ["p", "q"], "y")), {"A": LEFT, "B": RIGHT}),
        r"node 'y' \(Add\) must add one constant bias",
    ),
    "sums of different inputs": (
        foreign(
            [
                *plain_nodes()[:3],
                node("MatMul", ["s", "C"], "t"),
                node("Mul", ["t", "p"], "y"),
            ],
            PLAIN,
        ),
        r"node 'y' \(Mul\) multiplies sums of different inputs",
    ),
    "a narrowing cast": (
        foreign(
            replaced(
                3, node("Cast", ["s"], "t", to=TensorProto.INT8), node("Add", ["t", "C"], "y")
            ),
            PLAIN,
        ),
        r"node 't' \(Cast\) casts int32 to int8; only casts to a wider",
    ),
    "a cast through floats": (
        foreign(
            replaced(
                2,
                node("Cast", ["p"], "f", to=TensorProto.FLOAT),
                node("Mul", ["f", "q"], "s"),
            ),
            PLAIN,
        ),
        r"node 'y' \(MatMul\) takes another type and int32",
    ),
    "a stage that can overflow": (
        foreign(plain_nodes(), {**PLAIN, "C": np.full((2, 1), 2**20, np.int32)}),
        r"node 'y' \(MatMul\) computes in int32, which its values can exceed",
    ),
    "no layer at all": (
        foreign([node("Cast", ["data"], "y", to=TensorProto.INT32)], {}),
        "'y' is not computed by a layer",
    ),
    "layers fed by a constant": (
        foreign(
            [node("MatMulInteger", ["A", "A"], "p"), node("Mul", ["p", "p"], "y")],
            {"A": np.ones((2, 2), np.int8)},
        ),
        "fed by 'A', not by the graph's input",
    ),
    "an output of another type": (
        foreign(plain_nodes(), PLAIN, kind=TensorProto.FLOAT),
        "'y' is declared as element type 1 but is int32",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_graphs_are_refused_in_a_sentence(name):
    proto, message = REFUSED[name]
    with pytest.raises(QDeployError, match=message) as caught:
        from_proto(proto)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_names_of_the_file_reach_messages_escaped():
    nodes = replaced(2, node("Div", ["p", "q"], "s\n\x1b[31m" + "x" * 500))
    with pytest.raises(QDeployError) as caught:
        from_proto(foreign(nodes, PLAIN))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["9 lives", "_", "", "é", "x" * 300, "a-b.c"])
def test_any_name_becomes_a_c_name(name):
    found = from_proto(foreign(plain_nodes(), PLAIN), name=name).name
    assert found.isidentifier()
    assert found.isascii()


def test_long_chains_are_walked_quickly():
    chain = [node("Cast", [f"c{i}"], f"c{i + 1}", to=TensorProto.INT32) for i in range(900)]
    nodes = [
        node("Cast", ["data"], "c0", to=TensorProto.INT32),
        *chain,
        node("MatMul", ["c900", "C"], "y"),
    ]
    model = from_proto(foreign(nodes, {"C": READOUT}, width=2))
    assert isinstance(model.network.layers[0], ReadoutLayer)
