"""The integer readout: against every integer there is, and what its widths cost."""

import itertools

import numpy as np
import pytest

from qdeploy.training.integer_moves import Lattice, descend
from qdeploy.training.losses import losses
from qdeploy.training.master import solve_master
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.readout import WIDTHS, choose_readout, integer_readout


def solved(loss, width, seed, penalty=5.0):
    random = np.random.default_rng(seed)
    inputs = random.integers(-60, 60, (40, 5)).astype(np.int16)
    targets = np.sign(inputs[:, 0] * inputs[:, 1] + random.normal(0, 900, 40) + 0.5)
    problem = TrainingProblem(inputs, targets, penalty, losses[loss])
    left, right = random.choice(np.array([-1, 1], np.int8), (2, width, 5))
    features = problem.features(left, right)
    return problem, features, solve_master(problem, features).weights


def objective(problem, features, integers, unit):
    linear = features @ (integers * unit)
    loss, targets = problem.loss, problem.targets
    value = loss.value(linear + loss.best_intercept(linear, targets), targets)
    return value + problem.penalty * unit * np.abs(integers).sum()


@pytest.mark.parametrize("loss", losses.names())
@pytest.mark.parametrize("seed", range(3))
def test_no_integers_of_the_same_unit_are_much_better(loss, seed):
    problem, features, weights = solved(loss, 4, seed)
    readout = integer_readout([problem], features, weights[:, None], 3)
    unit = readout.scale / problem.step**2
    used = np.flatnonzero(weights)
    best = np.inf
    for values in itertools.product(range(-3, 4), repeat=len(used)):
        integers = np.zeros(len(weights))
        integers[used] = values
        best = min(best, objective(problem, features, integers, unit))
    found = objective(problem, features, readout.weights[:, 0], unit)
    assert best * (1 - 1e-9) <= found <= best * 1.01


@pytest.mark.parametrize("seed", range(5))
def test_descent_in_pairs_ends_where_no_pair_helps(seed):
    random = np.random.default_rng(seed)
    root = random.standard_normal((4, 4)) + 3
    curvature, slope = root.T @ root, random.normal(0, 30, 4)
    lattice = Lattice(1.0, 5)
    start = np.zeros(4, dtype=np.int64)
    found = descend(curvature, slope, start, 0.5, lattice)

    def value(point):
        return 0.5 * point @ curvature @ point + slope @ point + 0.5 * np.abs(point).sum()

    assert np.abs(found).max() <= 5
    for move in itertools.product((-1, 0, 1), repeat=4):
        moved = found + np.array(move)
        if np.count_nonzero(move) <= 2 and np.abs(moved).max() <= 5:
            assert value(found) <= value(moved) + 1e-9


@pytest.mark.parametrize("loss", losses.names())
def test_wider_readouts_cost_less_and_auto_takes_the_narrowest_that_is_enough(loss):
    problem, features, weights = solved(loss, 6, 7)
    _, widths = choose_readout([problem], features, weights[:, None], 8)
    assert [width.bits for width in widths] == list(WIDTHS)
    assert [width.bits for width in widths if width.chosen] == [8]
    increases = [width.increase for width in widths]
    assert increases[-1] < 1e-4
    assert increases[0] >= increases[-1] - 1e-9
    readout, again = choose_readout([problem], features, weights[:, None], "auto")
    (chosen,) = [width for width in again if width.chosen]
    assert chosen.increase <= 1e-3
    assert all(width.increase > 1e-3 for width in again if width.bits < chosen.bits)
    assert np.abs(readout.weights).max() < 2 ** (chosen.bits - 1)
    unit = readout.scale / problem.step**2
    value = objective(problem, features, readout.weights[:, 0], unit)
    np.testing.assert_allclose(value, chosen.objective, rtol=1e-9)
