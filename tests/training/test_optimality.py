"""The whole of training against brute force: all 4^d neurons of small problems, solved by cvxpy.

The optimum over all neurons is P* (more neurons cannot help: they are all there). The trainer must
reach it, and its bound must stay below it.
"""

import itertools

import cvxpy as cp
import numpy as np
import pytest

from qdeploy.training.losses import losses
from qdeploy.training.output import Effort, train_output
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import prove_dual
from qdeploy.training.rounding import distinct


def all_neurons(dimension):
    patterns = np.array(list(itertools.product([-1, 1], repeat=dimension)), dtype=np.int8)
    rows = [(u, v) for u in patterns for v in patterns]
    left, right = (np.stack(side) for side in zip(*rows, strict=True))
    return distinct(left, right)[:2]


def optimum(problem):
    """P* by cvxpy over every neuron."""
    features = problem.features(*all_neurons(problem.dimension))
    weights, intercept = cp.Variable(features.shape[1]), cp.Variable()
    value = problem.loss.expression(features @ weights + intercept, problem.targets)
    whole = cp.Problem(cp.Minimize(value + problem.penalty * cp.norm1(weights)))
    whole.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return whole.value


def make(seed, loss, dimension, rows=24, share=0.1, weighted=False):
    generator = np.random.default_rng(seed)
    inputs = generator.integers(-90, 91, (rows, dimension - 1)).astype(np.int8)
    integers = lift(inputs)
    hidden = (
        inputs[:, 0].astype(float) * inputs[:, -1] + 900 * generator.standard_normal(rows)
    ) > 0
    targets = np.where(hidden, 1.0, -1.0)
    targets[:2] = 1.0, -1.0
    weights = generator.gamma(1.5, size=rows) if weighted else None
    kind = losses[loss].weighted(weights)
    problem = TrainingProblem(integers, targets, 1.0, kind)
    centred = targets - targets.mean()
    left, right = all_neurons(dimension)
    matrix = problem.matrix(centred)
    largest = np.abs(np.einsum("kd,kd->k", left @ matrix, right.astype(float))).max()
    return TrainingProblem(integers, targets, share * largest, kind)


CASES = [
    (seed, loss, dimension, share)
    for loss in losses.names()
    for seed, (dimension, share) in enumerate(
        [(2, 0.1), (3, 0.02), (4, 0.3), (5, 0.1), (6, 0.05), (6, 0.3)]
    )
]


@pytest.mark.parametrize(("seed", "loss", "dimension", "share"), CASES)
def test_training_reaches_the_optimum_over_all_neurons(seed, loss, dimension, share):
    problem = make(seed, loss, dimension, share=share)
    best = optimum(problem)
    trained = train_output(problem, Effort(), [seed])
    objective, bound = trained.neurons.solution.objective, float(trained.dual.value)
    scale = max(1.0, best)
    assert objective == pytest.approx(best, abs=1.1e-4 * scale)
    assert bound <= best + 1e-6 * scale
    assert bound == pytest.approx(best, abs=1e-3 * scale)
    assert trained.complete


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", losses.names())
@pytest.mark.parametrize("dimension", [3, 5, 6])
def test_optimum_bound_and_brute_force_agree_to_a_millionth(loss, dimension, weighted):
    """With every neuron in the master, its value is P*, and its residual proves it."""
    from qdeploy.training.columns import ColumnGeneration

    problem = make(7, loss, dimension, weighted=weighted)
    columns = ColumnGeneration(problem, np.random.default_rng(0))
    columns.add(*all_neurons(dimension))
    columns.solve()
    best = optimum(problem)
    assert columns.solution.objective == pytest.approx(best, rel=1e-6)
    generated = ColumnGeneration(problem, np.random.default_rng(0))
    generated.run(200, tolerance=0.0)
    assert generated.solution.objective == pytest.approx(best, rel=1e-6)
    proven = float(prove_dual(problem, generated.residual, "enumeration").value)
    assert proven <= best * (1 + 1e-9)
    # Rounding may take a residual of the hinge beyond its largest size, which scales all of it.
    assert proven == pytest.approx(best, rel=5e-6 if loss == "hinge" else 1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ["enumeration", "sdp"])
@pytest.mark.parametrize("loss", losses.names())
def test_any_residual_gives_a_valid_bound(loss, method, weighted):
    problem = make(11, loss, 5, weighted=weighted)
    best = optimum(problem)
    generator = np.random.default_rng(1)
    for _ in range(20):
        predictions = 2 * generator.standard_normal(problem.samples)
        predictions += problem.loss.best_intercept(predictions, problem.targets)
        residual = problem.loss.residual(predictions, problem.targets)
        assert float(prove_dual(problem, residual, method).value) <= best * (1 + 1e-9)


@pytest.mark.parametrize("loss", losses.names())
def test_the_zero_network_is_proven_optimal_above_the_largest_penalty(loss):
    problem = make(3, loss, 4, share=1.05)
    if loss != "squared":
        # Their residuals at the best constant may be longer than that of the squared loss.
        problem = make(3, loss, 4, share=4.0)
    trained = train_output(problem, Effort(), [0])
    assert not len(trained.neurons.left)
    assert float(trained.dual.value) == pytest.approx(trained.neurons.solution.objective, rel=1e-4)


@pytest.mark.parametrize("loss", losses.names())
def test_a_weight_counts_as_so_many_rows(loss):
    plain = make(5, loss, 4, rows=16)
    counts = np.random.default_rng(2).integers(1, 4, plain.samples)
    kind = losses[loss].weighted(counts.astype(np.float64))
    weighted = TrainingProblem(plain.integers, plain.targets, plain.penalty, kind)
    repeated = TrainingProblem(
        np.repeat(plain.integers, counts, axis=0),
        np.repeat(plain.targets, counts),
        plain.penalty,
        losses[loss],
    )
    first, second = (train_output(problem, Effort(), [0]) for problem in (weighted, repeated))
    objective = first.neurons.solution.objective
    assert objective == pytest.approx(second.neurons.solution.objective, rel=2e-4)
    assert float(first.dual.value) == pytest.approx(float(second.dual.value), rel=2e-3)
