import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.benchmark.peers_mcu.integer_layers import (
    DenseLayer,
    Requantize,
    dense_sources,
    forward,
    quantize_weights,
)


def make_subject(inputs: int, hidden: int, outputs: int, seed: int = 0) -> McuSubject:
    """Two layers with random weights; the largest sums need the saturation."""
    generator = np.random.default_rng(seed)

    def layer(rows, columns, requantize=None):
        weights = generator.integers(-127, 128, (rows, columns), dtype=np.int8)
        bias = generator.integers(-(2**20), 2**20, rows).astype(np.int32)
        return DenseLayer(weights, bias, requantize)

    factor = 1 / (40 * np.sqrt(inputs) * 127)
    layers = [layer(hidden, inputs, Requantize.by(factor)), layer(outputs, hidden)]
    return McuSubject(
        name="layers",
        title="layers",
        note="random layers",
        entry="layers",
        input_dtype=np.dtype(np.int8),
        output_dtype=np.dtype(np.int32),
        inputs=inputs,
        outputs=outputs,
        encode=lambda features: features.astype(np.int8),
        decode=lambda scores: scores,
        sources=dense_sources(layers, "layers"),
        expected=lambda x: forward(layers, x),
    )


def extreme_inputs(width: int) -> np.ndarray:
    random = np.random.default_rng(1).integers(-128, 128, (20, width), dtype=np.int8)
    return np.vstack([random, np.full(width, -128), np.full(width, 127)]).astype(np.int8)


SHAPES = [(1, 1, 1), (2, 3, 2), (4, 4, 4), (7, 5, 3), (30, 4, 1), (31, 6, 9), (64, 16, 10)]


@pytest.mark.parametrize("shape", SHAPES)
def test_c_gives_the_bits_of_numpy_on_this_machine(shape, host):
    subject = make_subject(*shape)
    x = extreme_inputs(shape[0])
    np.testing.assert_array_equal(host(subject, x), subject.expected(x))


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0plus", "rv32imc"])
@pytest.mark.parametrize("shape", [(7, 5, 3), (31, 6, 9)])
def test_c_gives_the_bits_of_numpy_on_cores(shape, core, emulated):
    subject = make_subject(*shape)
    x = extreme_inputs(shape[0])
    np.testing.assert_array_equal(emulated(subject, x, core), subject.expected(x))


def test_a_layer_in_numbers():
    layer = DenseLayer(np.array([[1, -2], [3, 4]], np.int8), np.array([10, -100], np.int32))
    assert layer(np.array([[5, 6]], np.int8)).tolist() == [[3, -61]]


def test_requantised_sums_in_numbers():
    # A quarter, rounded half up: 0.25 → 0, 0.5 → 1, -0.5 → 0, -2.5 → -2; then from -128 on.
    again = Requantize(multiplier=2**30, shift=1, zero_point=0)
    assert again.multiplier / 2.0 ** (32 + again.shift) == 0.125
    assert again(np.array([2, 4, -4, -20, 2000, -2000])).tolist() == [0, 1, 0, -2, 127, -128]


@given(st.floats(1e-6, Requantize.LARGEST_FACTOR, exclude_max=True), st.integers(-(2**24), 2**24))
def test_the_fixed_point_factor_is_that_of_the_float(factor, total):
    again = Requantize.by(factor)
    assert 2**30 <= again.multiplier < 2**31
    assert again.shift >= 1
    exact = np.clip(total * factor - 128, -128, 127)
    assert abs(int(again(np.array([total]))[0]) - exact) <= 0.5 + 1e-6 * abs(total * factor)


def test_weights_come_back_within_half_a_step():
    weights = np.random.default_rng(0).normal(size=(5, 9)) * np.array([[1], [10], [0.1], [3], [1]])
    quantized, scale = quantize_weights(weights)
    assert np.abs(quantized * scale - weights).max() <= scale / 2 + 1e-12
    quantized, scales = quantize_weights(weights, axis=1)
    assert (np.abs(quantized * scales[:, None] - weights).max(axis=1) <= scales / 2 + 1e-12).all()
    quantized, scale = quantize_weights(np.zeros((2, 3)))
    assert not quantized.any()
    assert scale > 0
