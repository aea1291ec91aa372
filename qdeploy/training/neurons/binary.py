"""Weights ±1, one bit each: the default."""

from qdeploy.training.neurons import NeuronFamily, neuron_families

__all__ = ["BINARY"]

BINARY = neuron_families.register("binary")(NeuronFamily("binary", (-1, 1), bits=1))
