"""Bit flips, straight-through training and input scales, against enumeration and differences."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.training import bit_flips
from qdeploy.training.bit_flips import polish_flips
from qdeploy.training.input_scales import LARGEST, SMALLEST, learn_scales
from qdeploy.training.losses import losses
from qdeploy.training.shared import SharedProblem, solve_readout
from qdeploy.training.straight_through import straight_through

LOSSES = ["squared", "squared-hinge"]


def make(seed, rows=40, dimension=4, outputs=2, loss="squared", ridge=0.1):
    """Random inputs with a constant one, and ±1 targets of a quadratic function of them."""
    random = np.random.default_rng(seed)
    inputs = np.hstack([random.standard_normal((rows, dimension - 1)), np.ones((rows, 1))])
    forms = random.standard_normal((outputs, dimension, dimension))
    values = np.einsum("ni,kij,nj->nk", inputs, forms, inputs)
    return SharedProblem(inputs, np.where(values > 0, 1.0, -1.0), losses[loss], ridge)


def every_neuron(dimension):
    """All (u, v), int8, up to signs, which the readout takes on."""
    signs = [(1, *rest) for rest in itertools.product((1, -1), repeat=dimension - 1)]
    pairs = np.array(list(itertools.combinations_with_replacement(signs, 2)), dtype=np.int8)
    return pairs[:, 0], pairs[:, 1]


def best_of_all(problem, width):
    left, right = every_neuron(problem.inputs.shape[1])
    features = problem.features(left, right)
    chosen = itertools.combinations(range(len(left)), width)
    return min(solve_readout(problem, features[:, list(some)]).objective for some in chosen)


def searched(problem, width, starts=6):
    """The best over a few straight-through starts with polish."""
    found = []
    for seed in range(starts):
        generator = np.random.default_rng(seed)
        signs = straight_through(problem, width, generator, rate=0.2, steps=40)
        found.append(polish_flips(problem, *signs, generator, sweeps=6).readout.objective)
    return min(found)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("width", "dimension"), [(1, 4), (2, 3)])
def test_search_reaches_the_best_of_all_networks(loss, seed, width, dimension):
    problem = make(seed, dimension=dimension, loss=loss)
    best, found = best_of_all(problem, width), searched(problem, width)
    # The squared hinge is polished through a bound on it, which may stop a little short.
    slack = 1e-4 if loss == "squared" else 0.1
    assert best * (1 - 1e-6) <= found <= best * (1 + slack)


@given(seed=st.integers(0, 10**6), width=st.integers(1, 4), loss=st.sampled_from(LOSSES))
@settings(max_examples=40)
def test_polish_never_raises_the_objective_and_ends_where_no_flip_helps(seed, width, loss):
    problem = make(seed, loss=loss)
    generator = np.random.default_rng(seed)
    left, right = generator.choice(np.array([-1, 1], np.int8), (2, width, 4))
    before = solve_readout(problem, problem.features(left, right)).objective
    polished = polish_flips(problem, left, right, generator, sweeps=30)
    assert polished.readout.objective <= before
    assert set(np.unique(polished.left)) <= {-1, 1}
    if loss != "squared":
        return
    for side, j, i in itertools.product((0, 1), range(width), range(4)):
        signs = [polished.left.copy(), polished.right.copy()]
        signs[side][j, i] *= -1
        flipped = solve_readout(problem, problem.features(*signs)).objective
        # Polish stops at a small relative gain a sweep.
        assert flipped >= polished.readout.objective * (1 - 2 * bit_flips.ENOUGH) - 1e-9


def test_polish_keeps_the_time():
    problem = make(1, rows=50, dimension=6)
    generator = np.random.default_rng(0)
    left, right = generator.choice(np.array([-1, 1], np.int8), (2, 3, 6))
    late = polish_flips(problem, left, right, generator, sweeps=9, deadline=time.monotonic() - 1)
    np.testing.assert_array_equal(late.left, left)


def test_polish_on_part_of_the_rows_is_still_monotone(monkeypatch):
    monkeypatch.setattr(bit_flips, "ROWS", 100)
    problem = make(2, rows=400, dimension=6)
    generator = np.random.default_rng(0)
    left, right = generator.choice(np.array([-1, 1], np.int8), (2, 3, 6))
    before = solve_readout(problem, problem.features(left, right)).objective
    polished = polish_flips(problem, left, right, generator, sweeps=6)
    assert polished.readout.objective < before


def test_straight_through_learns_on_batches_too(monkeypatch):
    problem = make(3, rows=600, dimension=6)
    whole = straight_through(problem, 4, np.random.default_rng(0), rate=0.1, steps=60)
    monkeypatch.setattr("qdeploy.training.straight_through.BATCH", 200)
    batched = straight_through(problem, 4, np.random.default_rng(0), rate=0.1, steps=60)
    drawn = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (2, 4, 6))
    values = [
        solve_readout(problem, problem.features(*signs)).objective
        for signs in (drawn, whole, batched)
    ]
    assert max(values[1:]) < values[0]


@pytest.mark.parametrize("loss", LOSSES)
def test_readout_is_stationary(loss):
    problem = make(5, loss=loss)
    left, right = every_neuron(4)
    features = problem.features(left, right)
    readout = solve_readout(problem, features, steps=10_000)
    residual = problem.loss.residual(readout.predictions, problem.targets)
    slope = features.T @ residual - problem.ridge * readout.weights
    assert np.abs(slope).max() < 0.05
    assert np.abs(residual.sum(axis=0)).max() < 0.05
    np.testing.assert_allclose(
        readout.predictions, features @ readout.weights + readout.intercepts, atol=1e-9
    )


def test_learned_scales_lower_the_loss_and_stay_in_range():
    random = np.random.default_rng(0)
    inputs = np.hstack([random.standard_normal((200, 5)), np.ones((200, 1))])
    weights = np.array([2.0, 1.0, 0.5, 0.0, 0.0, 1.0])
    target = ((inputs @ weights) ** 2)[:, None]
    problem = SharedProblem(inputs, target, losses["squared"], 1e-3)
    ones = np.ones((1, 6), dtype=np.int8)
    before = solve_readout(problem, problem.features(ones, ones)).objective
    scales = learn_scales(problem, ones, ones, target, np.ones(6))
    scaled = SharedProblem(inputs * scales, target, losses["squared"], 1e-3)
    assert solve_readout(scaled, scaled.features(ones, ones)).objective < 0.1 * before
    assert scales[-1] == 1
    assert (scales >= SMALLEST * (1 - 1e-12)).all()
    assert (scales <= LARGEST * (1 + 1e-12)).all()
    np.testing.assert_allclose(scales[:3], weights[:3], rtol=0.1)
