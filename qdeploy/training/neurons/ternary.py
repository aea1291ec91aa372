"""Weights -1, 0 and 1, two bits each."""

from qdeploy.training.neurons import NeuronFamily, neuron_families

__all__ = ["TERNARY"]

TERNARY = neuron_families.register("ternary")(NeuronFamily("ternary", (-1, 0, 1), bits=2))
