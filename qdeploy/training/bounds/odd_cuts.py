"""Cutting planes of the norm's relaxation: a sum of an odd number of signs is never zero.

With w = (u, v) and signs b on an odd set S of its entries, (Σ_S b_a w_a)² ≥ 1. For three entries
these are the triangle inequalities of the cut polytope, for five and seven its pentagonal and
heptagonal ones (Deza & Laurent, Geometry of Cuts and Metrics, chapter 28). Exchanging u and v
leaves uᵀGv as it is, so a cut and its image under the exchange count as one.
"""

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

__all__ = ["Cuts", "canonical", "no_cuts", "pair_operator", "triangles", "united"]

FloatArray = NDArray[np.float64]

Cuts = NDArray[np.int16]
"""Cuts (k, w): ±(a + 1) for entry a of (u, v) with its sign, 0 where a cut has fewer entries."""

TRIANGLE_SIGNS = np.array([(1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1)])


def no_cuts(width: int = 3) -> Cuts:
    """An empty table of cuts."""
    return np.empty((0, width), dtype=np.int16)


def triangles(together: FloatArray, across: FloatArray, limit: int, tolerance: float) -> Cuts:
    """The most violated triangle inequalities.

    Args:
        together: E uuᵀ = E vvᵀ of the relaxation, float64 (d, d).
        across: E uvᵀ, symmetric, float64 (d, d).
        limit: at most so many.
        tolerance: violation below which a triangle does not count.

    Returns:
        Cuts (k, 3), canonical and distinct, most violated first.
    """
    dimension = len(together)
    first, second = np.triu_indices(dimension, 1)
    edges = together[first, second]
    found: list[NDArray[np.int16]] = []
    sizes: list[FloatArray] = []
    for third in range(2 * dimension):
        inside = third < dimension
        column = together[third] if inside else across[third - dimension]
        # Among entries of u alone each triple is met once: with its largest entry as the third.
        chosen = np.flatnonzero(second < third) if inside else slice(None)
        a, b = first[chosen], second[chosen]
        for signs in TRIANGLE_SIGNS:
            value = 1 + signs[0] * signs[1] * edges[chosen]
            value += signs[2] * (signs[0] * column[a] + signs[1] * column[b])
            broken = np.flatnonzero(value < -tolerance)
            if broken.size:
                entries = np.stack([a[broken], b[broken], np.full(broken.size, third)], axis=1)
                found.append(((entries + 1) * signs).astype(np.int16))
                sizes.append(value[broken])
        if sum(map(len, sizes)) > 8 * limit:
            found, sizes = _largest(found, sizes, limit)
    found, _ = _largest(found, sizes, limit)
    return np.vstack([no_cuts(), *found])


def _largest(
    found: list[NDArray[np.int16]], sizes: list[FloatArray], limit: int
) -> tuple[list[NDArray[np.int16]], list[FloatArray]]:
    if not found:
        return [], []
    values = np.concatenate(sizes)
    kept = np.argsort(values, kind="stable")[:limit]
    return [np.vstack(found)[kept]], [values[kept]]


def canonical(cuts: Cuts, dimension: int) -> Cuts:
    """One form for a cut, its negative and its image under the exchange of u and v.

    Args:
        cuts: cuts (k, w) with distinct entries.
        dimension: d.
    """
    width, size = cuts.shape[1], 2 * dimension
    used = cuts != 0
    entries, signs = np.abs(cuts.astype(np.int64)) - 1, np.sign(cuts).astype(np.int64)
    exchanged = 2 * (entries >= dimension).sum(axis=1) > used.sum(axis=1)
    turned = np.where(exchanged[:, None], (entries + dimension) % size, entries)
    order = np.argsort(np.where(used, turned, size), axis=1, kind="stable")
    turned, signs = np.take_along_axis(turned, order, 1), np.take_along_axis(signs, order, 1)
    rows = signs[:, :1] * signs * (turned + 1) if width else signs
    return rows.astype(np.int16)


def united(first: Cuts, second: Cuts) -> Cuts:
    """The first cuts, then those of the second that are new, (k, w)."""
    width = max(first.shape[1], second.shape[1])
    rows = np.vstack([np.pad(c, ((0, 0), (0, width - c.shape[1]))) for c in (first, second)])
    _, place = np.unique(rows, axis=0, return_index=True)
    place.sort()
    united_rows: Cuts = rows[place]
    return united_rows


def pair_operator(cuts: Cuts, dimension: int) -> tuple[scipy.sparse.csr_array, FloatArray]:
    """The cuts as linear functions:  A·[E uuᵀ | E uvᵀ] + excess ≥ 0.

    Args:
        cuts: cuts (k, w).
        dimension: d.

    Returns:
        A, sparse (k, 2d²), with the products of signs of every pair of entries, and the excess
        (size - 1)/2, float64 (k,).
    """
    rows, columns, values = [], [], []
    every = np.arange(len(cuts))
    for i in range(cuts.shape[1]):
        for j in range(i + 1, cuts.shape[1]):
            first, second = cuts[:, i].astype(np.int64), cuts[:, j].astype(np.int64)
            used = second != 0
            a, b = np.abs(first[used]) - 1, np.abs(second[used]) - 1
            apart = (a < dimension) != (b < dimension)
            rows.append(every[used])
            columns.append(apart * dimension**2 + a % dimension * dimension + b % dimension)
            values.append(np.sign(first[used] * second[used]))
    operator = scipy.sparse.csr_array(
        (np.concatenate(values).astype(float), (np.concatenate(rows), np.concatenate(columns))),
        shape=(len(cuts), 2 * dimension**2),
    )
    return operator, ((cuts != 0).sum(axis=1) - 1) / 2
