import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model, Numbers
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.onnx import export


def runtimes(proto):
    """Each runtime as a function from the input array to the outputs."""
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    evaluator = ReferenceEvaluator(proto)
    name = proto.graph.input[0].name
    return [
        lambda x: session.run(None, {name: x}),
        lambda x: evaluator.run(None, {name: x}),
    ]


def extreme_inputs(inputs: int, seed: int) -> np.ndarray:
    """All equal, alternating and random int8 rows."""
    rng = np.random.default_rng(seed)
    alternating = np.where(np.arange(inputs) % 2, 127, -128)
    equal = [np.full(inputs, value) for value in (-128, -127, -1, 0, 1, 127)]
    rows = [*equal, alternating, -1 - alternating]
    return np.vstack([*rows, rng.integers(-128, 128, (12, inputs))]).astype(np.int8)


def saturates() -> bool:
    """Whether this machine's onnxruntime saturates pairs of int8 products at 16 bits.

    Kernels for processors without 8-bit dot products do; no weight of -64 to 63 is affected.
    """
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "pairs",
        [helper.make_tensor_value_info("x", TensorProto.INT8, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])],
        [numpy_helper.from_array(np.full((64, 16), 127, np.int8), "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    run = runtimes(proto)[0]
    return int(run(np.full((1, 64), 127, np.int8))[0][0, 0]) != 64 * 127 * 127


SIGNS_ONLY = saturates()


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    inputs=st.integers(1, 70),
    neurons=st.integers(1, 40),
    outputs=st.integers(1, 12),
    signs=st.booleans(),
    readout=st.sampled_from([0, 1, 127, 2**15, 2**31 - 1]),
    bias=st.sampled_from([0, 32, 2**20, 2**29]),
)
@example(0, 1, 1, 1, True, 1, 0)
@example(1, 70, 40, 12, True, 2**31 - 1, 32)
@example(2, 70, 40, 12, False, 127, 0)
@example(3, 5, 2, 2, True, 0, 2**30)
def test_scores_are_equal_in_numpy_onnxruntime_and_reference(
    random_model, seed, inputs, neurons, outputs, signs, readout, bias
):
    try:
        model = random_model(
            seed,
            inputs,
            neurons,
            outputs,
            signs=signs or SIGNS_ONLY,
            readout=readout,
            bias=bias,
        )
    except QDeployError:  # exceeds 64 bits
        reject()
    x = extreme_inputs(inputs, seed)
    for run in runtimes(export(model)):
        (scores,) = run(x)
        assert_same_bits(scores, model.scores(x))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    inputs=st.integers(1, 20),
    outputs=st.integers(1, 5),
    dropped=st.integers(0, 3),
    regression=st.booleans(),
)
def test_front_and_tail_equal_quantize_and_predict(
    random_model, seed, inputs, outputs, dropped, regression
):
    model = random_model(
        seed, inputs, 4, outputs, dropped=dropped, regression=regression, readout=3
    )
    rng = np.random.default_rng(seed)
    features = rng.normal(scale=3, size=(40, inputs + dropped)).astype(np.float32)
    quantizer = model.quantizer
    halves = quantizer.offset + quantizer.scale * (rng.integers(-300, 300, (20, inputs)) / 2)
    features[:20, quantizer.kept] = halves
    for run in runtimes(export(model, front=True, tail=True)):
        scores, meaning = run(features)
        assert_same_bits(scores, model.scores(features))
        assert np.array_equal(meaning, model.predict(features))
        assert meaning.shape == model.predict(features).shape
    for run in runtimes(export(model, tail=True)):
        _, meaning = run(model.quantize(features))
        assert np.array_equal(meaning, model.predict(features))


def test_front_saturates_values_far_outside_the_range(random_model):
    model = random_model(inputs=3, dropped=0)
    features = np.array([[3.4e38, -3.4e38, 1e30], [-1e30, 1e10, -1e10], [1e-44, 0, -1e-44]])
    features = features.astype(np.float32)
    run = runtimes(export(model, front=True))[0]
    assert_same_bits(run(features)[0], model.scores(features))


def difference_model(columns: int, labels) -> Model:
    """Scores that are the first inputs themselves, times 127 · 2, so that ties are easy to make."""
    ones = np.zeros((columns, columns), np.int64)
    np.fill_diagonal(ones, 1)
    network = QuantizedNetwork(
        [
            QuadraticLayer(
                ones, np.zeros_like(ones), np.zeros(columns, int), np.ones(columns, int)
            ),
            ReadoutLayer(ones, np.zeros(columns, int)),
        ]
    )
    return Model("ties", network, 1.0, Classes(labels, columns))


@pytest.mark.parametrize(
    "labels",
    [(3, -7, 12), ("no", "yes", "très"), (0.5, 1.5, 2.5)],
    ids=["integers", "texts", "floats"],
)
def test_ties_go_to_the_first_class(labels):
    x = np.array([[1, 1, 1], [0, 5, 5], [-3, -4, -3], [127, 126, 127], [0, 0, 0]], dtype=np.int8)
    model = difference_model(3, labels)
    expected = np.array(labels)[[0, 1, 0, 0, 0]]
    assert np.array_equal(model.predict(x), expected)
    for run in runtimes(export(model, tail=True)):
        assert np.array_equal(run(x)[1], expected)


@pytest.mark.parametrize("labels", [(False, True), ("a", "b"), (4, 9)])
def test_a_score_of_zero_is_the_first_of_two_classes(labels):
    model = difference_model(1, labels)
    x = np.array([[-128], [-1], [0], [1], [127]], dtype=np.int8)
    expected = np.array(labels)[[0, 0, 0, 1, 1]]
    assert np.array_equal(model.predict(x), expected)
    for run in runtimes(export(model, tail=True)):
        assert np.array_equal(run(x)[1], expected)


def test_the_core_is_integer_operators_only(random_model):
    proto = export(random_model(inputs=30, neurons=16, outputs=10))
    assert [node.op_type for node in proto.graph.node] == [
        "MatMulInteger",
        "Add",
        "MatMulInteger",
        "Add",
        "Mul",
        "Cast",
        "MatMul",
        "Add",
    ]
    for node in proto.graph.node:
        if node.op_type == "MatMulInteger":
            assert node.input[2:] == ["zero_point", "zero_point"]
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    assert list(stored["zero_point"].dims) == [1]
    assert stored["layer1_left_weights"].data_type == TensorProto.INT8
    assert list(stored["layer1_left_weights"].dims) == [30, 16]


@pytest.mark.parametrize(
    ("readout", "bias", "signs", "casts"),
    [(1, 0, True, 0), (2**31 - 1, 0, True, 1), (1, 2**30, True, 2), (1, 2**31 - 1, False, 2)],
)
def test_casts_stand_where_the_network_proves_them_necessary(
    random_model, readout, bias, signs, casts
):
    model = random_model(1, 6, 4, 2, readout=readout, bias=bias, signs=signs)
    types = [node.op_type for node in export(model).graph.node]
    assert types.count("Cast") == casts


def test_networks_of_other_layer_sequences_keep_their_bits():
    rng = np.random.default_rng(3)
    quadratic = QuadraticLayer(
        rng.integers(-3, 4, (4, 5)), rng.integers(-3, 4, (4, 5)), [1, 2, 3, 4], [0, 0, 5, -6]
    )
    second = QuadraticLayer(
        rng.integers(-2, 3, (3, 4)), rng.integers(-2, 3, (3, 4)), [1, 2, 3], [0, 0, 5]
    )
    wide = ReadoutLayer(rng.integers(-300, 301, (5, 4)), [1, -2, 3, 4])
    narrow = ReadoutLayer(rng.integers(-30, 31, (5, 4)), [1, -2, 3, 4])
    x = extreme_inputs(5, 0)
    for layers in ([quadratic, second], [wide], [narrow], [wide, second], [narrow, second]):
        network = QuantizedNetwork(layers)
        head = Classes(tuple(range(network.outputs)))
        model = Model("layers", network, 1.0, head)
        for run in runtimes(export(model)):
            assert_same_bits(run(x)[0], model.scores(x))


def test_the_same_model_gives_the_same_bytes(random_model):
    for options in ({}, {"front": True, "tail": True}):
        first = export(random_model(5, outputs=3), **options)
        second = export(random_model(5, outputs=3), **options)
        assert first.SerializeToString() == second.SerializeToString()


def test_the_graph_declares_batches_of_any_size(random_model):
    graph = export(random_model(inputs=5, outputs=3), tail=True).graph
    assert [item.name for item in graph.output] == ["scores", "label"]
    dims = graph.input[0].type.tensor_type.shape.dim
    assert (dims[0].dim_param, dims[1].dim_value) == ("batch", 5)
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.INT8


def test_a_front_needs_a_quantizer(random_model):
    bare = difference_model(2, ("a", "b"))
    with pytest.raises(QDeployError, match="no input quantiser"):
        export(bare, front=True)


def test_labels_that_no_tensor_holds_are_refused_in_a_tail():
    with pytest.raises(QDeployError, match="without the tail"):
        export(difference_model(3, (1, 2, 2**70)), tail=True)


@pytest.mark.parametrize(
    "provenance", [{"path": object()}, {"gap": float("nan")}, {1: "a", "1": "b"}]
)
def test_provenance_that_is_not_json_is_refused(random_model, provenance):
    model = random_model()
    broken = Model("m", model.network, 1.0, model.head, provenance=provenance)
    with pytest.raises(QDeployError, match="cannot carry"):
        export(broken)


def test_a_quantizer_of_tiny_scales_survives():
    scale = np.full(2, np.finfo(np.float32).tiny)
    network = difference_model(2, ("a", "b")).network
    quantizer = InputQuantizer(("a", "b"), np.arange(2), np.zeros(2), scale)
    head = Numbers(("u", "v"), (0.0, 1.0), (1.0, 2.0))
    model = Model("tiny", network, 1.0, head, quantizer)
    features = np.array([[0, 1e-38], [-1e-38, 3e-37]], dtype=np.float32)
    for run in runtimes(export(model, front=True)):
        assert_same_bits(run(features)[0], model.scores(features))
