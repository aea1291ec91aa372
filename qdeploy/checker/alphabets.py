"""Which weights a certified network may have, and what each of its neurons costs."""

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.checker.errors import RefutationError
from qdeploy.network import QuadraticLayer

__all__ = ["ALPHABETS", "WeightClaims", "check_equal", "read_weights"]

ALPHABETS = {
    "binary": frozenset({-1, 1}),
    "ternary": frozenset({-1, 0, 1}),
    "2-bit": frozenset(range(-3, 4, 2)),
    "3-bit": frozenset(range(-7, 8, 2)),
    "4-bit": frozenset(range(-15, 16, 2)),
}
"""The weights of each alphabet, by the name that a certificate carries."""

PLACES = 128
"""Binary places to which an irrational size is rounded up."""


@dataclass(frozen=True)
class WeightClaims:
    """The alphabet of u and v, and the penalty.

    Attributes:
        alphabet: its name.
        by_size: whether a neuron costs ‖u‖‖v‖/d; otherwise the square of the largest weight.
    """

    alphabet: str
    by_size: bool

    @property
    def needs_spectrum(self) -> bool:
        """Whether N must hold for real weights, because the price depends on them."""
        return self.by_size and self.alphabet != "binary"

    def check(
        self, side: str, weights: NDArray[np.int8], bias: NDArray[np.int32], constant: int
    ) -> None:
        """Refuse weights outside the alphabet, and biases that are not κ times one of them."""
        allowed = sorted(ALPHABETS[self.alphabet])
        shown = "+1 or -1" if self.alphabet == "binary" else f"one of {_list(allowed)}"
        wrong = np.argwhere(~np.isin(weights, allowed))
        if len(wrong):
            neuron, position = wrong[0]
            raise RefutationError(
                f"neuron {neuron + 1}, {side} weight {position + 1} is "
                f"{weights[neuron, position]}, not {shown}"
            )
        biases = [constant * level for level in allowed]
        odd = np.flatnonzero(~np.isin(bias.astype(np.int64), biases))
        if len(odd):
            shown = (
                f"+{constant} or -{constant}"
                if self.alphabet == "binary"
                else f"{constant} times {shown}"
            )
            raise RefutationError(
                f"neuron {odd[0] + 1}, {side} bias is {bias[odd[0]]}, not {shown}"
            )

    def sizes(self, quadratic: QuadraticLayer, constant: int) -> list[Fraction]:
        """What |α| of each neuron is multiplied with in the penalty λ Σ|α| s, never too little."""
        if not self.needs_spectrum:
            return [Fraction(max(ALPHABETS[self.alphabet]) ** 2)] * quadratic.width
        squares = []
        for weights, bias in (
            (quadratic.left, quadratic.left_bias),
            (quadratic.right, quadratic.right_bias),
        ):
            last = bias.astype(np.int64) // constant
            squares.append((weights.astype(np.int64) ** 2).sum(axis=1) + last**2)
        products = (int(a) * int(b) for a, b in zip(*squares, strict=True))
        return [_root_above(product) / (quadratic.inputs + 1) for product in products]


def read_weights(alphabet: Any, penalty: Any) -> WeightClaims:
    """Alphabet and penalty of a certificate.

    Raises:
        RefutationError: either is unknown.
    """
    if not isinstance(alphabet, str) or alphabet not in ALPHABETS:
        raise RefutationError(f"the alphabet of the weights is not one of {', '.join(ALPHABETS)}")
    if not isinstance(penalty, str) or penalty not in ("count", "size"):
        raise RefutationError("the kind of the penalty is neither 'count' nor 'size'")
    return WeightClaims(alphabet, penalty == "size")


def check_equal(multipliers: list[int] | None, name: str) -> None:
    """Refuse a proof of N that says nothing of weights other than signs.

    With all z_i = ν the matrices ν·I ± G have no negative eigenvalue: |uᵀGv| ≤ ν‖u‖‖v‖ for all
    real u and v, which is N‖u‖‖v‖/d with N = d·ν.
    """
    if multipliers is None or len(set(multipliers)) > 1:
        raise RefutationError(
            f"{name}: under the size penalty N must be proven by equal multipliers, which hold for "
            "all real weights"
        )


def _root_above(square: int) -> Fraction:
    root = isqrt(square)
    if root * root == square:
        return Fraction(root)
    return Fraction(isqrt(square << (2 * PLACES)) + 1, 1 << PLACES)


def _list(levels: list[int]) -> str:
    return ", ".join(map(str, levels))
