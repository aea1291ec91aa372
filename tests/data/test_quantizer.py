import contextlib

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from qdeploy.data import InputQuantizer
from qdeploy.errors import QDeployError

LARGE = 2.0**126
single = st.floats(-LARGE, LARGE, width=32, allow_subnormal=True)
scales = st.floats(2.0**-126, 2.0**120, width=32, allow_subnormal=False)
widths = st.integers(1, 5)


def front(quantizer: InputQuantizer, *, clipped: bool) -> bytes:
    """Sub, then QuantizeLinear, each with one value a feature.

    `clipped` divides and clips first: the reference evaluator casts to int32 without saturating.
    """
    width = quantizer.kept.size
    scale = np.ones(width, np.float32) if clipped else quantizer.scale
    constants = {
        "offset": quantizer.offset,
        "scale": scale,
        "zero": np.full(width, quantizer.zero_point, np.int8),
    }
    nodes = [helper.make_node("Sub", ["x", "offset"], ["centred"])]
    last = "centred"
    if clipped:
        constants |= {
            "divisor": quantizer.scale,
            "low": np.float32(-512),
            "high": np.float32(512),
        }
        nodes += [
            helper.make_node("Div", ["centred", "divisor"], ["steps"]),
            helper.make_node("Clip", ["steps", "low", "high"], ["near"]),
        ]
        last = "near"
    nodes.append(helper.make_node("QuantizeLinear", [last, "scale", "zero"], ["q"], axis=1))
    graph = helper.make_graph(
        nodes,
        "front",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("q", TensorProto.INT8, ["n", width])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def in_onnxruntime(model: bytes, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def in_reference(model: bytes, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(onnx.load_from_string(model)).run(None, {"x": x})[0]


def make(offset: np.ndarray, scale: np.ndarray, zero_point: int = 0) -> InputQuantizer:
    width = len(offset)
    names = tuple(f"x{i}" for i in range(width))
    return InputQuantizer(names, np.arange(width), offset, scale, zero_point)


@st.composite
def cases(draw: st.DrawFn) -> tuple[InputQuantizer, np.ndarray]:
    width = draw(widths)
    offset = draw(hnp.arrays(np.float32, width, elements=single))
    scale = draw(hnp.arrays(np.float32, width, elements=scales))
    zero_point = draw(st.integers(-128, 127))
    rows = draw(st.integers(1, 40))
    x = draw(hnp.arrays(np.float32, (rows, width), elements=single))
    # Rows near the halves, where rounding is decided.
    steps = draw(hnp.arrays(np.int16, (8, width), elements=st.integers(-300, 300)))
    halves = offset + (steps.astype(np.float32) / 2) * scale
    inputs = np.concatenate([x, np.clip(halves, -LARGE, LARGE).astype(np.float32)])
    return make(offset, scale, zero_point), inputs


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_equals_onnx_bit_for_bit(case: tuple[InputQuantizer, np.ndarray]) -> None:
    quantizer, x = case
    expected = quantizer.quantize(x)
    np.testing.assert_array_equal(in_onnxruntime(front(quantizer, clipped=False), x), expected)
    clipped = front(quantizer, clipped=True)
    np.testing.assert_array_equal(in_onnxruntime(clipped, x), expected)
    np.testing.assert_array_equal(in_reference(clipped, x), expected)


@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_equals_the_plain_reference_where_it_does_not_wrap(
    case: tuple[InputQuantizer, np.ndarray],
) -> None:
    quantizer, x = case
    with np.errstate(all="ignore"):
        tame = (np.abs((x - quantizer.offset) / quantizer.scale) < 2.0**30).all(axis=1)
    if tame.any():
        np.testing.assert_array_equal(
            in_reference(front(quantizer, clipped=False), x[tame]), quantizer.quantize(x[tame])
        )


@pytest.mark.parametrize("zero_point", [-128, -1, 0, 1, 127])
def test_every_half_and_both_ends(zero_point: int) -> None:
    quantizer = make(np.array([0.0, 3.0]), np.array([1.0, 0.25]), zero_point)
    halves = np.arange(-600, 601, dtype=np.float32) / 2
    ends = np.array([-LARGE, LARGE, -0.0, 1e-45, -1e-45], np.float32)
    column = np.concatenate([halves, ends])
    x = np.stack([column, 3 + column * np.float32(0.25)], axis=1).astype(np.float32)
    expected = quantizer.quantize(x)
    np.testing.assert_array_equal(in_onnxruntime(front(quantizer, clipped=False), x), expected)
    np.testing.assert_array_equal(in_reference(front(quantizer, clipped=True), x), expected)


def test_rounds_half_to_even_and_saturates() -> None:
    quantizer = make(np.array([0.0]), np.array([1.0]))
    x = np.array([[-0.5], [0.5], [1.5], [2.5], [126.5], [127.5], [1e30], [-128.5], [-1e30]])
    assert quantizer.quantize(x).ravel().tolist() == [0, 0, 2, 2, 126, 127, 127, -128, -128]


@settings(max_examples=150, deadline=None)
@given(
    features=hnp.arrays(
        np.float64,
        st.tuples(st.integers(2, 12), widths),
        elements=st.floats(-LARGE, LARGE, width=64),
    ),
    scaling=st.sampled_from(["feature", "tensor"]),
)
def test_every_fitted_input_varies(features: np.ndarray, scaling: str) -> None:
    names = tuple(f"x{i}" for i in range(features.shape[1]))
    if not (features.astype(np.float32) != features[0].astype(np.float32)).any():
        with pytest.raises(QDeployError, match="nothing to learn"):
            InputQuantizer.fit(features, names, scaling)
        return
    if np.abs(features).max() < 1e-30:
        # So small that perhaps no scale in single precision tells them apart.
        with contextlib.suppress(QDeployError):
            InputQuantizer.fit(features, names, scaling)
        return
    quantizer = InputQuantizer.fit(features, names, scaling)
    inputs = quantizer.quantize(features)
    assert (inputs != inputs[0]).any(axis=0).all()
    assert (quantizer.scale >= np.finfo(np.float32).tiny).all()
    assert len(quantizer.dropped) + quantizer.kept.size == len(names)


def test_fit_standardises() -> None:
    features = np.random.default_rng(0).normal([5, -3], [2, 0.1], (5000, 2))
    quantizer = InputQuantizer.fit(features, ("a", "b"))
    inputs = quantizer.quantize(features).astype(float)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(inputs.std(axis=0), 32, rtol=0.01)


def test_tensor_scaling_shares_one_scale() -> None:
    features = np.random.default_rng(0).normal(0, [1, 3], (500, 2))
    quantizer = InputQuantizer.fit(features, ("a", "b"), "tensor")
    assert quantizer.scale[0] == quantizer.scale[1]


def test_constant_in_single_precision_is_dropped() -> None:
    features = np.array([[16777216.0, 0], [16777217.0, 1], [16777216.0, 2]])
    quantizer = InputQuantizer.fit(features, ("near", "x"))
    assert quantizer.dropped == ("near",)
    with pytest.raises(QDeployError, match="every feature is constant"):
        InputQuantizer.fit(features[:, :1], ("near",))


def test_fit_names_what_is_not_a_number() -> None:
    with pytest.raises(QDeployError, match=r"feature 'b', row 2: the value is missing"):
        InputQuantizer.fit(np.array([[1.0, 2], [3, np.nan]]), ("a", "b"))
    with pytest.raises(QDeployError, match=r"feature 'a', row 1: 3e\+38 is beyond single"):
        InputQuantizer.fit(np.array([[3e38, 2], [3, 1]]), ("a", "b"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_quantize_names_what_is_not_a_number(bad: float) -> None:
    quantizer = make(np.zeros(2), np.ones(2))
    with pytest.raises(QDeployError, match="feature 'x1', row 3"):
        quantizer.quantize(np.array([[0.0, 0], [0, 0], [0, bad]]))


def test_quantize_refuses_other_shapes_and_types() -> None:
    quantizer = make(np.zeros(2), np.ones(2))
    for wrong in (np.zeros(2), np.zeros((1, 3))):
        with pytest.raises(QDeployError, match="takes 2 features"):
            quantizer.quantize(wrong)
    with pytest.raises(QDeployError, match="must be numbers"):
        quantizer.quantize(np.array([["a", "b"]]))
    assert quantizer.quantize(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"kept": np.array([0, 0])},
        {"kept": np.array([0, 2])},
        {"offset": np.zeros(3)},
        {"offset": np.array([0, np.nan])},
        {"scale": np.array([1, 0])},
        {"scale": np.array([1, np.inf])},
        {"zero_point": 128},
    ],
)
def test_ill_formed_quantisers_are_refused(changes: dict[str, object]) -> None:
    values = {
        "feature_names": ("a", "b"),
        "kept": np.arange(2),
        "offset": np.zeros(2),
        "scale": np.ones(2),
        **changes,
    }
    with pytest.raises(QDeployError, match="input quantiser"):
        InputQuantizer(**values)
