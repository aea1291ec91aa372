"""From unit vectors of the relaxation to sign vectors, and the canonical form of a neuron.

With left, right unit rows and Z/ρ = left·rightᵀ: hyperplane rounding takes signs of left·g and
right·g for a Gaussian g; Krivine's transform first moves to unit vectors whose inner products make
E[u vᵀ] = (2γ/π)·Z/ρ exactly, γ = ln(1 + √2) (Grothendieck's identity). Its Gram matrix has a closed
form, blocks sinh(γ·left·leftᵀ), sin(γ·left·rightᵀ), sinh(γ·right·rightᵀ), entry by entry.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "GAMMA",
    "GROTHENDIECK",
    "Neurons",
    "canonicalize",
    "distinct",
    "hyperplane_signs",
    "krivine_gram",
    "krivine_signs",
    "sign_ascent",
    "signs",
    "unit_rows",
]

FloatArray = NDArray[np.float64]
SignMatrix = NDArray[np.int8]

GAMMA = math.log(1 + math.sqrt(2))
"""γ, the solution of sinh γ = 1."""

GROTHENDIECK = math.pi / (2 * GAMMA)
"""Krivine's bound on Grothendieck's constant: norm ≤ relaxation ≤ GROTHENDIECK · norm."""


class Neurons(NamedTuple):
    """Pairs of weight vectors in canonical form.

    Attributes:
        left: u, int8 (m, d), its first non-zero entry positive and u ≥ v in lexicographic order.
        right: v, int8 (m, d), its first non-zero entry positive.
        sign: int8 (m,); the given neuron is sign times this one.
    """

    left: SignMatrix
    right: SignMatrix
    sign: SignMatrix


def signs(values: FloatArray) -> SignMatrix:
    """±1 of each entry, int8; zero counts as +1."""
    return np.where(values < 0, -1, 1).astype(np.int8)


def unit_rows(matrix: FloatArray) -> FloatArray:
    """Each row of a matrix (d, k) divided by its length; a row of zeros stays as it is."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    scaled: FloatArray = matrix / np.maximum(norms, np.finfo(np.float64).tiny)
    return scaled


def hyperplane_signs(
    left: FloatArray, right: FloatArray, count: int, generator: np.random.Generator
) -> tuple[SignMatrix, SignMatrix]:
    """Signs of the vectors' sides of random hyperplanes.

    Args:
        left: unit rows, float64 (d, k).
        right: unit rows, float64 (d, k).
        count: number of pairs.
        generator: source of randomness.

    Returns:
        u and v, int8 (count, d) each.
    """
    normals = generator.standard_normal((count, left.shape[1]))
    return signs(normals @ left.T), signs(normals @ right.T)


def krivine_gram(left: FloatArray, right: FloatArray) -> FloatArray:
    """Gram matrix of the transformed vectors, float64 (2d, 2d): semidefinite, unit diagonal.

    Args:
        left: unit rows, float64 (d, k).
        right: unit rows, float64 (d, k).
    """
    across = np.sin(GAMMA * (left @ right.T))
    gram = np.block(
        [
            [np.sinh(GAMMA * (left @ left.T)), across],
            [across.T, np.sinh(GAMMA * (right @ right.T))],
        ]
    )
    # sinh(γ·1) = 1 up to rounding.
    np.fill_diagonal(gram, 1.0)
    return gram


def krivine_signs(
    left: FloatArray, right: FloatArray, count: int, generator: np.random.Generator
) -> tuple[SignMatrix, SignMatrix]:
    """Sign pairs with E[u vᵀ] = (2γ/π)·left·rightᵀ.

    Args:
        left: unit rows, float64 (d, k).
        right: unit rows, float64 (d, k).
        count: number of pairs.
        generator: source of randomness.

    Returns:
        u and v, int8 (count, d) each.
    """
    values, vectors = np.linalg.eigh(krivine_gram(left, right))
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    drawn = signs(generator.standard_normal((count, factor.shape[1])) @ factor.T)
    dimension = left.shape[0]
    return drawn[:, :dimension], drawn[:, dimension:]


def sign_ascent(matrix: FloatArray, left: SignMatrix, steps: int = 60) -> SignMatrix:
    """Alternate v = sign(Gu), u = sign(Gv), which never lowers uᵀGv, until nothing moves.

    Args:
        matrix: G, float64 (d, d), symmetric.
        left: starts, int8 (k, d).
        steps: most rounds.

    Returns:
        u, int8 (k, d).
    """
    for _ in range(steps):
        right = signs(left.astype(np.float64) @ matrix)
        moved = signs(right.astype(np.float64) @ matrix)
        if np.array_equal(moved, left):
            break
        left = moved
    return left


def canonicalize(left: SignMatrix, right: SignMatrix) -> Neurons:
    """One form for all pairs that are the same neuron up to a factor ±1.

    (xᵀu)(xᵀv) is unchanged by swapping u and v, and only changes sign with u or v.

    Args:
        left: u, int8 (m, d) of small integers, no row all zero.
        right: v, int8 (m, d) likewise.
    """
    left_sign, right_sign = (
        np.sign(np.take_along_axis(side, (side != 0).argmax(axis=1)[:, None], axis=1))
        for side in (left, right)
    )
    sign = left_sign * right_sign
    first, second = left * left_sign, right * right_sign
    unequal = first != second
    place = unequal.argmax(axis=1)
    swap = np.take_along_axis(second > first, place[:, None], axis=1)
    return Neurons(
        np.where(swap, second, first), np.where(swap, first, second), sign[:, 0].astype(np.int8)
    )


def distinct(
    left: SignMatrix, right: SignMatrix
) -> tuple[SignMatrix, SignMatrix, NDArray[np.intp]]:
    """Canonical pairs without repetition, in the order of first appearance.

    Args:
        left: u, int8 (m, d) of small integers, no row all zero.
        right: v, int8 (m, d) likewise.

    Returns:
        u and v of the distinct neurons, int8 (k, d) each, and the row where each appeared first,
        intp (k,).
    """
    canonical = canonicalize(left, right)
    pairs = np.ascontiguousarray(np.hstack(canonical[:2]))
    keys = pairs.view(np.dtype((np.void, pairs.shape[1])))[:, 0]
    _, first = np.unique(keys, return_index=True)
    first.sort()
    return canonical.left[first], canonical.right[first], first
