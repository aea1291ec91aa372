"""From approximate weights of cuts to integers that prove a bound, on one part of the sign pairs.

With p = (u + v)/2, q = (u - v)/2, a cut b on (u, v) and its image under the exchange of u and v,
s = b_u + b_v and t = b_u - b_v: sᵀp + tᵀq is odd, so (sᵀp)² + (tᵀq)² ≥ 1, and

    uᵀGv = pᵀGp - qᵀGq ≤ pᵀ(G + Σ y ssᵀ)p - qᵀ(G - Σ y ttᵀ)q - Σy ≤ Σz - Σy

if Diag(z) dominates both matrices, each on the rows where p or q can be other than zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.cut_proof import CutProof
from qdeploy.training.bounds import IntegerMatrix
from qdeploy.training.bounds.definiteness import is_proven_semidefinite
from qdeploy.training.bounds.interior_point import dominating_diagonal
from qdeploy.training.bounds.odd_cuts import Cuts, no_cuts, united

__all__ = ["Leaf", "LeafProof", "fits", "prove_leaf", "tree_of"]

FloatArray = NDArray[np.float64]

GAP = 1e-6
"""Relative gap at which a diagonal counts as the smallest."""

WEIGHT_BITS = 14
"""Bits kept of the largest weight: fewer make the file smaller and the bound looser."""

ROOM = 2e-6, 2e-7
"""Every z is raised by these shares of the mean and of the largest one, as in `sdp`."""
FIRST_LIFT = 1e-9

LARGEST_TABLE = 2**22
"""Weights, leaves times cuts, that a proof may hold: more would not fit a model file well."""
LARGEST_LEAVES = 10_000


@dataclass(frozen=True, eq=False)
class LeafProof:
    """Integers that prove a bound on one leaf.

    Attributes:
        bound: Σz - Σy.
        weights: y, int64 (k,).
        diagonal: z, int64 (d,).
    """

    bound: int
    weights: IntegerMatrix
    diagonal: IntegerMatrix


@dataclass(frozen=True, eq=False)
class Leaf:
    """A part of the sign pairs and what is proven there.

    Attributes:
        fixed: -1, 0 or 1 for each index (see `qdeploy.cut_proof`), int8 (d,).
        proof: the bound.
        cuts: its cuts, (k, w), one a weight of the proof.
    """

    fixed: NDArray[np.int8]
    proof: LeafProof
    cuts: Cuts


def tree_of(leaves: Sequence[Leaf]) -> CutProof:
    """One proof of leaves that are disjoint and together everything, without idle cuts."""
    used = [leaf.cuts[leaf.proof.weights > 0] for leaf in leaves]
    pool = no_cuts()
    for cuts in used:
        pool = united(pool, cuts)
    places = {row.tobytes(): place for place, row in enumerate(pool)}
    weights = np.zeros((len(leaves), len(pool)), dtype=np.int64)
    for number, (leaf, cuts) in enumerate(zip(leaves, used, strict=True)):
        padded = np.pad(cuts, ((0, 0), (0, pool.shape[1] - cuts.shape[1])))
        chosen = [places[row.tobytes()] for row in padded]
        weights[number, chosen] = leaf.proof.weights[leaf.proof.weights > 0]
    return CutProof(
        pool,
        weights,
        np.stack([leaf.fixed for leaf in leaves]),
        np.stack([leaf.proof.diagonal for leaf in leaves]),
    )


def fits(tree: CutProof | None) -> bool:
    """Whether a proof has room for more leaves in a model file."""
    return tree is None or (tree.weights.size <= LARGEST_TABLE and len(tree.fixed) < LARGEST_LEAVES)


def prove_leaf(
    matrix: IntegerMatrix, cuts: Cuts, weights: FloatArray, fixed: NDArray[np.int8]
) -> LeafProof:
    """Prove a bound with the cuts as they are, by the best diagonal for them.

    Args:
        matrix: G, int64 (d, d), as `checked_matrix` gives it.
        cuts: cuts (k, w).
        weights: approximate y ≥ 0 in units of G, float64 (k,).
        fixed: -1, 0 or 1 for each index (see `qdeploy.cut_proof`), int8 (d,).
    """
    dimension = len(matrix)
    rounded = _rounded(weights, int(np.abs(matrix).sum()))
    sides = np.zeros((2, len(cuts), dimension), dtype=np.int64)
    for column in cuts.T:
        place = np.flatnonzero(column)
        entry, sign = np.abs(column[place]) - 1, np.sign(column[place])
        sides[0, place, entry % dimension] += sign
        sides[1, place, entry % dimension] += np.where(entry < dimension, sign, -sign)
    # Entries of G and sums of y stay below 2^62 together (see `_rounded`), so int64 is exact.
    pair = [
        sign * matrix + s.T @ (rounded[:, None] * s) for sign, s in zip((1, -1), sides, strict=True)
    ]
    rows = np.flatnonzero(fixed >= 0), np.flatnonzero(fixed <= 0)
    solved = dominating_diagonal(
        (pair[0].astype(np.float64), pair[1].astype(np.float64)), rows, tolerance=GAP
    )
    diagonal = _proven_diagonal(pair, rows, solved.diagonal)
    return LeafProof(int(diagonal.sum() - rounded.sum()), rounded, diagonal)


def _rounded(weights: FloatArray, total: int) -> IntegerMatrix:
    """Integers near the weights, few bits each, too small for any sum to overflow."""
    if not weights.size or not weights.max() > 0:
        return np.zeros(weights.size, dtype=np.int64)
    # A cut adds at most 2·49·y to the entries of both matrices.
    limit = (2**62 - total) / (98.0 * weights.size)
    capped = np.clip(weights, 0.0, limit)
    unit = 2.0 ** max(0, int(np.ceil(np.log2(max(capped.max(), 1.0)))) - WEIGHT_BITS)
    return (np.rint(capped / unit) * unit).astype(np.int64)


def _proven_diagonal(
    pair: list[IntegerMatrix],
    rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    approximate: FloatArray,
) -> IntegerMatrix:
    """Integers z close above the approximate ones that dominate both matrices for certain."""
    dominant = np.zeros(len(approximate), dtype=np.int64)
    for matrix, place in zip(pair, rows, strict=True):
        grid = np.ix_(place, place)
        off_diagonal = np.abs(matrix[grid]).sum(axis=1) - np.abs(np.diag(matrix)[place])
        dominant[place] = np.maximum(dominant[place], np.diag(matrix)[place] + off_diagonal)
    size = np.abs(approximate)
    room = ROOM[0] * float(size.mean()) + ROOM[1] * float(size.max())
    lift = 0.0
    while lift <= float(np.abs(dominant).mean()):
        diagonal = np.ceil(approximate + lift).astype(np.int64)
        if all(
            is_proven_semidefinite(diagonal[place], -matrix[np.ix_(place, place)])
            for matrix, place in zip(pair, rows, strict=True)
        ):
            return np.asarray(diagonal + int(np.ceil(room)))
        lift = 4 * lift if lift else max(FIRST_LIFT * float(size.mean()), 1.0)
    # z_i = M_ii + Σ_j |M_ij| needs no proof beyond Gershgorin's theorem.
    return dominant
