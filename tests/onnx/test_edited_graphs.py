"""Random edits of good graphs: each is refused in a sentence or computes what onnxruntime does."""

import random

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from qdeploy.errors import QDeployError
from qdeploy.onnx import export, from_proto
from qdeploy.onnx.graph import ATTRIBUTES

OPERATORS = [*ATTRIBUTES, "Div", "Identity"]
TYPES = [np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64, np.bool_]


@pytest.fixture(scope="module")
def good_graphs(random_model):
    return [
        export(
            random_model(outputs, 4, 3, outputs, regression=regression, readout=readout),
            front=whole,
            tail=whole,
        )
        for outputs in (1, 3)
        for regression in (False, True)
        for whole in (False, True)
        for readout in (5, 2**31 - 1)
    ]


def array_of(tensor: onnx.TensorProto) -> np.ndarray:
    """A copy of its values, or texts where an earlier edit has made them unreadable."""
    try:
        return numpy_helper.to_array(tensor).copy()
    except (ValueError, TypeError, KeyError):
        return np.array("unreadable", dtype=object)


def edit(graph: onnx.GraphProto, choose: random.Random) -> None:
    """One random change of a graph that has nodes and initialisers."""
    node, tensor = choose.choice(graph.node), choose.choice(graph.initializer)
    outside = choose.choice([*graph.input, *graph.output])
    values = [*(n.output[0] for n in graph.node), *(t.name for t in graph.initializer), "", "?"]
    array = array_of(tensor)
    match choose.randrange(12):
        case 0 if node.input:
            node.input[choose.randrange(len(node.input))] = choose.choice(values)
        case 1:
            node.output[0] = choose.choice(values)
        case 2:
            node.op_type = choose.choice(OPERATORS)
        case 3:
            tensor.data_type = choose.randint(0, 28)
        case 4 if tensor.dims:
            position = choose.randrange(len(tensor.dims))
            tensor.dims[position] = choose.choice([0, -1, 1, 2, 5, 2**40])
        case 5 if array.dtype != object:
            with np.errstate(invalid="ignore"):
                tensor.CopyFrom(
                    numpy_helper.from_array(array.astype(choose.choice(TYPES)), tensor.name)
                )
        case 6:
            cast = helper.make_node(
                "Cast", [choose.choice(values)], ["new"], to=choose.randint(0, 28)
            )
            graph.node.insert(choose.randrange(len(graph.node)), cast)
        case 7:
            outside.type.tensor_type.elem_type = choose.randint(0, 20)
        case 8:
            outside.type.tensor_type.shape.dim[0].dim_value = choose.choice([0, -1, 3])
        case 9:
            name = choose.choice(["axis", "to", "value", "keepdims", "select_last_index"])
            value = choose.choice([0, 1, -1, 6, "text", [1], 2.5])
            node.attribute.append(helper.make_attribute(name, value))
        case 10 if len(graph.node) > 1:
            graph.node.remove(node)
        case _ if array.dtype.kind in "if":
            array.flat[choose.randrange(array.size)] = choose.choice([0, 1, -1, 127, -128])
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def compare(good_graphs, seed: int) -> bool:
    """Edit a graph; whether it is still accepted, and then computes the model's scores."""
    choose = random.Random(seed)
    proto = onnx.ModelProto()
    proto.CopyFrom(choose.choice(good_graphs))
    if choose.random() < 0.6:
        del proto.metadata_props[:]
    for _ in range(choose.randint(1, 2)):
        edit(proto.graph, choose)
    try:
        model = from_proto(proto)
    except QDeployError as error:
        sentence = str(error)
    else:
        sentence = ""
    assert len(sentence) < 600
    assert not sentence or sentence.isprintable()
    if sentence:
        return False
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    source = session.get_inputs()[0]
    numbers = np.random.default_rng(seed)
    if source.type == "tensor(int8)":
        x = numbers.integers(-128, 128, (3, source.shape[1])).astype(np.int8)
    else:
        x = numbers.normal(scale=3, size=(3, source.shape[1])).astype(np.float32)
    assert np.array_equal(session.run(None, {source.name: x})[0], model.scores(x))
    return True


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**48))
def test_edited_graphs_are_refused_or_understood(good_graphs, seed):
    compare(good_graphs, seed)


@pytest.mark.slow
def test_many_edited_graphs_are_refused_or_understood(good_graphs):
    accepted = sum(compare(good_graphs, seed) for seed in range(20_000))
    assert accepted > 100
