import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.errors import QDeployError
from qdeploy.training.bounds import (
    TimeLimitReached,
    branch_and_bound,
    cutting_planes,
    enumeration,
    leaf_proof,
    norm_bounds,
)
from qdeploy.training.bounds.definiteness import is_proven_semidefinite
from qdeploy.training.bounds.enumeration import rounded_matrix
from qdeploy.training.bounds.interior_point import semidefinite_norm
from qdeploy.training.rounding import GROTHENDIECK

BOUNDS = norm_bounds.names()


def all_signs(dimension):
    """All u with u_0 = +1, (2^(d-1), d)."""
    index = np.arange(2 ** (dimension - 1))
    bits = (index[:, None] >> np.arange(dimension - 1)) & 1
    return np.hstack([np.ones((len(index), 1), np.int64), 1 - 2 * bits])


def brute_force(matrix):
    return int(np.abs(all_signs(len(matrix)) @ matrix).sum(axis=1).max())


def symmetric(generator, dimension, kind, size):
    """Symmetric int64 matrices of one kind with entries up to about `size`."""
    if kind == "zero":
        return np.zeros((dimension, dimension), dtype=np.int64)
    if kind == "diagonal":
        return np.diag(generator.integers(-size, size + 1, dimension))
    if kind == "low rank":
        root = max(int(np.sqrt(size)), 1)
        factor = generator.integers(-root, root + 1, (dimension, 2))
        return factor @ np.diag([1, -1]) @ factor.T
    if kind == "uneven":
        size = max(size // 10**6, 1)
    matrix = generator.integers(-size, size + 1, (dimension, dimension))
    matrix = np.triu(matrix) + np.triu(matrix, 1).T
    if kind == "duplicates":
        picked = generator.integers(0, dimension, dimension)
        matrix = matrix[np.ix_(picked, picked)]
    if kind == "uneven":
        scale = 10 ** generator.integers(0, 4, dimension)
        matrix = matrix * scale[:, None] * scale
    if kind == "sparse":
        kept = generator.random((dimension, dimension)) < 0.2
        matrix = matrix * (kept | kept.T)
    return matrix


KINDS = ["random", "low rank", "diagonal", "zero", "duplicates", "uneven", "sparse"]
matrices = st.builds(
    lambda seed, dimension, kind, size: symmetric(
        np.random.default_rng(seed), dimension, kind, size
    ),
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.sampled_from(KINDS),
    st.sampled_from([1, 5, 1000, 10**9, 2**45]),
)


def is_semidefinite(matrix):
    """Exactly, by LDLᵀ over the rationals."""
    rest = [[Fraction(int(entry)) for entry in row] for row in matrix]
    while rest:
        pivot, row = rest[0][0], rest[0][1:]
        if pivot < 0 or (pivot == 0 and any(row)):
            return False
        rest = [
            [
                entry - (a * b / pivot if pivot else 0)
                for entry, b in zip(line[1:], row, strict=True)
            ]
            for line, a in zip(rest[1:], row, strict=True)
        ]
    return True


@pytest.mark.parametrize("name", BOUNDS)
@given(matrix=matrices)
@settings(max_examples=25, deadline=None)
def test_bound_holds(name, matrix):
    norm = brute_force(matrix)
    proof = norm_bounds[name].prove(matrix)
    assert proof.norm_bound >= norm
    assert (proof.method, name) in {
        (name, name),
        ("cutting-planes", "branch-and-bound"),
        ("sdp", "spectral"),
    }
    pair = proof.attained
    assert abs(pair.left).tolist() == abs(pair.right).tolist() == [1] * len(matrix)
    assert pair.left @ matrix @ pair.right == pair.value <= norm
    assert proof.candidates.dtype == np.int8
    assert np.array_equal(proof.candidates[0], pair.left)
    assert len(np.unique(proof.candidates, axis=0)) == len(proof.candidates)
    if norm_bounds[name].capability.exact:
        assert pair.value == norm
        assert proof.norm_bound - norm <= 2e-6 * norm


@given(matrix=matrices)
@settings(max_examples=60, deadline=None)
def test_semidefinite_proof(matrix):
    proof = norm_bounds["sdp"].prove(matrix)
    multipliers = proof.multipliers
    assert multipliers.dtype == np.int64
    assert int(multipliers.sum()) == proof.norm_bound
    assert is_semidefinite(np.diag(multipliers) + matrix)
    assert is_semidefinite(np.diag(multipliers) - matrix)
    # Grothendieck's inequality; rounding up to integers costs a few units a row.
    assert proof.norm_bound <= GROTHENDIECK * brute_force(matrix) * (1 + 1e-5) + 4 * len(matrix)


@given(matrix=matrices)
@settings(max_examples=25, deadline=None)
def test_cutting_planes_proof(matrix):
    """Every statement of the proof, exactly; the bound is never above the semidefinite one."""
    proof = norm_bounds["cutting-planes"].prove(matrix)
    tree = proof.tree
    assert tree.fixed.tolist() == [[0] * len(matrix)]
    assert proof.norm_bound == max(int(tree.diagonals.sum() - tree.weights.sum()), 0)
    assert (tree.weights >= 0).all()
    pair = [matrix.astype(object), -matrix.astype(object)]
    for cut, weight in zip(tree.cuts.tolist(), tree.weights[0].tolist(), strict=True):
        members = [member for member in cut if member]
        assert len(members) % 2 == len({abs(m) for m in members}) % 2 == 1
        for k, matrix_with_cuts in enumerate(pair):
            side = np.zeros(len(matrix), dtype=object)
            for member in members:
                place, half = (abs(member) - 1) % len(matrix), (abs(member) - 1) // len(matrix)
                side[place] += np.sign(member) * (-1) ** (k * half)
            matrix_with_cuts += weight * np.outer(side, side)
    for matrix_with_cuts in pair:
        assert is_semidefinite(np.diag(tree.diagonals[0]).astype(object) - matrix_with_cuts)
    semidefinite = norm_bounds["sdp"].prove(matrix).norm_bound
    assert proof.norm_bound <= semidefinite * (1 + 1e-5) + 4 * len(matrix)


def test_branch_and_bound_reaches_the_norm(monkeypatch):
    """The leaves cover each sign pair once, where the first cuts alone leave a gap."""
    monkeypatch.setattr(cutting_planes, "ROUNDS", 1)
    generator = np.random.default_rng(1)
    branched = 0
    for _ in range(3):
        matrix = symmetric(generator, 14, "random", 10**6)
        norm = brute_force(matrix)
        proof = norm_bounds["branch-and-bound"].prove(matrix)
        assert norm <= proof.norm_bound <= norm * (1 + 2e-4)
        fixed = proof.tree.fixed.astype(int)
        branched += len(fixed) > 1
        agreement = all_signs(14) * all_signs(14)[:, :1]
        agreement = np.vstack([agreement, -agreement])
        inside = ((agreement @ fixed.T) == np.abs(fixed).sum(axis=1)).sum(axis=1)
        assert (inside == 1).all()
    assert branched


def test_branch_and_bound_without_time_is_proven():
    matrix = symmetric(np.random.default_rng(2), 20, "random", 10**6)
    norm = brute_force(matrix)
    assert norm_bounds["branch-and-bound"].prove(matrix, time_limit=0.0).norm_bound >= norm
    easy = norm_bounds["branch-and-bound"].prove(matrix, enough=2 * norm)
    assert norm <= easy.norm_bound <= 2 * norm
    assert len(easy.tree.fixed) == 1


def test_branch_and_bound_says_when_its_proof_is_full(monkeypatch):
    monkeypatch.setattr(cutting_planes, "ROUNDS", 1)
    monkeypatch.setattr(leaf_proof, "LARGEST_LEAVES", 1)
    matrix = symmetric(np.random.default_rng(1), 18, "random", 10**6)
    norm = brute_force(matrix)
    events = []
    proof = norm_bounds["branch-and-bound"].prove(matrix, progress=events.append)
    assert events[-1].stage == branch_and_bound.FULL
    assert events[-1].detail["leaves"] == len(proof.tree.fixed) == 1
    assert proof.norm_bound >= norm


def test_cutting_planes_close_most_of_the_gap():
    generator = np.random.default_rng(4)
    ratios = []
    for _ in range(5):
        matrix = symmetric(generator, 14, "random", 10**6)
        norm = brute_force(matrix)
        bounds = [norm_bounds[name].prove(matrix).norm_bound for name in ("sdp", "cutting-planes")]
        ratios.append([bound / norm - 1 for bound in bounds])
    semidefinite, cuts = np.mean(ratios, axis=0)
    assert semidefinite > 0.02
    assert cuts < 0.003


def test_semidefinite_slack():
    generator = np.random.default_rng(1)
    for dimension in (5, 20, 60):
        inputs = generator.integers(-128, 129, (300, dimension))
        inputs[:, 0] = generator.random(300) < 0.02
        residual = generator.integers(-32000, 32001, 300)
        matrix = inputs.T @ (residual[:, None] * inputs)
        relaxed = semidefinite_norm(matrix.astype(np.float64), tolerance=1e-9)
        proof = norm_bounds["sdp"].prove(matrix)
        assert 1 <= proof.norm_bound / relaxed.value <= 1 + 1e-5


def test_semidefinite_norm_of_a_known_matrix():
    # For a rank-one G = ggᵀ the relaxation is tight: (Σ|g_i|)².
    vector = np.array([1.0, -2.0, 3.0, 0.5])
    relaxed = semidefinite_norm(np.outer(vector, vector))
    assert relaxed.bound == pytest.approx(6.5**2, rel=1e-6)
    left, right = relaxed.vectors
    assert np.linalg.norm(left, axis=1) == pytest.approx(1)
    assert left @ right.T == pytest.approx(relaxed.positive - relaxed.negative, abs=1e-9)
    assert np.sum(np.outer(vector, vector) * (left @ right.T)) == pytest.approx(6.5**2, rel=1e-6)


def test_semidefinite_bound_without_time_is_still_proven():
    matrix = symmetric(np.random.default_rng(2), 10, "random", 1000)
    proof = norm_bounds["sdp"].prove(matrix, time_limit=0.0)
    assert is_semidefinite(np.diag(proof.multipliers) + matrix)
    assert is_semidefinite(np.diag(proof.multipliers) - matrix)
    assert proof.norm_bound >= brute_force(matrix)


@given(matrix=matrices, shift=st.integers(-3, 3))
@settings(max_examples=150, deadline=None)
def test_definiteness_never_claims_too_much(matrix, shift):
    # Near the boundary: the smallest shift that numpy calls semidefinite, give or take a little.
    edge = -np.linalg.eigvalsh(matrix.astype(np.float64))[0]
    diagonal = np.full(len(matrix), int(np.rint(edge * (1 + shift * 1e-16))) + shift)
    if is_proven_semidefinite(diagonal, matrix):
        assert is_semidefinite(np.diag(diagonal) + matrix)


def test_definiteness_near_singular():
    # [[2^52, 2^52], [2^52, 2^52 + e]]: semidefinite exactly when e ≥ 0.
    size = 2**52
    matrix = np.array([[0, size], [size, 0]])
    assert not is_proven_semidefinite(np.array([size, size - 1]), matrix)
    assert not is_proven_semidefinite(np.array([size, size]), matrix)
    assert is_proven_semidefinite(np.array([size, size + 200]), matrix)


def test_definiteness_counts_the_conversion_of_large_entries():
    # 2^60 + 100 is no float64; it becomes 2^60, and Diag(2^60 + 1) would seem to dominate.
    size = 2**60 + 100
    assert float(size) == 2.0**60
    matrix = np.array([[0, size], [size, 0]])
    assert not is_proven_semidefinite(np.full(2, 2**60 + 99), matrix)
    assert is_proven_semidefinite(np.full(2, 2**60 + 100_000), matrix)


def test_definiteness_of_rows_of_zeros():
    matrix = np.array([[0, 0, 0], [0, 5, 0], [0, 0, 0]])
    assert is_proven_semidefinite(np.array([0, 1, 0]), matrix)
    assert not is_proven_semidefinite(np.array([0, -6, 0]), matrix)
    assert not is_proven_semidefinite(np.array([0, 1]), np.array([[0, 1], [1, 0]]))


@given(matrix=matrices)
@settings(max_examples=60, deadline=None)
def test_rounding_to_words(matrix):
    rounded, scale, error = rounded_matrix(matrix)
    assert rounded.dtype == np.int32
    assert np.abs(rounded.astype(np.int64)).sum() < 2**31
    assert error == np.abs(matrix - scale * rounded.astype(np.int64)).sum()
    if scale == 1:
        assert error == 0


@pytest.mark.parametrize("dimension", [5, 6, 7, 8, 13, 16])
def test_enumeration_of_one_huge_diagonal_entry(dimension):
    # Twice the entry does not fit 32 bits, the sums do.
    for place in range(dimension):
        matrix = np.zeros((dimension, dimension), dtype=np.int64)
        matrix[place, place] = 2**31 - 1 - dimension**2
        proof = norm_bounds["enumeration"].prove(matrix)
        assert proof.norm_bound == matrix[place, place]


@pytest.mark.parametrize("dimension", [17, 20, 22])
def test_enumeration_against_planted_signs(dimension):
    # G = wwᵀ is attained by u = v = w alone.
    generator = np.random.default_rng(dimension)
    for _ in range(5):
        planted = generator.choice([-1, 1], dimension)
        planted *= planted[0]
        matrix = np.outer(planted, planted) * 1000 + np.diag(generator.integers(0, 9, dimension))
        proof = norm_bounds["enumeration"].prove(matrix)
        assert np.array_equal(proof.attained.left, planted)
        assert np.array_equal(proof.attained.right, planted)
        assert proof.norm_bound == proof.attained.value
        assert 1 < len(proof.candidates) <= 64


def test_enumeration_agrees_with_the_portable_code(monkeypatch):
    # Without the machine's own options other vector widths are compiled.
    matrix = symmetric(np.random.default_rng(5), 16, "random", 10**6)
    fast = norm_bounds["enumeration"].prove(matrix)
    compiled = enumeration.cached_library
    monkeypatch.setattr(enumeration, "cached_library", lambda source, flags=(): compiled(source))
    enumeration._library.cache_clear()
    try:
        plain = norm_bounds["enumeration"].prove(matrix)
    finally:
        enumeration._library.cache_clear()
    assert fast.norm_bound == plain.norm_bound == brute_force(matrix)


def test_enumeration_does_without_a_missing_option(monkeypatch):
    compiled = enumeration.cached_library

    def refuse_options(source, flags=()):
        if flags:
            raise QDeployError("unknown option")
        return compiled(source)

    monkeypatch.setattr(enumeration, "cached_library", refuse_options)
    enumeration._library.cache_clear()
    try:
        assert norm_bounds["enumeration"].prove(np.array([[3]])).norm_bound == 3
    finally:
        enumeration._library.cache_clear()


def test_enumeration_gives_up_in_time_and_leaves_no_thread():
    matrix = symmetric(np.random.default_rng(6), 26, "random", 1000)
    events = []
    threads = threading.active_count()
    with pytest.raises(TimeLimitReached, match=r"2\^25 .* time limit of 0 s"):
        norm_bounds["enumeration"].prove(matrix, time_limit=0.0, progress=events.append)
    assert threading.active_count() == threads
    assert events[0].total > events[0].completed


def test_progress_ends_at_the_total():
    events = []
    matrix = symmetric(np.random.default_rng(7), 18, "random", 1000)
    norm_bounds["enumeration"].prove(matrix, progress=events.append)
    completed = [event.completed for event in events]
    assert completed == sorted(completed)
    assert completed[-1] == events[-1].total
    events.clear()
    norm_bounds["sdp"].prove(matrix, progress=events.append)
    assert events[-1].detail["gap"] <= 1e-6


@pytest.mark.parametrize("name", BOUNDS)
def test_known_signs_can_only_help(name):
    matrix = symmetric(np.random.default_rng(8), 10, "random", 1000)
    values = np.abs(all_signs(10) @ matrix).sum(axis=1)
    best = all_signs(10)[[values.argmax()]].astype(np.int8)
    proof = norm_bounds[name].prove(matrix, start=-best)
    assert proof.attained.value == values.max()
    assert (proof.candidates == best).all(axis=1).any()


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 2)), "int64 matrix, not float64"),
        (np.zeros((2, 3), np.int64), r"not int64 of shape \(2, 3\)"),
        (np.zeros((0, 0), np.int64), "non-empty"),
        (np.array([[0, 1], [2, 0]]), "symmetrise"),
        (np.array([[2**62]]), "too large"),
        (np.array([[-(2**63)]]), "too large"),
    ],
)
def test_what_is_no_such_matrix(name, matrix, message):
    with pytest.raises(QDeployError, match=message):
        norm_bounds[name].prove(matrix)


def test_enumeration_names_its_reach():
    with pytest.raises(QDeployError, match="reaches dimension 32, not 33"):
        norm_bounds["enumeration"].prove(np.eye(33, dtype=np.int64))


@pytest.mark.slow
def test_enumeration_at_its_largest():
    generator = np.random.default_rng(9)
    inputs = generator.integers(-128, 129, (500, 32))
    residual = generator.integers(-32000, 32001, 500)
    matrix = inputs.T @ (residual[:, None] * inputs)
    proof = norm_bounds["enumeration"].prove(matrix)
    assert 0 <= proof.norm_bound - proof.attained.value <= 2e-6 * proof.norm_bound
    assert proof.norm_bound <= norm_bounds["sdp"].prove(matrix).norm_bound
