"""Large problems: blocks of rows and single precision give what the plain way gives, proven."""

import numpy as np
import pytest

from qdeploy.checker import certify
from qdeploy.data import dataset_from_arrays
from qdeploy.training import blocks, problem, selection
from qdeploy.training.losses import losses
from qdeploy.training.master import solve_master
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.relaxations import relaxations
from qdeploy.training.trainer import train


def example(loss="squared", rows=700, width=11, weighted=False):
    generator = np.random.default_rng(3)
    inputs = generator.integers(-128, 128, (rows, width)).astype(np.int8)
    values = inputs.astype(float) / 32
    targets = np.sign(values[:, 0] * values[:, 1] + values[:, 2] + generator.normal(size=rows))
    weights = generator.integers(1, 4, rows).astype(float) if weighted else None
    return TrainingProblem(lift(inputs), targets, 400.0, losses[loss].weighted(weights))


@pytest.fixture
def large(monkeypatch):
    """Every problem counts as large, and takes several blocks."""
    monkeypatch.setattr(blocks, "LARGE", 1)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 128)


def signs(count, width):
    generator = np.random.default_rng(1)
    return generator.choice(np.array([-1, 1], dtype=np.int8), (2, count, width))


def test_features_and_matrices_agree(large, monkeypatch):
    given = example()
    left, right = signs(9, 12)
    residual = given.targets * np.random.default_rng(0).random(given.samples)
    narrow, matrix = given.features(left, right), given.matrix(residual)
    exact = given.integer_matrix(np.rint(residual * 1e6).astype(np.int32))
    assert narrow.dtype == np.float32
    monkeypatch.setattr(blocks, "LARGE", 10**9)
    plain = example()
    np.testing.assert_array_equal(narrow, plain.features(left, right).astype(np.float32))
    np.testing.assert_allclose(matrix, plain.matrix(residual), atol=1e-4 * np.abs(matrix).max())
    integers = given.integers.astype(object)
    scaled = np.rint(residual * 1e6).astype(int).astype(object)
    assert (exact == integers.T @ (scaled[:, None] * integers)).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["squared", "squared-hinge", "logistic"])
def test_the_master_over_blocks_is_the_master(monkeypatch, loss, weighted):
    given = example(loss, weighted=weighted)
    features = given.features(*signs(30, 12))
    plain = solve_master(given, features)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 128)
    blockwise = solve_master(given, features.astype(np.float32))
    assert blockwise.objective == pytest.approx(plain.objective, rel=1e-6)
    np.testing.assert_allclose(blockwise.weights, plain.weights, atol=1e-4)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_the_relaxation_agrees_with_the_plain_one(large, monkeypatch, tolerance):
    narrow = relaxations["low-rank"].solve(example(rows=300), tolerance=tolerance)
    assert narrow.gap <= tolerance
    monkeypatch.setattr(blocks, "LARGE", 10**9)
    plain = relaxations["low-rank"].solve(example(rows=300))
    assert narrow.value == pytest.approx(plain.value, rel=2 * tolerance)
    assert narrow.dual_bound <= plain.value * (1 + 1e-9)


def test_a_large_problem_is_trained_and_proven(large, monkeypatch):
    monkeypatch.setattr(selection, "SAMPLE_ROWS", 60)
    given = example(rows=400)
    inputs = given.integers[:, :-1].astype(float)
    labels = np.where(given.targets > 0, "yes", "no")
    result = train(inputs, labels, scaling="tensor", jobs=1)
    assert result.selection.rows is not None
    assert result.selection.rows < 400
    assert any("sample" in sentence for sentence in result.advice)
    found = certify(result.model, dataset_from_arrays(inputs, labels))
    assert found.holds
    assert found.gap < 0.2
    monkeypatch.setattr(problem, "is_large", lambda *_: False)
    plain = train(inputs, labels, scaling="tensor", jobs=1, beta=result.certificate.beta)
    assert result.certificate.objective <= plain.certificate.objective * 1.01
