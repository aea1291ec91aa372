from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.checker.definiteness import is_certainly_semidefinite, required_margin


def truly_semidefinite(matrix):
    """Exact symmetric elimination in fractions."""
    rest = [[Fraction(int(value)) for value in row] for row in matrix]
    for k in range(len(rest)):
        pivot = rest[k][k]
        if pivot < 0 or (pivot == 0 and any(rest[k][k + 1 :])):
            return False
        for i in range(k + 1, len(rest)):
            if pivot:
                factor = rest[i][k] / pivot
                rest[i] = [a - factor * b for a, b in zip(rest[i], rest[k], strict=True)]
    return True


def proves(matrix):
    """Through the interface: z = diagonal, G = the rest."""
    matrix = np.array(matrix, dtype=object)
    diagonal = [int(value) for value in np.diag(matrix)]
    gram = matrix.copy()
    np.fill_diagonal(gram, 0)
    return is_certainly_semidefinite(diagonal, gram.astype(np.int64), 1)


def test_literal_matrices():
    assert proves([[2, -1], [-1, 2]])
    assert proves([[5, 4, 4], [4, 5, 4], [4, 4, 5]])
    assert not proves([[1, 2], [2, 1]])
    assert not proves([[-1]])
    assert proves([[0, 0], [0, 0]])
    assert proves([[0, 0], [0, 3]])
    assert not proves([[0, 1], [1, 3]])


def test_sign_chooses_the_matrix():
    gram = np.array([[-3, 0], [0, 0]])
    assert is_certainly_semidefinite([3, 1], gram, 1)
    assert is_certainly_semidefinite([2, 1], gram, -1)
    assert not is_certainly_semidefinite([2, 1], gram, 1)


@settings(max_examples=300, deadline=None)
@given(
    size=st.integers(2, 6),
    rank=st.integers(1, 6),
    magnitude=st.sampled_from([3, 100, 30000, 2**22]),
    nudge=st.integers(-2, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_never_accepts_an_indefinite_matrix(size, rank, magnitude, nudge, seed):
    """Semidefinite matrices, many singular, moved by single units across the border."""
    rng = np.random.default_rng(seed)
    factor = rng.integers(-magnitude, magnitude + 1, (size, rank))
    matrix = (factor @ factor.T).astype(object)
    place = rng.integers(size)
    matrix[place, place] += nudge
    if proves(matrix):
        assert truly_semidefinite(matrix)


@settings(max_examples=100, deadline=None)
@given(size=st.integers(2, 8), seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([10, 2**20]))
def test_accepts_whatever_has_the_required_margin(size, seed, scale):
    rng = np.random.default_rng(seed)
    factor = rng.integers(-scale, scale + 1, (size, rng.integers(1, size + 1)))
    matrix = (factor @ factor.T).astype(object)
    assert truly_semidefinite(matrix)
    margin = int(required_margin([int(value) for value in np.diag(matrix)])) + 1
    matrix[np.diag_indices(size)] += margin
    assert proves(matrix)


@pytest.mark.parametrize("size", [60, 300])
def test_large_matrices_need_a_relative_margin_of_a_millionth(size):
    rng = np.random.default_rng(size)
    gram = rng.integers(-(2**30), 2**30, (size, size))
    gram = np.triu(gram) + np.triu(gram, 1).T
    largest = np.abs(np.linalg.eigvalsh(gram.astype(float))).max()
    enough = [int(largest * (1 + 1e-6))] * size
    short = [int(largest * (1 - 1e-6))] * size
    assert is_certainly_semidefinite(enough, gram, 1)
    assert is_certainly_semidefinite(enough, gram, -1)
    assert not (
        is_certainly_semidefinite(short, gram, 1) and is_certainly_semidefinite(short, gram, -1)
    )


def test_multipliers_near_the_limit_of_int64():
    gram = np.array([[0, 2**52], [2**52, 0]])
    assert is_certainly_semidefinite([2**63 - 1, 2**63 - 1], gram, 1)
    assert is_certainly_semidefinite([2**63 - 1, 2**42], gram, -1)
    assert not is_certainly_semidefinite([2**63 - 1, 2**40], gram, -1)
