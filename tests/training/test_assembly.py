"""Neurons of several outputs become one layer, each stored once."""

import numpy as np
import pytest

from qdeploy.training.assembly import build_network, drop_silent, merge
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.problem import CONSTANT, lift
from qdeploy.training.readout import IntegerReadout

U = np.array([1, -1, 1, 1], dtype=np.int8)
V = np.array([-1, -1, 1, -1], dtype=np.int8)


def test_equal_neurons_are_stored_once_with_their_signs():
    merged = merge(
        SharedNeurons(
            np.stack([U, V, -U, U]),
            np.stack([V, U, V, U]),
            np.array([[2.0, 0.0], [0.0, 3.0], [0.5, 0.0], [0.0, 7.0]]),
        )
    )
    # (u, v), (v, u) and (-u, v) are one neuron, the last with the opposite sign.
    assert len(merged.left) == 2
    assert sorted(map(tuple, np.abs(merged.weights))) == [(0.0, 7.0), (1.5, 3.0)]


@pytest.mark.parametrize("seed", range(5))
def test_merging_keeps_the_function(seed):
    generator = np.random.default_rng(seed)
    left, right = generator.choice([-1, 1], (2, 30, 3)).astype(np.int8)
    weights = generator.standard_normal((30, 2)) * (generator.random((30, 2)) < 0.5)
    merged = merge(SharedNeurons(left, right, weights))
    inputs = generator.standard_normal((20, 3))
    expected = (inputs @ left.T) * (inputs @ right.T) @ weights
    found = (inputs @ merged.left.T) * (inputs @ merged.right.T) @ merged.weights
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert len(merged.left) < 30


def test_one_idle_neuron_stands_in_for_none():
    merged = merge(SharedNeurons(U[None], V[None], np.zeros((1, 3))))
    assert merged.left.shape == (1, 4)
    assert not merged.weights.any()


def test_silent_neurons_are_dropped_unless_all_are():
    shared = SharedNeurons(np.stack([U, V]), np.stack([V, V]), np.ones((2, 1)))
    intercepts = np.array([5])
    kept, readout = drop_silent(shared, IntegerReadout(np.array([[0], [4]]), intercepts, 0.5))
    assert (kept.left == V).all()
    assert readout.weights.tolist() == [[4]]
    nothing = IntegerReadout(np.array([[0], [0]]), intercepts, 0.5)
    assert drop_silent(shared, nothing) == (shared, nothing)


def test_the_constant_input_becomes_the_biases():
    shared = SharedNeurons(U[None], V[None], np.ones((1, 1)))
    network = build_network(shared, IntegerReadout(np.array([[3]]), np.array([-7]), 1.0))
    x = np.array([[5, -6, 100]], dtype=np.int8)
    lifted = lift(x).astype(int)
    expected = 3 * (lifted @ U) * (lifted @ V) - 7
    np.testing.assert_array_equal(network.forward(x)[:, 0], expected)
    assert network.layers[0].left_bias.tolist() == [CONSTANT]
