import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.checker import enumeration
from qdeploy.checker.enumeration import fits_walk, largest_bilinear_value


def symmetric(rng, size, magnitude):
    square = rng.integers(-magnitude, magnitude + 1, (size, size))
    return np.triu(square) + np.triu(square, 1).T


def brute_force(gram):
    size = len(gram)
    signs = 1 - 2 * (np.arange(2 ** (size - 1))[:, None] >> np.arange(size) & 1)
    return int(np.abs(signs @ gram).sum(axis=1).max())


@pytest.mark.parametrize("size", range(1, 15))
def test_equals_brute_force(size):
    rng = np.random.default_rng(size)
    for magnitude in (1, 5, 2**40):
        gram = symmetric(rng, size, magnitude)
        assert largest_bilinear_value(gram) == brute_force(gram)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 6))
def test_chunks_do_not_change_the_result(seed, size, chunk):
    gram = symmetric(np.random.default_rng(seed), size, 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enumeration, "CHUNK_SIGNS", chunk)
        assert largest_bilinear_value(gram) == brute_force(gram)


def test_literal_matrix():
    assert largest_bilinear_value(np.array([[2, -3], [-3, 1]])) == 9
    assert largest_bilinear_value(np.zeros((4, 4), dtype=np.int64)) == 0


def test_largest_entries_that_fit_do_not_overflow():
    gram = np.full((4, 4), (2**62 - 1) // 16)
    assert fits_walk(gram)
    assert largest_bilinear_value(gram) == 16 * ((2**62 - 1) // 16)
    gram = np.full((4, 4), 2**62 // 16)
    assert not fits_walk(gram)
    with pytest.raises(ValueError, match="outside the range"):
        largest_bilinear_value(gram)


def test_too_many_inputs_are_refused():
    with pytest.raises(ValueError, match="outside the range"):
        largest_bilinear_value(np.zeros((35, 35), dtype=np.int64))


def test_ceiling_ends_early_with_a_witness(monkeypatch):
    monkeypatch.setattr(enumeration, "CHUNK_SIGNS", 3)
    gram = symmetric(np.random.default_rng(0), 10, 50)
    largest = brute_force(gram)
    assert largest_bilinear_value(gram, ceiling=largest) == largest
    assert largest - 1 < largest_bilinear_value(gram, ceiling=largest - 1) <= largest


def test_progress_counts_every_sign_vector_and_may_interrupt(monkeypatch):
    monkeypatch.setattr(enumeration, "CHUNK_SIGNS", 4)
    gram = symmetric(np.random.default_rng(1), 9, 50)
    events = []
    largest_bilinear_value(gram, stage="walking", progress=events.append)
    assert [event.completed for event in events] == [16.0 * k for k in range(1, 17)]
    assert {(event.stage, event.total) for event in events} == {("walking", 256.0)}

    def interrupt(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        largest_bilinear_value(gram, progress=interrupt)
