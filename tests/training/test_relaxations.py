import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.training.bounds.interior_point import semidefinite_norm
from qdeploy.training.losses import losses
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.relaxations import low_rank, relaxations
from qdeploy.training.relaxations.dual import dominating_multiple, dual_point
from qdeploy.training.relaxations.scale import best_scale

SOLVERS = relaxations.names()
LOSSES = losses.names()


def problem(loss, samples=120, inputs=7, share=0.02, seed=0):
    """A problem with targets ±1 that depend on products of inputs; λ is a share of its largest.

    Relaxations are for smooth losses: the kink of the hinge is rounded off.
    """
    generator = np.random.default_rng(seed)
    x = np.clip(np.rint(32 * generator.standard_normal((samples, inputs))), -128, 127)
    mixed = x[:, 0] * x[:, 1 % inputs] - 0.7 * x[:, 2 % inputs] ** 2 + 20 * x[:, 0]
    noise = 300 * generator.standard_normal(samples)
    targets = np.where(mixed + noise > np.median(mixed), 1.0, -1.0)
    smooth = losses[loss].smoothed()
    made = TrainingProblem(lift(x.astype(np.int8)), targets, 1.0, smooth)
    empty = best_scale(made, np.zeros(samples))
    largest = semidefinite_norm(made.matrix(empty.residual)).bound
    return TrainingProblem(made.integers, targets, share * largest, smooth)


def feasible(made, solution, tolerance=1e-6):
    """Everything that a relaxed solution promises about itself."""
    ones = np.ones(made.dimension)
    assert np.linalg.norm(solution.left, axis=1) == pytest.approx(ones)
    assert np.linalg.norm(solution.right, axis=1) == pytest.approx(ones)
    shape = ((made.inputs @ solution.left) * (made.inputs @ solution.right)).sum(axis=1)
    predictions = solution.rho * shape + solution.intercept
    assert solution.predictions == pytest.approx(predictions, abs=1e-8)
    loss = made.loss
    value = loss.value(predictions, made.targets) + made.penalty * solution.rho
    assert solution.value == pytest.approx(value, rel=1e-9)
    assert solution.residual == pytest.approx(loss.residual(predictions, made.targets), abs=1e-8)
    assert solution.residual.sum() == pytest.approx(0, abs=1e-6)
    matrix = made.matrix(solution.residual)
    for sign in (1, -1):
        slack = np.diag(solution.multipliers) + sign * matrix
        assert np.linalg.eigvalsh(slack)[0] >= -1e-9 * solution.multipliers.sum()
    assert solution.dual_bound <= solution.value * (1 + 1e-9)
    assert solution.gap <= tolerance


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("share", [0.3, 0.03, 0.003])
def test_solution_closes_the_gap(name, loss, share):
    made = problem(loss, share=share)
    feasible(made, relaxations[name].solve(made), tolerance=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("samples", "inputs", "share"),
    [
        (12, 20, 0.05),
        (40, 5, 0.0005),
        pytest.param(60, 40, 0.01, marks=pytest.mark.slow),
        pytest.param(1500, 17, 0.003, marks=pytest.mark.slow),
    ],
)
def test_solvers_agree_with_few_rows_and_many(loss, samples, inputs, share):
    made = problem(loss, samples=samples, inputs=inputs, share=share, seed=samples)
    values = [relaxations[name].solve(made).value for name in SOLVERS]
    assert values == pytest.approx([values[0]] * len(values), rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("inputs", "share"), [(1, 0.1), (2, 0.1), (11, 0.01), (23, 0.01)])
def test_solvers_agree(loss, inputs, share):
    made = problem(loss, samples=200, inputs=inputs, share=share)
    values = [relaxations[name].solve(made).value for name in SOLVERS]
    assert values == pytest.approx([values[0]] * len(values), rel=1e-5)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_large_penalty_leaves_the_intercept_alone(name, loss):
    made = problem(loss, share=1.01)
    solution = relaxations[name].solve(made)
    feasible(made, solution)
    assert solution.rho == pytest.approx(0, abs=1e-9)
    assert np.ptp(solution.predictions) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_below_every_network(name, loss):
    """The relaxed optimum is below the objective of any network, here of all with one neuron."""
    made = problem(loss, samples=60, inputs=3, share=0.1)
    relaxed = relaxations[name].solve(made)
    signs = np.array(list(itertools.product([-1, 1], repeat=made.dimension)), dtype=np.int8)
    left, right = (np.repeat(signs, len(signs), axis=0), np.tile(signs, (len(signs), 1)))
    features = made.features(left, right)
    best = min(best_scale(made, column).value for column in features.T)
    assert relaxed.dual_bound < relaxed.value <= best


def test_low_rank_finds_more_columns_when_it_needs_them():
    made = problem("squared", samples=400, inputs=12, share=0.002)
    solution = relaxations["low-rank"].solve(made, rank=1)
    feasible(made, solution, tolerance=1e-5)
    assert solution.left.shape[1] > 2


def test_low_rank_is_deterministic_for_a_seed():
    made = problem("squared")
    first, second = (relaxations["low-rank"].solve(made, seed=5) for _ in range(2))
    assert np.array_equal(first.left, second.left)
    assert first.value == second.value


def test_low_rank_out_of_time_still_gives_a_solution():
    made = problem("squared-hinge", share=0.01)
    feasible(made, relaxations["low-rank"].solve(made, time_limit=0.0), tolerance=1.0)


@pytest.mark.parametrize("name", SOLVERS)
def test_progress_is_told(name):
    events = []
    relaxations[name].solve(problem("squared", samples=40, inputs=3), progress=events.append)
    assert events


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("guess", [0.0, 1e-3, 10.0])
def test_best_scale_is_a_minimum(loss, guess):
    made = problem(loss, share=0.01)
    shape = made.inputs[:, 0] * made.inputs[:, 1]
    point = best_scale(made, shape, guess)
    assert point.rho > 0

    def value(rho, intercept):
        predictions = rho * shape + intercept
        return made.loss.value(predictions, made.targets) + made.penalty * rho

    assert point.value == pytest.approx(value(point.rho, point.intercept), rel=1e-12)
    for step in (-1e-3, 1e-3):
        assert value(point.rho + step * point.rho, point.intercept) >= point.value
        assert value(point.rho, point.intercept + step) >= point.value


@pytest.mark.parametrize("loss", LOSSES)
def test_best_scale_of_a_useless_shape_is_zero(loss):
    made = problem(loss)
    assert best_scale(made, np.zeros(made.samples), 1.0).rho == 0
    assert best_scale(made, np.ones(made.samples), 1.0).rho == 0
    shape = -made.inputs[:, 0] * made.inputs[:, 1]
    assert best_scale(made, shape, 1.0).rho == 0


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_a_dominating_multiple_dominates_and_touches(dimension, seed):
    generator = np.random.default_rng(seed)
    matrix = generator.standard_normal((dimension, dimension))
    matrix = matrix + matrix.T
    diagonal = generator.uniform(-0.1, 1.0, dimension)
    found = dominating_multiple(matrix, diagonal)
    lowest = [np.linalg.eigvalsh(np.diag(found) + sign * matrix)[0] for sign in (1, -1)]
    assert abs(min(lowest)) <= 1e-9 * found.sum()
    positive = diagonal > 1e-3
    shares = found[positive] / diagonal[positive]
    assert shares == pytest.approx(np.full(len(shares), shares.mean() if len(shares) else 0))


def test_a_diagonal_of_zeros_gives_row_sums():
    matrix = np.array([[1.0, -2.0], [-2.0, 3.0]])
    assert dominating_multiple(matrix, np.zeros(2)) == pytest.approx([3.0, 5.0])


def test_low_rank_stops_as_soon_as_the_gap_is_seen_to_be_closed(monkeypatch):
    made, asked = problem("squared", inputs=12), []

    def counted(*given):
        asked.append(given)
        return dual_point(*given)

    monkeypatch.setattr(low_rank, "dual_point", counted)
    solution = relaxations["low-rank"].solve(made, tolerance=1e-4)
    feasible(made, solution, tolerance=1e-4)
    assert not asked
    assert solution.gap > 1e-7
