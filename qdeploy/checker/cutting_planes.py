"""A norm bound by cutting planes, proven again in integers, on every leaf of a tree.

Follows docs/certificate.md: with p = (u + v)/2 and q = (u - v)/2 each cut gives integer vectors s,
t for which sᵀp + tᵀq is odd, hence (sᵀp)² + (tᵀq)² ≥ 1. If Diag(z) dominates G + Σ y ssᵀ where p
can be other than zero and Σ y ttᵀ - G where q can, then uᵀGv ≤ Σz - Σy on the leaf.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.checker.definiteness import is_certainly_semidefinite
from qdeploy.checker.errors import RefutationError

__all__ = ["TreeClaims", "covers_everything", "leaf_bound", "read_tree"]

LARGEST = 2**62
"""Entries of both matrices stay below this, which is proven before they are formed."""

LARGEST_CUT = 63
"""Entries of a cut, at most."""

LARGEST_LEAVES = 20_000


@dataclass(frozen=True, eq=False)
class TreeClaims:
    """Integers of checked types, ranges and shapes.

    Attributes:
        cuts: for each cut its entries, 0 ≤ a < 2d, and their signs; an odd number of distinct
            entries each.
        weights: y ≥ 0, int64 (leaves, k).
        fixed: -1, 0 or 1, int8 (leaves, d).
        diagonals: z, for each leaf d Python integers.
    """

    cuts: list[list[tuple[int, int]]]
    weights: NDArray[np.int64]
    fixed: NDArray[np.int8]
    diagonals: list[list[int]]


def read_tree(tree: object, lifted: int, name: str) -> TreeClaims:
    """Check a tree of unknown origin.

    Args:
        tree: what the certificate holds.
        lifted: d, the constant input included.
        name: of the output, for messages.

    Raises:
        RefutationError: something is not as it should be.
    """
    tables = {}
    for field, lowest, largest in (
        ("cuts", -2 * lifted, 2 * lifted),
        ("weights", 0, LARGEST),
        ("fixed", -1, 1),
        ("diagonals", -LARGEST, LARGEST),
    ):
        value = getattr(tree, field, None)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.ndim != 2:
            raise RefutationError(f"{name}: the {field} of the tree are not a table of integers")
        if value.size and not lowest <= int(value.min()) <= int(value.max()) <= largest:
            raise RefutationError(f"{name}: the {field} of the tree leave their range")
        tables[field] = value
    leaves = len(tables["fixed"])
    shapes = {
        "weights": (leaves, len(tables["cuts"])),
        "fixed": (leaves, lifted),
        "diagonals": (leaves, lifted),
    }
    if not 1 <= leaves <= LARGEST_LEAVES or any(
        tables[field].shape != shape for field, shape in shapes.items()
    ):
        raise RefutationError(f"{name}: the tables of the tree do not fit together")
    if tables["cuts"].shape[1] > LARGEST_CUT:
        raise RefutationError(f"{name}: a cut has more than {LARGEST_CUT} entries")
    cuts = []
    for number, row in enumerate(tables["cuts"].tolist(), start=1):
        members = [(abs(member) - 1, 1 if member > 0 else -1) for member in row if member]
        if len({entry for entry, _ in members}) != len(members) or len(members) % 2 == 0:
            raise RefutationError(f"{name}: cut {number} is not an odd number of distinct entries")
        cuts.append(members)
    return TreeClaims(
        cuts=cuts,
        weights=tables["weights"].astype(np.int64),
        fixed=tables["fixed"].astype(np.int8),
        diagonals=tables["diagonals"].tolist(),
    )


def covers_everything(fixed: NDArray[np.int8]) -> bool:
    """Whether leaves are disjoint and together all of {±1}^d.

    Two leaves are disjoint if some index is +1 in one and -1 in the other; a leaf that fixes k
    indices is 2^-k of everything, and disjoint parts that add up to one leave nothing out.

    Args:
        fixed: -1, 0 or 1, int8 (leaves, d).
    """
    size = fixed.shape[1]
    if sum(1 << (size - int(np.count_nonzero(leaf))) for leaf in fixed) != 1 << size:
        return False
    return all(
        ((fixed[:place] * fixed[place]) == -1).any(axis=1).all() for place in range(len(fixed))
    )


def leaf_bound(claims: TreeClaims, leaf: int, gram: NDArray[np.int64], name: str) -> int:
    """Σz - Σy of one leaf, after the proof that it bounds uᵀGv there.

    Args:
        claims: the tree.
        leaf: which leaf.
        gram: G, symmetric int64 (d, d).
        name: of the output, for messages.

    Raises:
        RefutationError: the matrices are not proven to be dominated.
    """
    size = len(gram)
    weights = claims.weights[leaf].tolist()
    # |s_i s_j| ≤ 4, so no entry of either matrix exceeds this.
    reach = sum(abs(value) for value in gram.ravel().tolist())
    if reach + 4 * sum(weights) >= LARGEST:
        raise RefutationError(f"{name}: the weights of the cuts are too large for exact sums")
    first, second = gram.copy(), -gram
    for members, weight in zip(claims.cuts, weights, strict=True):
        if not weight:
            continue
        s, t = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        for entry, sign in members:
            s[entry % size] += sign
            t[entry % size] += sign if entry < size else -sign
        for matrix, side in ((first, s), (second, t)):
            place = np.flatnonzero(side)
            matrix[np.ix_(place, place)] += weight * np.outer(side[place], side[place])
    diagonal = claims.diagonals[leaf]
    for matrix, excluded in ((first, -1), (second, 1)):
        rows = np.flatnonzero(claims.fixed[leaf] != excluded)
        chosen = [diagonal[row] for row in rows.tolist()]
        if rows.size and not is_certainly_semidefinite(chosen, matrix[np.ix_(rows, rows)], -1):
            raise RefutationError(
                f"{name}: on leaf {leaf + 1} the diagonal is not proven to dominate the matrix "
                "with its cuts, or the margin is too small"
            )
    return sum(diagonal) - sum(weights)
