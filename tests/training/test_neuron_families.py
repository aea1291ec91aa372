"""Alphabets of weights and the two penalties: oracle, bounds and optimum against brute force."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.errors import QDeployError
from qdeploy.training import polish
from qdeploy.training.bounds import norm_bounds
from qdeploy.training.level_oracle import LevelOracle, best_levels
from qdeploy.training.losses import losses
from qdeploy.training.master import solve_master
from qdeploy.training.neurons import family_of, neuron_families
from qdeploy.training.nuclear_norm import solve_real
from qdeploy.training.output import Effort, train_output
from qdeploy.training.polish import SharedNeurons, reduce_neurons
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import exact_objective
from qdeploy.training.sized_readout import family_readout
from qdeploy.training.trainer import train

NAMES = neuron_families.names()
WIDER = [name for name in NAMES if name != "binary"]


def every_vector(levels, dimension):
    vectors = np.array(list(itertools.product(levels, repeat=dimension)), dtype=np.int8)
    return vectors[vectors.any(axis=1)]


def every_neuron(levels, dimension):
    vectors = every_vector(levels, dimension)
    pairs = list(itertools.combinations_with_replacement(range(len(vectors)), 2))
    return vectors[[a for a, _ in pairs]], vectors[[b for _, b in pairs]]


def small_problem(name, penalty, seed=0, loss="squared", inputs=2, samples=25, price=2.0):
    generator = np.random.default_rng(seed)
    integers = lift(generator.integers(-60, 60, (samples, inputs)).astype(np.int8))
    targets = np.where(generator.random(samples) < 0.5, -1.0, 1.0)
    return TrainingProblem(integers, targets, price, losses[loss], family=family_of(name, penalty))


@pytest.mark.parametrize("name", NAMES)
@given(image=st.lists(st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_best_levels_are_the_best(name, image):
    levels = neuron_families[name].levels
    every = every_vector(levels, 3).astype(float)
    best = (np.abs(every @ image) / np.linalg.norm(every, axis=1)).max()
    found = best_levels(np.array([image]), levels)[0].astype(float)
    assert found.any()
    assert set(found) <= set(levels)
    assert abs(found @ image) / np.linalg.norm(found) == pytest.approx(best)


@pytest.mark.parametrize("name", ["ternary", "2-bit"])
def test_oracle_finds_the_largest_value(name):
    levels = neuron_families[name].levels
    for seed in range(5):
        generator = np.random.default_rng(seed)
        matrix = generator.standard_normal((4, 4))
        matrix = matrix + matrix.T
        every = every_vector(levels, 4).astype(float)
        every /= np.linalg.norm(every, axis=1)[:, None]
        found = LevelOracle(levels, generator).price(matrix)
        assert found.values[0] == pytest.approx(4 * np.abs(every @ matrix @ every.T).max())
        family = family_of(name, "size")
        exact = np.einsum("kd,de,ke->k", found.left.astype(float), matrix, found.right)
        assert found.values == pytest.approx(np.abs(exact) / family.sizes(found.left, found.right))


@pytest.mark.parametrize("name", ["ternary", "2-bit"])
@given(entries=st.lists(st.integers(-1000, 1000), min_size=6, max_size=6))
@settings(max_examples=40, deadline=None)
def test_spectral_bound_holds_for_every_neuron(name, entries):
    matrix = np.zeros((3, 3), dtype=np.int64)
    matrix[np.triu_indices(3)] = entries
    matrix = matrix + np.triu(matrix, 1).T
    proof = norm_bounds["spectral"].prove(matrix)
    assert len(set(proof.multipliers.tolist())) == 1
    left, right = every_neuron(neuron_families[name].levels, 3)
    values = np.abs(np.einsum("kd,de,ke->k", left.astype(int), matrix, right.astype(int)))
    sizes = family_of(name, "size").exact_sizes(left, right)
    assert all(int(v) <= s * proof.norm_bound for v, s in zip(values, sizes, strict=True))
    # Real weights attain it, up to the room that is left for the checker.
    assert proof.norm_bound <= 3 * np.abs(np.linalg.eigvalsh(matrix)).max() * (1 + 1e-5) + 6


@pytest.mark.parametrize("penalty", ["count", "size"])
@pytest.mark.parametrize("name", ["ternary", "2-bit"])
@pytest.mark.parametrize("loss", ["squared", "hinge"])
def test_training_reaches_the_optimum_over_all_neurons(name, penalty, loss):
    problem = small_problem(name, penalty, loss=loss)
    features = problem.features(*every_neuron(problem.family.levels, problem.dimension))
    optimum = solve_master(problem, features).objective
    trained = train_output(problem, Effort(), [0])
    assert float(trained.dual.value) <= optimum * (1 + 1e-9)
    assert trained.neurons.solution.objective == pytest.approx(optimum, rel=2e-4)
    if penalty == "count":
        plain = replace(problem, family=neuron_families["binary"])
        signs = every_neuron((-1, 1), problem.dimension)
        least = solve_master(plain, plain.features(*signs)).objective
        assert optimum == pytest.approx(least, rel=1e-6)


def test_wider_levels_are_cheaper_under_the_size_penalty():
    found = {}
    for name in NAMES:
        problem = small_problem(name, "size", seed=3, inputs=5, samples=40)
        found[name] = train_output(problem, Effort(), [0])
    bound = float(found["4-bit"].dual.value)
    objectives = {name: trained.neurons.solution.objective for name, trained in found.items()}
    assert bound <= min(objectives.values())
    assert objectives["4-bit"] <= bound * 1.02
    assert objectives["4-bit"] < objectives["ternary"] < objectives["binary"]


@pytest.mark.parametrize("loss", ["squared", "squared-hinge", "logistic"])
def test_real_weights_reach_their_bound(loss):
    problem = small_problem("ternary", "size", loss=loss, inputs=4, samples=40)
    found = solve_real(problem, np.random.default_rng(0))
    assert found.bound <= found.objective
    assert found.bound == pytest.approx(found.objective, rel=1e-4)


def test_sizes_are_exact_or_just_above():
    family = family_of("ternary", "size")
    left = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=np.int8)
    right = np.array([[1, -1, 1, 1], [0, 1, 1, 0], [1, 1, 1, 0]], dtype=np.int8)
    exact = family.exact_sizes(left, right)
    assert exact[0] == 1
    for size, square in zip(exact, (16, 2, 6), strict=True):
        assert 0 <= (4 * size) ** 2 - square <= Fraction(1, 2**60)
    assert family.sizes(left, right) == pytest.approx([float(size) for size in exact])
    assert family_of("3-bit", "count").exact_sizes(left, right) == [49] * 3
    assert family_of("binary", "size").exact_sizes(left, right) == [1] * 3


@pytest.mark.parametrize("penalty", ["count", "size"])
def test_moves_between_levels_use_them(penalty):
    plain = small_problem("binary", "count", seed=1, inputs=8, samples=80)
    binary = train_output(plain, Effort(), [0]).neurons
    start = SharedNeurons(binary.left, binary.right, binary.solution.weights[:, None])
    least = {}
    for name in ("binary", "3-bit"):
        problem = replace(plain, family=family_of(name, penalty))
        corners = [problem.family.corners(side) for side in (start.left, start.right)]
        few = reduce_neurons([problem], SharedNeurons(corners[0], corners[1], start.weights), 2)
        assert len(few.left) == 2
        assert set(np.unique(few.left)) <= set(problem.family.levels)
        features = problem.features(few.left, few.right)
        least[name] = solve_master(problem, features, few.weights[:, 0]).objective
    assert least["3-bit"] < least["binary"] * 0.99


def test_moves_count_what_a_weight_costs():
    """Where the penalty is everything, weights only become smaller, and no neuron vanishes."""
    problem = replace(small_problem("3-bit", "size", inputs=4), penalty=1e6)
    generator = np.random.default_rng(0)
    levels = np.array(problem.family.levels, dtype=np.int8)
    left, right = (levels[generator.integers(0, len(levels), (6, 5))] for _ in range(2))
    neurons = SharedNeurons(left, right, np.full((6, 1), 0.1))
    smaller = polish._move([problem], neurons)
    for before, after in zip((left, right), smaller, strict=True):
        assert (np.abs(after) == 1).all()
        assert (np.abs(after) <= np.abs(before)).all()
    ternary = replace(problem, family=family_of("ternary", "size"))
    signs = [np.sign(side) for side in (left, right)]
    for after in polish._move([ternary], SharedNeurons(signs[0], signs[1], neurons.weights)):
        assert (np.count_nonzero(after, axis=1) == 1).all()


@pytest.mark.parametrize("penalty", ["count", "size"])
@pytest.mark.parametrize("name", WIDER)
def test_integer_readout_costs_little(name, penalty):
    problem = small_problem(name, penalty, inputs=5, samples=60)
    found = train_output(problem, Effort(), [0]).neurons
    shared = SharedNeurons(found.left, found.right, found.solution.weights[:, None])
    readout = family_readout([problem], shared, 12)
    sums = [problem.integers.astype(np.int64) @ side.T for side in (found.left, found.right)]
    scores = (sums[0] * sums[1]) @ readout.weights[:, 0] + readout.intercepts[0]
    sizes = problem.family.exact_sizes(found.left, found.right)
    exact = exact_objective(problem, scores, readout.weights[:, 0], readout.scale, sizes)
    assert float(exact) == pytest.approx(found.solution.objective, rel=1e-3)
    assert float(exact) >= found.solution.objective * (1 - 1e-9)


def test_what_does_not_go_together_is_refused():
    features = np.arange(20.0)[:, None]
    target = np.arange(20) % 2
    with pytest.raises(QDeployError, match="compact mode trains binary weights only"):
        train(features, target, weights="ternary", neurons=2)
    with pytest.raises(QDeployError, match="unknown weights '5-bit'; choose one of 2-bit"):
        train(features, target, weights="5-bit")
    with pytest.raises(QDeployError, match="penalty must be 'count' or 'size', not 'length'"):
        train(features, target, penalty="length")
