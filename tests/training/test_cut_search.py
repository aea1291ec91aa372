"""The search for cuts of more than three entries, against all of them on small moments."""

import itertools

import numpy as np
import pytest

from qdeploy.training.bounds.cut_search import violated_cuts
from qdeploy.training.bounds.odd_cuts import canonical, no_cuts


def moments_of(seed, dimension):
    """E uuᵀ and E uvᵀ of random unit vectors: they break many cuts."""
    rows = np.random.default_rng(seed).standard_normal((2, dimension, 3))
    rows /= np.linalg.norm(rows, axis=(0, 2))[:, None]
    positive, negative = (side @ side.T for side in rows)
    return positive + negative, positive - negative


def value(cut, moments):
    entries = np.array([abs(member) - 1 for member in cut if member])
    signs = np.array([np.sign(member) for member in cut if member])
    return float(signs @ moments[np.ix_(entries, entries)] @ signs)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_is_violated_odd_and_distinct(seed):
    together, across = moments_of(seed, 5)
    moments = np.block([[together, across], [across, together]])
    generator = np.random.default_rng(0)
    found = violated_cuts(no_cuts(), together, across, 500, 0.01, largest=7, generator=generator)
    assert len(found)
    values = [value(cut, moments) for cut in found]
    assert max(values) < 1 - 0.01 + 1e-9
    assert values == sorted(values)
    for cut in found:
        entries = [abs(member) for member in cut if member]
        assert len(entries) % 2 == len(set(entries)) % 2 == 1
        assert 3 <= len(entries) <= 7
    assert np.array_equal(canonical(found, 5), found)
    assert len(np.unique(found, axis=0)) == len(found)
    # No cut of three or five entries is broken by more than those that are found.
    lowest = min(
        value([(entry + 1) * sign for entry, sign in zip(chosen, signs, strict=True)], moments)
        for size in (3, 5)
        for chosen in itertools.combinations(range(10), size)
        for signs in itertools.product((1, -1), repeat=size)
        if signs[0] == 1
    )
    assert values[0] <= lowest + 1e-9


def test_a_limit_and_the_largest_size_are_kept():
    together, across = moments_of(1, 8)
    generator = np.random.default_rng(0)
    found = violated_cuts(no_cuts(), together, across, 4, 0.01, largest=5, generator=generator)
    assert found.shape == (4, 5)
    whole = np.ones((8, 8))
    # Every sign pair satisfies every cut.
    nothing = violated_cuts(no_cuts(), whole, whole, 9, 0.01, largest=5, generator=generator)
    assert not len(nothing)
