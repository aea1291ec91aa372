import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qdeploy.errors import QDeployError
from qdeploy.network import (
    QuadraticLayer,
    QuantizedNetwork,
    ReadoutLayer,
    weighted_magnitudes,
)

LAYER = QuadraticLayer(
    left=[[1, -1, 1], [-1, -1, 1]],
    right=[[1, 1, -1], [1, -1, 1]],
    left_bias=[32, -32],
    right_bias=[-32, 32],
)
READOUT = ReadoutLayer(weights=[[3, -1, 0], [-2, 5, 1]], bias=[10, 0, -7])


def int8(*rows):
    return np.array(rows, dtype=np.int8)


def test_quadratic_layer_literally():
    x = np.array([[0, 0, 0], [1, 2, 3], [-128, 127, -128]])
    # first neuron: (x0 - x1 + x2 + 32)(x0 + x1 - x2 - 32)
    # second:       (-x0 - x1 + x2 - 32)(x0 - x1 + x2 + 32)
    expected = [[-1024, -1024], [34 * -32, -32 * 34], [-351 * 95, -159 * -351]]
    assert LAYER.forward(x).tolist() == expected
    assert LAYER.forward(x).dtype == np.int64
    assert (LAYER.inputs, LAYER.width, LAYER.kind) == (3, 2, "quadratic")


def test_quadratic_layer_takes_any_int8_weight():
    layer = QuadraticLayer([[-128, 127]], [[0, -3]], [0], [2**31 - 1])
    assert layer.forward(np.array([[-128, 127]])).tolist() == [[32513 * (2**31 - 1 - 381)]]


def test_readout_layer_literally():
    x = np.array([[0, 0], [1, 10], [-(2**40), 2**40]])
    expected = [[10, 0, -7], [-7, 49, 3], [-5 * 2**40 + 10, 6 * 2**40, 2**40 - 7]]
    assert READOUT.forward(x).tolist() == expected
    assert (READOUT.inputs, READOUT.width, READOUT.kind) == (2, 3, "readout")


def test_network_literally():
    network = QuantizedNetwork([LAYER, READOUT])
    scores = network.forward(int8([0, 0, 0], [1, 2, 3], [-128, 127, -128]))
    # the last row's neurons are -33345 and 55809
    assert scores.tolist() == [
        [-1014, -4096, -1031],
        [-1078, -4352, -1095],
        [-211643, 312390, 55802],
    ]
    assert (network.inputs, network.outputs) == (3, 3)
    assert scores.dtype == network.score_dtype == "int32"


def test_network_of_no_rows():
    assert QuantizedNetwork([LAYER]).forward(np.zeros((0, 3), np.int8)).shape == (0, 2)


@pytest.mark.parametrize(
    ("weights", "bits"),
    [
        ([[0]], 8),
        ([[127], [-128]], 8),
        ([[128]], 16),
        ([[-129]], 16),
        ([[32767], [-32768]], 16),
        ([[32768]], 32),
        ([[-(2**31)]], 32),
    ],
)
def test_weight_bits(weights, bits):
    assert ReadoutLayer(weights, [0]).weight_bits == bits


def test_arrays_are_frozen_copies():
    given_weights = np.ones((1, 2), dtype=np.int8)
    layer = QuadraticLayer(given_weights, given_weights, [0], [0])
    given_weights[:] = 5
    assert layer.left.tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        layer.left[0, 0] = 2


def test_accumulators_of_mnist_size_need_64_bits():
    ones = np.ones((1, 784), dtype=np.int8)
    network = QuantizedNetwork([QuadraticLayer(ones, ones, [0], [0]), ReadoutLayer([[1]], [0])])
    assert network.accumulators == (
        {"dot": "int32", "product": "int64"},
        {"sum": "int64"},
    )
    assert network.forward(np.full((1, 784), 127, np.int8)).tolist() == [[(127 * 784) ** 2]]
    assert network.forward(np.full((1, 784), -128, np.int8)).tolist() == [[(128 * 784) ** 2]]
    assert (127 * 784) ** 2 > 2**31


@pytest.mark.parametrize(
    ("readout", "accumulator"),
    [(2**17 - 1, "int32"), (2**17, "int64"), (-(2**17), "int64")],
)
def test_accumulators_change_exactly_at_the_limit(readout, accumulator):
    # the largest product is 128 · 128 = 2^14
    layer = QuadraticLayer([[1]], [[1]], [0], [0])
    network = QuantizedNetwork([layer, ReadoutLayer([[readout]], [0])])
    assert network.accumulators[1] == {"sum": accumulator}
    assert network.score_dtype == accumulator


def test_a_bias_alone_can_need_64_bits():
    assert QuantizedNetwork([ReadoutLayer([[0]], [2**31])]).score_dtype == "int64"
    wide = QuadraticLayer([[1]], [[1]], [2**31 - 1], [0])
    assert QuantizedNetwork([wide]).accumulators[0] == {"dot": "int64", "product": "int64"}


def test_accumulators_never_shrink_along_the_network():
    wide = QuadraticLayer([[1, 0]], [[1, 0]], [2**20], [2**20])
    network = QuantizedNetwork([wide, ReadoutLayer([[0]], [1]), ReadoutLayer([[1]], [0])])
    assert network.accumulators[1:] == ({"sum": "int64"}, {"sum": "int64"})


def corners(inputs: int) -> np.ndarray:
    """Every corner of the box of int8 inputs, (2^inputs, inputs)."""
    grid = np.indices((2,) * inputs).reshape(inputs, -1).T
    return np.where(grid, 127, -128)


small = st.integers(1, 4)


@st.composite
def networks(draw):
    """Tiny networks, some beyond 32 bits."""
    inputs, neurons, outputs = draw(small), draw(small), draw(small)
    weights = st.integers(-1, 1) | st.integers(-128, 127)
    biases = st.integers(-40, 40) | st.integers(-(2**24), 2**24)
    readouts = st.integers(-3, 3) | st.integers(-(2**12), 2**12)
    side = arrays(np.int64, (neurons, inputs), elements=weights)
    bias = arrays(np.int64, neurons, elements=biases)
    return QuantizedNetwork(
        [
            QuadraticLayer(draw(side), draw(side), draw(bias), draw(bias)),
            ReadoutLayer(
                draw(arrays(np.int64, (neurons, outputs), elements=readouts)),
                draw(arrays(np.int64, outputs, elements=biases)),
            ),
        ]
    )


@settings(max_examples=200, deadline=None)
@given(network=networks())
@example(QuantizedNetwork([LAYER, READOUT]))
def test_no_input_exceeds_the_interval_bounds(network):
    quadratic, readout = network.layers
    # the squares that bound a product are convex in x, so they are largest at a corner of the box;
    # the products themselves need not be, hence the points inside
    rng = np.random.default_rng(0)
    x = np.vstack([corners(network.inputs), rng.integers(-128, 128, (200, network.inputs))])
    full = np.full(network.inputs, 128, dtype=object)
    dots = [
        x @ weights.T.astype(np.int64) + bias
        for weights, bias in (
            (quadratic.left, quadratic.left_bias),
            (quadratic.right, quadratic.right_bias),
        )
    ]
    halves = ((dots[0] + dots[1]) ** 2, (dots[0] - dots[1]) ** 2)
    bounds = quadratic.magnitudes(full)
    for values in (np.abs(dots[0] * dots[1]), *(half // 4 for half in halves)):
        assert (values.max(axis=0) <= bounds).all()
    products = dots[0] * dots[1]
    terms = products[:, :, None] * readout.weights.astype(np.int64)
    partial = np.abs(terms.cumsum(axis=1) + readout.bias).max(axis=(0, 1))
    anything = np.abs(terms).sum(axis=1).max(axis=0) + np.abs(readout.bias)
    outputs = readout.magnitudes(bounds)
    assert (partial <= outputs).all()
    assert (anything <= outputs).all()

    widths = {"int32": 2**31, "int64": 2**63}
    chosen = {**network.accumulators[0], **network.accumulators[1]}
    assert max(np.abs(dot).max() for dot in dots) < widths[chosen["dot"]]
    assert np.abs(products).max() < widths[chosen["product"]]
    assert anything.max() < widths[chosen["sum"]]
    if max(bounds) < 2**31:
        assert chosen["product"] == "int32"
        assert chosen["sum"] == ("int32" if max(outputs) < 2**31 else "int64")


@settings(max_examples=100, deadline=None)
@given(network=networks(), seed=st.integers(0, 2**32))
def test_forward_equals_unlimited_integers(network, seed):
    x = np.random.default_rng(seed).choice([-128, -127, -1, 0, 1, 126, 127], (5, network.inputs))
    quadratic, readout = network.layers
    exact = x.astype(object)
    left = exact @ quadratic.left.T.astype(object) + quadratic.left_bias.astype(object)
    right = exact @ quadratic.right.T.astype(object) + quadratic.right_bias.astype(object)
    scores = (left * right) @ readout.weights.astype(object) + readout.bias.astype(object)
    assert network.forward(x.astype(np.int8)).tolist() == scores.tolist()


@settings(max_examples=50, deadline=None)
@given(
    weights=arrays(np.int64, (3, 2), elements=st.integers(-(2**31), 2**31 - 1)),
    magnitudes=st.lists(st.integers(0, 2**62), min_size=2, max_size=2),
)
def test_weighted_magnitudes_are_exact(weights, magnitudes):
    found = weighted_magnitudes(weights, np.array(magnitudes, dtype=object))
    expected = [
        sum(abs(int(w)) * m for w, m in zip(row, magnitudes, strict=True)) for row in weights
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: QuadraticLayer([[1.0]], [[1]], [0], [0]), "left must hold integers, not float64"),
        (lambda: QuadraticLayer([[1]], [[128]], [0], [0]), "right holds values outside int8"),
        (lambda: QuadraticLayer([[1]], [[1]], [2**31], [0]), "left_bias holds values outside"),
        (lambda: QuadraticLayer([[1]], [[1, 1]], [0], [0]), "must be equal, non-empty matrices"),
        (lambda: QuadraticLayer([1], [1], [0], [0]), "must be equal, non-empty matrices"),
        (
            lambda: QuadraticLayer(*[np.zeros((0, 3), np.int8)] * 2, *[np.zeros(0, np.int8)] * 2),
            "must be equal, non-empty matrices",
        ),
        (lambda: QuadraticLayer([[1]], [[1]], [0, 0], [0]), "one bias a neuron and side"),
        (lambda: ReadoutLayer([[2**31]], [0]), "readout weights holds values outside int32"),
        (lambda: ReadoutLayer([1], [0]), "must be a non-empty matrix"),
        (lambda: ReadoutLayer([[1]], [0, 0]), "one bias an output"),
        (lambda: QuantizedNetwork([]), "at least one layer"),
        (
            lambda: QuantizedNetwork([READOUT, LAYER, LAYER]),
            r"layer 2 \(quadratic\) gives 2 values but layer 3 \(quadratic\) takes 3",
        ),
        (
            lambda: QuantizedNetwork([LAYER, ReadoutLayer([[2**31 - 1]] * 2, [2**63 - 1])]),
            r"an output can reach 9\.22.e\+18, which does not fit a 64-bit integer",
        ),
    ],
)
def test_ill_formed_networks_are_refused_in_a_sentence(build, message):
    with pytest.raises(QDeployError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 3), np.int16),
        np.zeros((2, 3)),
        np.zeros((2, 4), np.int8),
        np.zeros(3, np.int8),
        [[0, 0, 0]],
    ],
)
def test_other_inputs_are_refused(x):
    with pytest.raises(QDeployError, match=r"takes an int8 array of shape \(n, 3\)"):
        QuantizedNetwork([LAYER]).forward(x)
