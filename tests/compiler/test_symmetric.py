"""The collapsed coefficients reproduce the network, and their bounds hold."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.compiler.symmetric import collapse, split_digits
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer


def evaluate(form, x):
    """Scores by the definition in the module's docstring, in Python integers."""
    values = [int(v) for v in x] + ([] if form.constant is None else [form.constant])
    scores = []
    for coefficients, bias in zip(form.coefficients, form.bias, strict=True):
        total = int(bias)
        for shift, row in enumerate(coefficients):
            factor = form.factor if shift else 1
            for i, coefficient in enumerate(row):
                total += factor * int(coefficient) * values[i] * values[(i + shift) % form.size]
        scores.append(total)
    return scores


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_collapsed_coefficients_are_the_network(seed):
    rng = np.random.default_rng(seed)
    inputs, neurons, outputs = (int(k) for k in rng.integers(1, 9, 3))
    low, high = (-1, 2) if rng.random() < 0.5 else (-128, 128)
    subject = QuantizedNetwork(
        [
            QuadraticLayer(
                rng.integers(low, high, (neurons, inputs)),
                rng.integers(low, high, (neurons, inputs)),
                rng.integers(-99, 100, neurons),
                rng.integers(-99, 100, neurons),
            ),
            ReadoutLayer(
                rng.integers(-(2**24), 2**24, (neurons, outputs)),
                rng.integers(-99, 100, outputs),
            ),
        ]
    )
    form = collapse(subject)
    x = rng.integers(-128, 128, (6, inputs)).astype(np.int8)
    x[0] = -128
    assert [evaluate(form, row) for row in x] == subject.forward(x).tolist()


def test_one_neuron_by_hand():
    """(x₀ - x₁)(x₀ + x₁ + 2)·3 + 1 = 3x₀² - 3x₁² + 6x₀ - 6x₁ + 1, the constant input last."""
    subject = QuantizedNetwork(
        [
            QuadraticLayer(np.array([[1, -1]]), np.array([[1, 1]]), np.array([0]), np.array([2])),
            ReadoutLayer(np.array([[3]]), np.array([1])),
        ]
    )
    form = collapse(subject)
    assert (form.size, form.constant, form.factor) == (3, 1, 2)
    # Shift 1 pairs (0, 1), (1, 2), (2, 0); input 2 is the constant one.
    assert form.coefficients.tolist() == [[[3, -3, 0], [0, -3, 3]]]
    assert form.bias.tolist() == [1]


@pytest.mark.parametrize("amplitude", [3, 200, 30_000, 2**30])
@pytest.mark.parametrize(("lanes", "group"), [(1, 1), (4, 2), (16, 2)])
def test_digits_and_segments_are_exact_and_cannot_overflow(network, amplitude, lanes, group):
    subject = network(24, 30, 2, amplitude=amplitude)
    form = collapse(subject)
    digits = split_digits(form, lanes, group)
    assert digits.values.dtype == np.int16
    weights = [1 << (digits.bits * plane) for plane in range(digits.values.shape[1])]
    rebuilt = np.tensordot(digits.values.astype(object), np.array(weights, dtype=object), (1, 0))
    assert (rebuilt[:, :, : form.size] == form.coefficients).all()
    assert not digits.values[..., form.size :].any()

    covered = [shift for begin, end in digits.segments for shift in range(begin, end)]
    assert sorted(covered) == list(range(form.coefficients.shape[1]))
    assert digits.segments[-1] == (0, 1)
    products = np.pad(form.products, ((0, 0), (0, digits.values.shape[-1] - form.size)))
    reach = abs(digits.values.astype(object)) * products
    for begin, end in digits.segments:
        lane_sums = reach[:, :, begin:end].reshape(*reach.shape[:2], -1, lanes, group)
        assert lane_sums.sum(axis=(2, 4)).max() < 2**31


def test_the_product_bound_is_reached():
    """The bound on each product of inputs is tight: -128 · -128."""
    subject = QuantizedNetwork(
        [
            QuadraticLayer(np.array([[1, 1]]), np.array([[1, -1]]), np.array([0]), np.array([0])),
            ReadoutLayer(np.array([[1]]), np.array([0])),
        ]
    )
    form = collapse(subject)
    reached = max(a * b for a, b in itertools.product((-128, 127), repeat=2))
    assert form.products.max() == reached


def test_sums_beyond_64_bits_are_refused():
    wide = np.full((1, 1000), 127)
    subject = QuantizedNetwork(
        [
            QuadraticLayer(wide, -wide, np.array([2**30]), np.array([2**30])),
            ReadoutLayer(np.array([[2]]), np.array([0])),
        ]
    )
    assert "64 bits" in collapse(subject)
