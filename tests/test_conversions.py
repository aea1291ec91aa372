import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qdeploy.conversions import (
    Polynomial,
    convert,
    polynomial_layers,
    polynomial_of,
    to_pairs,
    to_squares,
)
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

SIGNS = st.sampled_from([-1, 1])


def inputs_of(dimension, seed):
    """Random int8 rows, and those that reach the ends of the range in every combination."""
    generator = np.random.default_rng(seed)
    random = generator.integers(-128, 128, (20, dimension))
    ends = np.array([-128, 127, 0])[generator.integers(0, 3, (40, dimension))]
    whole = np.full((2, dimension), [[-128], [127]])
    return np.vstack([random, ends, whole]).astype(np.int8)


@st.composite
def networks(draw, weights):
    dimension, width, outputs = (draw(st.integers(1, size)) for size in (5, 6, 3))
    sides = [draw(arrays(np.int64, (width, dimension), elements=weights)) for _ in "uv"]
    biases = [draw(arrays(np.int64, width, elements=st.integers(-9, 9))) for _ in "uv"]
    readout = draw(arrays(np.int64, (width, outputs), elements=st.integers(-127, 127)))
    offset = draw(arrays(np.int64, outputs, elements=st.integers(-(2**40), 2**40)))
    return QuantizedNetwork([QuadraticLayer(*sides, *biases), ReadoutLayer(readout, offset)])


def is_of_squares(network):
    layer = network.layers[0]
    return np.array_equal(layer.left, layer.right) and np.array_equal(
        layer.left_bias, layer.right_bias
    )


@settings(deadline=None)
@given(networks(st.integers(-60, 60)), st.integers(0, 2**20))
def test_squares_and_back_give_the_same_scores(network, seed):
    x = inputs_of(network.inputs, seed)
    expected = network.forward(x).astype(np.int64)
    squares = to_squares(network)
    assert is_of_squares(squares.network)
    assert squares.factor in (1, 4)
    assert np.array_equal(squares.network.forward(x), squares.factor * expected)
    back = to_pairs(squares.network)
    assert back.factor == 1
    assert np.array_equal(back.network.forward(x), squares.factor * expected)


@settings(deadline=None)
@given(st.data())
def test_signs_become_ternary_squares_and_signs_again(data):
    width, dimension = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    sides = [data.draw(arrays(np.int64, (width, dimension), elements=SIGNS)) for _ in "uv"]
    biases = [32 * data.draw(arrays(np.int64, width, elements=SIGNS)) for _ in "uv"]
    readout = data.draw(
        arrays(np.int64, (width, 2), elements=st.integers(-127, 127).filter(lambda a: a != 0))
    )
    network = QuantizedNetwork([QuadraticLayer(*sides, *biases), ReadoutLayer(readout, [5, -6])])
    squares = to_squares(network)
    first = squares.network.layers[0]
    assert squares.factor == 1
    assert set(np.unique(first.left)) <= {-1, 0, 1}
    # Not one addition more than the ±1 pair needs in pair sums.
    assert np.count_nonzero(first.left) == width * dimension
    pairs = to_pairs(squares.network).network
    assert pairs.layers[0].width == width
    assert set(np.unique(pairs.layers[0].left)) <= {-1, 1}
    assert set(np.unique(pairs.layers[0].right)) <= {-1, 1}
    x = inputs_of(dimension, 3)
    assert np.array_equal(pairs.forward(x), network.forward(x))
    assert np.array_equal(squares.network.forward(x), network.forward(x))


def test_one_pair_literally():
    network = QuantizedNetwork(
        [QuadraticLayer([[1, -1, 1]], [[1, 1, -1]], [32], [-32]), ReadoutLayer([[7]], [3])]
    )
    converted = to_squares(network)
    layer, readout = converted.network.layers
    assert layer.left.tolist() == [[1, 0, 0], [0, -1, 1]]
    assert layer.left_bias.tolist() == [0, 32]
    assert readout.weights.tolist() == [[7], [-7]]
    assert readout.bias.tolist() == [3]


def test_unlike_parity_costs_a_factor_only_where_it_must():
    layer = QuadraticLayer([[1, 0]], [[1, 1]], [0], [0])
    odd = to_squares(QuantizedNetwork([layer, ReadoutLayer([[3]], [10])]))
    assert odd.factor == 4
    assert odd.network.layers[1].weights.tolist() == [[3], [-3]]
    assert odd.network.layers[1].bias.tolist() == [40]
    even = to_squares(QuantizedNetwork([layer, ReadoutLayer([[8]], [10])]))
    assert even.factor == 1
    assert even.network.layers[1].weights.tolist() == [[2], [-2]]


def test_deeper_networks_convert_layer_by_layer():
    block = [
        QuadraticLayer([[1, -1]], [[1, 1]], [2], [4]),
        ReadoutLayer([[1, -2]], [0, 9]),
    ]
    network = QuantizedNetwork([*block, *block])
    x = inputs_of(2, 0)
    assert np.array_equal(to_squares(network).network.forward(x), network.forward(x))
    mixed = [QuadraticLayer([[1, 0]], [[1, 1]], [2], [4]), block[1]]
    with pytest.raises(QDeployError, match="differ in parity before the last layer"):
        to_squares(QuantizedNetwork([*mixed, *block]))


def test_squares_without_a_partner_stay():
    layer = QuadraticLayer([[1, 0], [0, 1], [1, 1]], [[1, 0], [0, 1], [1, 1]], [0] * 3, [0] * 3)
    network = QuantizedNetwork([layer, ReadoutLayer([[2], [2], [-2]], [0])])
    assert to_pairs(network).network.layers[0].width == 3
    opposite = QuantizedNetwork([layer, ReadoutLayer([[2], [-2], [5]], [0])])
    assert to_pairs(opposite).network.layers[0].width == 2


def test_what_does_not_fit_is_refused():
    wide = QuadraticLayer([[127, 1]], [[126, 1]], [0], [0])
    with pytest.raises(QDeployError, match="left holds values outside int8"):
        to_squares(QuantizedNetwork([wide, ReadoutLayer([[1]], [0])]))
    layer = QuadraticLayer([[1, 0]], [[1, 1]], [0], [0])
    with pytest.raises(QDeployError, match="does not fit a 64-bit integer"):
        to_squares(QuantizedNetwork([layer, ReadoutLayer([[1]], [2**62])]))
    with pytest.raises(QDeployError, match="each followed by a readout"):
        to_squares(QuantizedNetwork([layer]))


@settings(deadline=None)
@given(st.integers(-20, 20), st.integers(-(2**20), 2**20), st.integers(-(2**20), 2**20), st.data())
def test_polynomial_neurons_both_ways(square, linear, constant, data):
    width, dimension = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    weights = data.draw(arrays(np.int64, (width, dimension), elements=st.integers(-6, 6)))
    biases = data.draw(arrays(np.int64, width, elements=st.integers(-1000, 1000)))
    readout = data.draw(arrays(np.int64, (width, 2), elements=st.integers(-127, 127)))
    activation = Polynomial(square, linear, constant)
    x = inputs_of(dimension, 1)
    expected = activation(x.astype(np.int64) @ weights.T + biases) @ readout + [11, -12]
    layers = polynomial_layers(weights, biases, activation, ReadoutLayer(readout, [11, -12]))
    assert np.array_equal(QuantizedNetwork(layers).forward(x), expected)
    if weights.any():
        assert polynomial_of(layers[0]) == Polynomial(square, linear)


def test_products_are_no_polynomial():
    with pytest.raises(QDeployError, match="not one polynomial"):
        polynomial_of(QuadraticLayer([[1, -1]], [[1, 1]], [0], [0]))
    with pytest.raises(QDeployError, match="not one polynomial"):
        polynomial_of(QuadraticLayer([[1, 1], [1, -1]], [[1, 1], [1, -1]], [0, 0], [0, 1]))


def test_a_converted_model_predicts_the_same_and_has_no_certificate():
    layer = QuadraticLayer([[1, 0]], [[1, 1]], [3], [0])
    network = QuantizedNetwork([layer, ReadoutLayer([[3]], [-9000])])
    model = Model("m", network, 0.5, Classes(("no", "yes")), provenance={"data": "some"})
    squares = convert(model, "squares")
    x = inputs_of(2, 5)
    assert np.array_equal(squares.predict(x), model.predict(x))
    assert squares.scale == 0.125
    assert squares.provenance == {"data": "some", "form": "squares"}
    assert convert(squares, "squares") is squares
    assert convert(model, "pairs") is model
    with pytest.raises(QDeployError, match="squares, pairs"):
        convert(model, "cubes")
