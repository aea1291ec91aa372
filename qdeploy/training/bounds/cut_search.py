"""Search for violated cuts of more than three entries: many local searches at once.

With M the moments of (u, v) in the relaxation, a cut with signs b is violated where bᵀMb < 1. From
each start, pairs of entries enter, leave or take each other's place while bᵀMb falls, so the
number of entries stays odd. Everything that is met on the way and is violated counts. A heuristic:
finding nothing says nothing.
"""

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.bounds.odd_cuts import Cuts, canonical, no_cuts, united

__all__ = ["violated_cuts"]

FloatArray = NDArray[np.float64]

STEPS = 12
BREADTH = 20
"""Entries whose change alone is best; their pairs are the moves that are tried."""
RANDOM_STARTS = 200
DESCENT = 1e-6
"""A move that lowers bᵀMb by less ends a search."""


def violated_cuts(
    starts: Cuts,
    together: FloatArray,
    across: FloatArray,
    limit: int,
    tolerance: float,
    *,
    largest: int,
    generator: np.random.Generator,
) -> Cuts:
    """The most violated of the cuts that local searches meet.

    Args:
        starts: cuts to start from, (k, w); random ones of three entries are tried besides.
        together: E uuᵀ, float64 (d, d).
        across: E uvᵀ, symmetric, float64 (d, d).
        limit: at most so many.
        tolerance: violation below which a cut does not count.
        largest: entries of a cut, at most.
        generator: source of randomness.

    Returns:
        Cuts (k', largest), canonical and distinct, most violated first.
    """
    moments = np.block([[together, across], [across, together]])
    signs = np.vstack([_dense(starts, len(moments)), _random(len(moments), generator)])
    met: list[NDArray[np.int8]] = []
    values: list[FloatArray] = []
    for _ in range(STEPS):
        lines = signs @ moments
        gain, moved = _best_moves(signs, lines, moments, largest)
        value = np.einsum("ij,ij->i", signs, lines) + gain
        broken = value < 1 - tolerance
        met.append(moved[broken].astype(np.int8))
        values.append(value[broken])
        signs = moved[gain < -DESCENT]
        if not len(signs):
            break
    found, sizes = np.vstack(met), np.concatenate(values)
    # Searches meet, with either sign.
    leading = np.take_along_axis(found, (found != 0).argmax(axis=1)[:, None], 1)
    found, place = np.unique(found * leading, axis=0, return_index=True)
    # The exchange of u and v makes two of one: twice as many are kept until that is known.
    best = np.argsort(sizes[place], kind="stable")[: 2 * limit]
    table = _table(found[best], largest)
    return united(no_cuts(largest), canonical(table, len(together)))[:limit]


def _best_moves(
    signs: FloatArray, lines: FloatArray, moments: FloatArray, largest: int
) -> tuple[FloatArray, FloatArray]:
    """Change of bᵀMb by the best pair of changes, (k,), and b after it, (k, 2d)."""
    rows = np.arange(len(signs))
    # An entry enters with the sign that lowers the sum, or leaves.
    change = np.where(signs == 0, np.where(lines > 0, -1.0, 1.0), -signs)
    alone = 2 * change * lines + 1
    breadth = min(BREADTH, signs.shape[1])
    tried = np.argpartition(alone, breadth - 1, axis=1)[:, :breadth]
    step, cost, entering = (
        np.take_along_axis(table, tried, 1) for table in (change, alone, signs == 0)
    )
    pairs = cost[:, :, None] + cost[:, None, :]
    pairs += 2 * step[:, :, None] * step[:, None, :] * moments[tried[:, :, None], tried[:, None, :]]
    count = np.count_nonzero(signs, axis=1)
    both_enter = entering[:, :, None] & entering[:, None, :]
    both_leave = ~entering[:, :, None] & ~entering[:, None, :]
    pairs[both_enter & (count + 2 > largest)[:, None, None]] = np.inf
    pairs[both_leave & (count <= 3)[:, None, None]] = np.inf
    pairs[:, np.arange(breadth), np.arange(breadth)] = np.inf
    flat = pairs.reshape(len(signs), -1)
    place = flat.argmin(axis=1)
    moved = signs.copy()
    for member in np.divmod(place, breadth):
        moved[rows, tried[rows, member]] += step[rows, member]
    return flat[rows, place], moved


def _dense(cuts: Cuts, size: int) -> FloatArray:
    """Cuts as rows of -1, 0 and 1, float64 (k, 2d)."""
    dense = np.zeros((len(cuts), size))
    for column in cuts.T:
        place = np.flatnonzero(column)
        dense[place, np.abs(column[place]) - 1] = np.sign(column[place])
    return dense


def _random(size: int, generator: np.random.Generator) -> FloatArray:
    entries = generator.permuted(np.tile(np.arange(size), (RANDOM_STARTS, 1)), axis=1)[:, :3]
    dense = np.zeros((RANDOM_STARTS, size))
    np.put_along_axis(dense, entries, generator.choice([-1.0, 1.0], entries.shape), axis=1)
    return dense


def _table(dense: NDArray[np.int8], width: int) -> Cuts:
    """Rows of -1, 0 and 1 as cuts of at most `width` entries."""
    table = np.zeros((len(dense), width), dtype=np.int16)
    rows, entries = np.nonzero(dense)
    counts = np.count_nonzero(dense, axis=1)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    table[rows, place] = (entries + 1) * dense[rows, entries]
    return table
