"""Neurons of one sum, σ(t) = unit·T·(a·T + B) with a of 0 or 1: their form, and its two sides.

With q = (u, 1) and residuals that sum to zero, twice Σ_i r_i T_i (a·T_i + B) is qᵀMq,

    M = [[2a·G, B·h], [B·hᵀ, 0]]       G = Xᵀdiag(r)X,  h = Xᵀr

(without the last row where B = 0). Each sign of M is bounded by a norm bound of a shifted matrix:
qᵀMq = qᵀ(M + cI)q - cD, and a bound on |uᵀPv| holds for u = v.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.checker.cutting_planes import TreeClaims
from qdeploy.checker.errors import RefutationError
from qdeploy.network import QuadraticLayer

__all__ = [
    "ActivationClaims",
    "SideClaims",
    "check_neurons",
    "form_matrix",
    "read_activation",
    "shifted",
]

LARGEST_ENTRY = 2**61
"""Entries of M stay below this, so that a shift of at most as much cannot overflow."""


@dataclass(frozen=True)
class ActivationClaims:
    """An activation of checked types and ranges.

    Attributes:
        square: a, 0 or 1.
        linear: B, not zero where a is.
        unit: exactly.
    """

    square: int
    linear: int
    unit: Fraction

    def size(self, lifted: int) -> int:
        """Rows D of M for so many inputs, the constant one included."""
        return lifted + (1 if self.linear else 0)


@dataclass(frozen=True, eq=False)
class SideClaims:
    """The proof of one side, of checked types and ranges.

    Attributes:
        shift: c ≥ 0.
        largest: claimed bound on qᵀMq, or on -qᵀMq.
        norm: bound that the proof must show for the shifted matrix, largest + cD.
        multipliers: as for an output.
        tree: likewise.
    """

    shift: int
    largest: int
    norm: int
    multipliers: list[int] | None
    tree: TreeClaims | None


def check_neurons(quadratic: QuadraticLayer, activation: ActivationClaims) -> None:
    """Refuse a layer whose right side is not a·(left side) + B."""
    left_bias, right_bias = (
        bias.astype(np.int64) for bias in (quadratic.left_bias, quadratic.right_bias)
    )
    wrong = (
        quadratic.right.astype(np.int64) != activation.square * quadratic.left.astype(np.int64)
    ).any(axis=1) | (right_bias != activation.square * left_bias + activation.linear)
    if wrong.any():
        raise RefutationError(
            f"neuron {int(wrong.argmax()) + 1} does not compute the activation "
            f"T·({activation.square}·T + {activation.linear}) of its left side T"
        )


def form_matrix(
    gram: NDArray[np.int64],
    lifted: NDArray[np.int64],
    residual: NDArray[np.int64],
    activation: ActivationClaims,
) -> NDArray[np.int64]:
    """M, int64 (D, D), exactly.

    Args:
        gram: G, int64 (d, d).
        lifted: X, int64 (n, d).
        residual: r, int64 (n,), of sum zero.
        activation: a and B.

    Raises:
        RefutationError: an entry is too large for exact sums.
    """
    size, whole = len(gram), activation.size(len(gram))
    matrix = np.zeros((whole, whole), dtype=object)
    matrix[:size, :size] = 2 * activation.square * gram.astype(object)
    if activation.linear:
        # Partial sums stay within those that the Gram matrix was checked for.
        edge = activation.linear * (residual @ lifted).astype(object)
        matrix[size, :size] = matrix[:size, size] = edge
    if max(abs(value) for value in matrix.ravel().tolist()) >= LARGEST_ENTRY:
        raise RefutationError("the activation's form is too large for exact sums")
    return matrix.astype(np.int64)


def shifted(matrix: NDArray[np.int64], sign: int, shift: int) -> NDArray[np.int64]:
    """sign·M + shift·I; both stay below half of what int64 holds."""
    result = sign * matrix
    result[np.diag_indices_from(result)] += shift
    return result


def read_activation(value: Any) -> ActivationClaims | None:
    """Check an activation of unknown origin; None where neurons are products of two sums."""
    if value is None:
        return None
    numbers = [getattr(value, field, None) for field in ("square", "linear", "unit")]
    square, linear, unit = numbers
    if (
        isinstance(square, bool)
        or not isinstance(square, int | np.integer)
        or square not in (0, 1)
        or isinstance(linear, bool)
        or not isinstance(linear, int | np.integer)
        or not abs(int(linear)) < 2**31
        or not (square or linear)
    ):
        raise RefutationError("the activation is not T·(a·T + B) with a of 0 or 1 and B an integer")
    if not isinstance(unit, float | np.floating) or not 0 < unit < float("inf"):
        raise RefutationError("the unit of the activation is not a positive number")
    return ActivationClaims(int(square), int(linear), Fraction(float(unit)))
