"""Weights Σ_k 2^k b_k of two to four bits b_k = ±1: the odd integers up to 2^K - 1."""

from qdeploy.training.neurons import NeuronFamily, neuron_families

__all__ = ["MULTIPLE_BITS"]

MULTIPLE_BITS = tuple(
    neuron_families.register(f"{bits}-bit")(
        NeuronFamily(f"{bits}-bit", tuple(range(1 - 2**bits, 2**bits, 2)), bits)
    )
    for bits in (2, 3, 4)
)
