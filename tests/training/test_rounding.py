import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.training.rounding import (
    GAMMA,
    GROTHENDIECK,
    canonicalize,
    distinct,
    hyperplane_signs,
    krivine_gram,
    krivine_signs,
    sign_ascent,
    signs,
)


def unit_rows(generator, dimension, columns):
    rows = generator.standard_normal((dimension, columns))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def random_signs(seed, count, dimension):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (count, dimension))


def test_constants():
    assert math.sinh(GAMMA) == pytest.approx(1, abs=1e-15)
    assert pytest.approx(1.7822139781913691) == GROTHENDIECK


def test_zero_has_a_sign():
    assert signs(np.array([0.0, -0.0, 2.0, -3.0])).tolist() == [1, 1, 1, -1]


@given(seed=st.integers(0, 10**6), dimension=st.integers(1, 12), columns=st.integers(1, 8))
@settings(deadline=None)
def test_krivine_gram_is_semidefinite_with_unit_diagonal(seed, dimension, columns):
    generator = np.random.default_rng(seed)
    left, right = (unit_rows(generator, dimension, columns) for _ in range(2))
    gram = krivine_gram(left, right)
    assert (np.diag(gram) == 1).all()
    assert np.array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(gram).min() > -1e-12


@pytest.mark.parametrize(
    ("sample", "expectation"),
    [
        (krivine_signs, lambda inner: 2 * GAMMA / math.pi * inner),
        (hyperplane_signs, lambda inner: 2 / math.pi * np.arcsin(inner)),
    ],
)
def test_expected_products(sample, expectation):
    # Each entry is a mean of N independent ±1: by Hoeffding it is off by more than ε with
    # probability at most 2 exp(-N ε² / 2); over 36 entries and ε = 0.02 that is below 1e-15.
    generator = np.random.default_rng(7)
    left, right = (unit_rows(generator, 6, 4) for _ in range(2))
    count = 200_000
    u, v = sample(left, right, count, generator)
    assert u.dtype == v.dtype == np.int8
    mean = u.T.astype(np.float64) @ v.astype(np.float64) / count
    assert np.abs(mean - expectation(left @ right.T)).max() < 0.02


@given(seed=st.integers(0, 10**6), count=st.integers(1, 20), dimension=st.integers(1, 5))
@settings(deadline=None)
def test_canonical_form_is_the_same_neuron(seed, count, dimension):
    left, right = random_signs(seed, count, dimension), random_signs(seed + 1, count, dimension)
    canonical = canonicalize(left, right)
    assert (canonical.left[:, 0] == 1).all()
    assert (canonical.right[:, 0] == 1).all()
    x = np.random.default_rng(seed).integers(-128, 128, (7, dimension))
    before = (x @ left.T.astype(np.int64)) * (x @ right.T.astype(np.int64))
    after = (x @ canonical.left.T.astype(np.int64)) * (x @ canonical.right.T.astype(np.int64))
    assert np.array_equal(before, after * canonical.sign)
    assert canonical.left.dtype == canonical.right.dtype == canonical.sign.dtype == np.int8


@given(seed=st.integers(0, 10**6), dimension=st.integers(1, 6))
@settings(deadline=None)
def test_equivalent_pairs_have_one_form(seed, dimension):
    u, v = random_signs(seed, 1, dimension), random_signs(seed + 1, 1, dimension)
    forms = [(u, v), (v, u), (-u, -v), (-v, -u), (-u, v), (u, -v), (v, -u), (-v, u)]
    left, right = (np.vstack(side) for side in zip(*forms, strict=True))
    canonical = canonicalize(left, right)
    assert (canonical.left == canonical.left[0]).all()
    assert (canonical.right == canonical.right[0]).all()
    assert (canonical.sign == np.array([1, 1, 1, 1, -1, -1, -1, -1]) * canonical.sign[0]).all()
    assert len(distinct(left, right)[0]) == 1


@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), dimension=st.integers(1, 4))
@settings(deadline=None)
def test_distinct_keeps_each_neuron_once_in_order(seed, count, dimension):
    left, right = random_signs(seed, count, dimension), random_signs(seed + 1, count, dimension)
    u, v, first = distinct(left, right)
    canonical = canonicalize(left, right)
    keys = [(a.tobytes(), b.tobytes()) for a, b in zip(*canonical[:2], strict=True)]
    expected = list(dict.fromkeys(keys))
    assert [(a.tobytes(), b.tobytes()) for a, b in zip(u, v, strict=True)] == expected
    assert first.tolist() == [keys.index(key) for key in expected]


def test_nothing_to_make_distinct():
    empty = np.zeros((0, 3), dtype=np.int8)
    left, right, first = distinct(empty, empty)
    assert left.shape == right.shape == (0, 3)
    assert first.size == 0


def test_sign_ascent_ends_where_nothing_moves():
    generator = np.random.default_rng(3)
    matrix = generator.standard_normal((9, 9))
    matrix = matrix + matrix.T
    start = random_signs(4, 30, 9)
    found = sign_ascent(matrix, start)
    values = np.abs(found @ matrix).sum(axis=1)
    assert (values >= np.abs(start @ matrix).sum(axis=1) - 1e-9).all()
    again = signs(signs(found @ matrix).astype(np.float64) @ matrix)
    assert np.array_equal(again, found)
