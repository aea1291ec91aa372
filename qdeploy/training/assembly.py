"""From the neurons of the outputs to one integer network."""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from qdeploy.activation import Activation
from qdeploy.conversions import Polynomial, polynomial_layers
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.training.losses import FloatArray
from qdeploy.training.output import TrainedOutput
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.problem import CONSTANT, TrainingProblem
from qdeploy.training.readout import IntegerReadout
from qdeploy.training.rounding import Neurons, canonicalize

__all__ = ["build_network", "drop_silent", "features_of", "gather", "merge"]


class _Columns:
    """Features of many rows, formed when their columns are asked for: those of one output fit."""

    def __init__(self, problem: TrainingProblem, neurons: SharedNeurons) -> None:
        self._problem, self._neurons = problem, neurons

    def __getitem__(self, key: tuple[slice, NDArray[np.intp]]) -> FloatArray:
        rows, used = key
        return self._problem.features(self._neurons.left[used], self._neurons.right[used])[rows]


def features_of(problem: TrainingProblem, neurons: SharedNeurons) -> FloatArray:
    """Neuron outputs Φ, float64 (n, m); of a large problem, what gives them column by column."""
    if problem.is_large:
        return cast(FloatArray, _Columns(problem, neurons))
    return problem.features(neurons.left, neurons.right)


def gather(outputs: list[TrainedOutput]) -> SharedNeurons:
    """The neurons of all outputs, with the readout of each in its column."""
    weights = block_diag(*(output.neurons.solution.weights[:, None] for output in outputs))
    left = np.vstack([output.neurons.left for output in outputs])
    right = np.vstack([output.neurons.right for output in outputs])
    return SharedNeurons(left, right, weights.reshape(len(left), len(outputs)))


def merge(neurons: SharedNeurons, activation: Activation | None = None) -> SharedNeurons:
    """Each neuron once, in canonical form, and only those that some output reads.

    One idle neuron stands in where none is left: a layer cannot be empty. With an activation,
    neurons are of one sum, and their signs matter.
    """
    if activation is None:
        canonical = canonicalize(neurons.left, neurons.right)
    else:
        canonical = Neurons(neurons.left, neurons.right, np.ones(len(neurons.left), dtype=np.int8))
    pairs = np.hstack([canonical.left, canonical.right])
    unique, index = np.unique(pairs, axis=0, return_inverse=True)
    weights = np.zeros((len(unique), neurons.weights.shape[1]), dtype=neurons.weights.dtype)
    np.add.at(weights, index.reshape(-1), canonical.sign[:, None] * neurons.weights)
    used = (weights != 0).any(axis=1)
    dimension = neurons.left.shape[1]
    if not used.any():
        unique = np.ones((1, 2 * dimension), dtype=np.int8)
        weights, used = np.zeros((1, weights.shape[1])), np.ones(1, dtype=bool)
    left, right = unique[used, :dimension], unique[used, dimension:]
    return SharedNeurons(left, right, weights[used])


def drop_silent(
    shared: SharedNeurons, readout: IntegerReadout
) -> tuple[SharedNeurons, IntegerReadout]:
    """Without the neurons whose readout became zero in integers, unless all did."""
    heard = (readout.weights != 0).any(axis=1)
    if not heard.any():
        return shared, readout
    return (
        SharedNeurons(shared.left[heard], shared.right[heard], shared.weights[heard]),
        IntegerReadout(readout.weights[heard], readout.intercepts, readout.scale),
    )


def build_network(
    shared: SharedNeurons, readout: IntegerReadout, activation: Activation | None = None
) -> QuantizedNetwork:
    """The integer network: the constant input becomes the neurons' biases."""
    layer = ReadoutLayer(weights=readout.weights.astype(np.int32), bias=readout.intercepts)
    if activation is not None:
        weights, biases = shared.left[:, :-1], CONSTANT * shared.left[:, -1].astype(np.int32)
        polynomial = Polynomial(activation.square, activation.linear)
        return QuantizedNetwork(polynomial_layers(weights, biases, polynomial, layer))
    quadratic = QuadraticLayer(
        left=shared.left[:, :-1],
        right=shared.right[:, :-1],
        left_bias=CONSTANT * shared.left[:, -1].astype(np.int32),
        right_bias=CONSTANT * shared.right[:, -1].astype(np.int32),
    )
    return QuantizedNetwork([quadratic, layer])
