"""The lasso solver and the restricted master, against cvxpy and the optimality conditions."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.training.lasso import solve_lasso
from qdeploy.training.losses import losses
from qdeploy.training.master import solve_master
from qdeploy.training.problem import TrainingProblem, lift


def assert_optimal(gram, correlation, penalty, point, slack):
    gradient = gram @ point - correlation
    support = point != 0
    assert np.abs(gradient).max(initial=0) <= penalty + slack
    assert np.abs(gradient[support] + penalty * np.sign(point[support])).max(initial=0) <= slack


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 40),
    width=st.integers(1, 60),
    rank=st.integers(1, 12),
    share=st.floats(1e-3, 1.5),
    warm=st.booleans(),
)
def test_lasso_meets_the_optimality_conditions(seed, rows, width, rank, share, warm):
    generator = np.random.default_rng(seed)
    # Few directions make the columns strongly dependent, as neurons are.
    design = generator.standard_normal((rows, rank)) @ generator.standard_normal((rank, width))
    response = generator.standard_normal(rows)
    gram, correlation = design.T @ design, design.T @ response
    penalty = share * np.abs(correlation).max()
    start = generator.standard_normal(width) if warm else np.zeros(width)
    point = solve_lasso(gram, correlation, penalty, start)
    assert_optimal(gram, correlation, penalty, point, 1e-6 * np.abs(correlation).max())


def test_lasso_of_a_diagonal_is_soft_thresholding():
    point = solve_lasso(np.diag([1.0, 2.0, 4.0]), np.array([3.0, -0.5, -5.0]), 1.0, np.zeros(3))
    np.testing.assert_allclose(point, [2.0, 0.0, -1.0], rtol=1e-9)


def random_problem(seed, loss, rows=30, inputs=4, penalty=8.0):
    generator = np.random.default_rng(seed)
    integers = lift(generator.integers(-60, 60, (rows, inputs)).astype(np.int8))
    targets = np.where(generator.standard_normal(rows) > 0.3, 1.0, -1.0)
    return TrainingProblem(integers, targets, penalty, losses[loss]), generator


@pytest.mark.parametrize("loss", losses.names())
@pytest.mark.parametrize("seed", range(4))
def test_master_agrees_with_cvxpy(loss, seed):
    problem, generator = random_problem(seed, loss)
    left, right = generator.choice([-1, 1], (2, 12, 5)).astype(np.int8)
    features = problem.features(left, right)
    found = solve_master(problem, features)

    weights, intercept = cp.Variable(12), cp.Variable()
    value = problem.loss.expression(features @ weights + intercept, problem.targets)
    best = cp.Problem(cp.Minimize(value + problem.penalty * cp.norm1(weights)))
    best.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11)
    assert found.objective == pytest.approx(best.value, rel=1e-7)
    assert found.objective == pytest.approx(
        problem.loss.value(found.predictions, problem.targets)
        + problem.penalty * np.abs(found.weights).sum()
    )


@pytest.mark.parametrize("loss", losses.names())
def test_master_without_neurons_is_the_best_constant(loss):
    problem, _ = random_problem(0, loss)
    found = solve_master(problem, np.empty((problem.samples, 0)))
    for nudge in (-1e-3, 1e-3):
        nudged = problem.loss.value(found.predictions + nudge, problem.targets)
        assert found.objective <= nudged


@pytest.mark.parametrize("loss", losses.names())
def test_master_never_worsens_its_start(loss):
    problem, generator = random_problem(5, loss)
    left, right = generator.choice([-1, 1], (2, 9, 5)).astype(np.int8)
    features = problem.features(left, right)
    cold = solve_master(problem, features)
    warm = solve_master(problem, features, cold.weights + 0.01)
    assert warm.objective == pytest.approx(cold.objective, rel=1e-8)
