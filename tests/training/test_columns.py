"""Pricing, column generation, budgets and the integer readout on small problems."""

import itertools
import time

import numpy as np
import pytest

from qdeploy.training.columns import ColumnGeneration
from qdeploy.training.losses import losses
from qdeploy.training.master import solve_master
from qdeploy.training.oracle import NormOracle
from qdeploy.training.polish import SharedNeurons, reduce_neurons
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import exact_objective
from qdeploy.training.readout import integer_readout
from qdeploy.training.rounding import canonicalize


@pytest.fixture
def problem():
    generator = np.random.default_rng(2)
    inputs = generator.integers(-80, 80, (120, 11)).astype(np.int8)
    truth = inputs[:, 0].astype(float) * inputs[:, 1] + 40.0 * inputs[:, 2]
    targets = np.where(truth + 500 * generator.standard_normal(120) > 0, 1.0, -1.0)
    return TrainingProblem(lift(inputs), targets, 60.0, losses["squared"])


@pytest.mark.parametrize("seed", range(12))
def test_oracle_finds_the_norm_of_small_matrices(seed):
    generator = np.random.default_rng(seed)
    matrix = generator.standard_normal((9, 9))
    matrix += matrix.T
    patterns = np.array(list(itertools.product([-1.0, 1.0], repeat=9)))
    norm = np.abs(patterns @ matrix).sum(axis=1).max()
    found = NormOracle(9, generator).price(matrix)
    assert found.values[0] == pytest.approx(norm)
    assert (np.diff(found.values) <= 0).all()
    attained = np.einsum("kd,kd->k", found.left @ matrix, found.right.astype(float))
    np.testing.assert_allclose(np.abs(attained), found.values)
    canonical = canonicalize(found.left, found.right)
    np.testing.assert_array_equal(canonical.left, found.left)
    assert len(
        {u.tobytes() + v.tobytes() for u, v in zip(found.left, found.right, strict=True)}
    ) == len(found.left)


def test_objective_falls_and_the_pool_has_no_repetition(problem):
    columns = ColumnGeneration(problem, np.random.default_rng(0), per_round=5)
    objectives = [columns.solution.objective]
    for _ in range(6):
        columns.run(1)
        objectives.append(columns.solution.objective)
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(objectives))
    assert objectives[-1] < 0.9 * objectives[0]
    assert columns.run(200)
    found = columns.neurons
    assert not columns.add(found.left, found.right)


def test_forgetting_unused_neurons_changes_nothing_else(problem):
    columns = ColumnGeneration(problem, np.random.default_rng(0))
    columns.run(200)
    before = columns.neurons
    columns.forget_unused()
    columns.solve()
    assert columns.solution.objective == pytest.approx(before.solution.objective, rel=1e-9)


def test_a_passed_deadline_stops_after_one_round(problem):
    columns = ColumnGeneration(problem, np.random.default_rng(0), per_round=3)
    assert not columns.run(200, deadline=time.monotonic() - 1)
    assert len(columns.neurons.left) <= 3


def test_warm_start_at_another_penalty_reaches_the_cold_result(problem):
    columns = ColumnGeneration(problem, np.random.default_rng(0))
    columns.run(200)
    smaller = TrainingProblem(problem.integers, problem.targets, 20.0, problem.loss)
    columns.set_problem(smaller)
    columns.run(200)
    cold = ColumnGeneration(smaller, np.random.default_rng(1))
    cold.run(200)
    assert columns.solution.objective == pytest.approx(cold.solution.objective, rel=1e-3)


def trained(problem):
    columns = ColumnGeneration(problem, np.random.default_rng(0))
    columns.run(200)
    found = columns.neurons
    return SharedNeurons(found.left, found.right, found.solution.weights[:, None])


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_elimination_and_polish_beat_keeping_the_largest(problem, limit):
    whole = trained(problem)
    reduced = reduce_neurons([problem], whole, limit)
    assert len(reduced.left) == limit
    largest = np.argsort(-np.abs(whole.weights[:, 0]))[:limit]
    plain = solve_master(problem, problem.features(whole.left[largest], whole.right[largest]))
    better = solve_master(problem, problem.features(reduced.left, reduced.right))
    assert better.objective <= plain.objective + 1e-9


@pytest.mark.parametrize("loss", losses.names())
def test_a_reduced_network_serves_several_outputs(problem, loss):
    other = np.where(problem.integers[:, 3] > 0, 1.0, -1.0)
    problems = [
        TrainingProblem(problem.integers, targets, 60.0, losses[loss])
        for targets in (problem.targets, other)
    ]
    parts = [trained(p) for p in problems]
    weights = np.zeros((sum(len(part.left) for part in parts), 2))
    weights[: len(parts[0].left), 0] = parts[0].weights[:, 0]
    weights[len(parts[0].left) :, 1] = parts[1].weights[:, 0]
    whole = SharedNeurons(
        *(np.vstack([getattr(p, s) for p in parts]) for s in ("left", "right")), weights
    )
    reduced = reduce_neurons(problems, whole, 6)
    assert len(reduced.left) == 6
    for k, p in enumerate(problems):
        constant = solve_master(p, np.empty((p.samples, 0)))
        found = solve_master(p, p.features(reduced.left, reduced.right), reduced.weights[:, k])
        assert found.objective < constant.objective


@pytest.mark.parametrize("loss", losses.names())
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_integer_readout_never_loses_to_rounding(problem, loss, bits):
    problem = TrainingProblem(problem.integers, problem.targets, 60.0, losses[loss])
    neurons = trained(problem)
    features = problem.features(neurons.left, neurons.right)
    readout = integer_readout([problem], features, neurons.weights, bits)
    largest = 2 ** (bits - 1) - 1
    assert np.abs(readout.weights).max() <= largest
    step = problem.step
    products = np.rint(features / step**2).astype(np.int64)

    def objective(weights):
        linear = products @ weights
        shift = problem.loss.best_intercept(readout.scale * linear, problem.targets)
        scores = linear + round(shift / readout.scale)
        return float(exact_objective(problem, scores, weights, readout.scale))

    rounded = np.rint(neurons.weights[:, 0] * step**2 / readout.scale).astype(np.int64)
    assert objective(readout.weights[:, 0]) <= objective(rounded) + 1e-9
    if bits == 16:
        real = solve_master(problem, features, neurons.weights[:, 0]).objective
        # At the kinks of a hinge, single units say less about where the objective falls.
        accuracy = 5e-5 if problem.loss.kinked else 1e-5
        assert objective(readout.weights[:, 0]) == pytest.approx(real, rel=accuracy)
