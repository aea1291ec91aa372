"""Families of neurons: which weights u and v may hold, and what a neuron costs.

One module an alphabet. The objective is L(f(X), y) + λ Σ|α_j| s_j with f = Σ α_j (x̂ᵀu_j)(x̂ᵀv_j) and
the size s_j of a neuron, which is 1 for ±1 weights under either penalty:

    count:  s = L², L the largest level. A bilinear form over a box is largest at its corners, so
            that the optimum of any width is that of ±1 weights; wider levels need fewer neurons
    size:   s = ‖u‖₂‖v‖₂ / d; bounded for all real weights by the largest |eigenvalue| of G
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qdeploy.activation import Activation
from qdeploy.errors import QDeployError
from qdeploy.registry import Registry

__all__ = ["LevelMatrix", "NeuronFamily", "PenaltyKind", "family_of", "neuron_families"]

FloatArray = NDArray[np.float64]
LevelMatrix = NDArray[np.int8]
PenaltyKind = Literal["count", "size"]

ROOT_BITS = 64
"""Binary places of an irrational size, rounded up."""


@dataclass(frozen=True)
class NeuronFamily:
    """Products of two sums, or an activation of one, whose weights come from one alphabet.

    Attributes:
        name: what users call the alphabet.
        levels: the weights, ascending, symmetric about 0.
        bits: width in which one weight is stored.
        penalty: what Σ|α| is weighted with.
        activation: of neurons of one sum, with weights ±1; None for products of two sums.
    """

    name: str
    levels: tuple[int, ...]
    bits: int
    penalty: PenaltyKind = "count"
    activation: Activation | None = None

    @property
    def largest(self) -> int:
        """L, the largest level."""
        return self.levels[-1]

    @property
    def is_binary(self) -> bool:
        """Whether the weights are ±1, for which both penalties are the same."""
        return self.levels == (-1, 1)

    @property
    def by_size(self) -> bool:
        """Whether the cost of a neuron depends on its weights, so that bounds over ±1 do not do."""
        return self.penalty == "size" and not self.is_binary

    def sizes(self, left: LevelMatrix, right: LevelMatrix) -> FloatArray:
        """s_j, float64 (m,), of weights (m, d)."""
        if not self.by_size:
            return np.full(len(left), float(self.largest) ** 2)
        squares = [(side.astype(np.float64) ** 2).sum(axis=1) for side in (left, right)]
        sizes: FloatArray = np.sqrt(squares[0] * squares[1]) / left.shape[1]
        return sizes

    def exact_sizes(self, left: LevelMatrix, right: LevelMatrix) -> list[Fraction]:
        """s_j of weights (m, d), exactly where rational, else a little above."""
        if not self.by_size:
            return [Fraction(self.largest**2)] * len(left)
        first, second = (
            (side.astype(np.int64) ** 2).sum(axis=1).tolist() for side in (left, right)
        )
        dimension = left.shape[1]
        return [_root_above(a * b) / dimension for a, b in zip(first, second, strict=True)]

    def corners(self, signs: LevelMatrix) -> LevelMatrix:
        """Signs times the largest level, int8 (m, d)."""
        return signs * np.int8(self.largest)

    def normalised(self, products: FloatArray, left: LevelMatrix, right: LevelMatrix) -> FloatArray:
        """Neuron outputs (n, m) divided by their sizes, so that λ Σ|α| is the penalty."""
        if self.is_binary or (self.largest == 1 and not self.by_size):
            return products
        scaled: FloatArray = products / self.sizes(left, right).astype(products.dtype)
        return scaled


neuron_families: Registry[NeuronFamily] = Registry("weights", "qdeploy.training.neurons")


def family_of(weights: str, penalty: str) -> NeuronFamily:
    """The family of a named alphabet under a named penalty.

    Raises:
        QDeployError: either is unknown.
    """
    for kind in get_args(PenaltyKind):
        if kind == penalty:
            return replace(neuron_families[weights], penalty=kind)
    known = " or ".join(map(repr, get_args(PenaltyKind)))
    raise QDeployError(f"penalty must be {known}, not {penalty!r}")


def _root_above(square: int) -> Fraction:
    """√square, exact for a perfect square and else rounded up to a multiple of 2⁻⁶⁴."""
    root = isqrt(square)
    if root * root == square:
        return Fraction(root)
    return Fraction(isqrt(square << (2 * ROOT_BITS)) + 1, 1 << ROOT_BITS)
