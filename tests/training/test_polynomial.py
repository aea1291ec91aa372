from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qdeploy.activation import Activation, integer_activation, read_activation
from qdeploy.errors import QDeployError
from qdeploy.training.bounds import norm_bounds
from qdeploy.training.form_oracle import FormOracle
from qdeploy.training.form_proof import prove_form
from qdeploy.training.losses import losses
from qdeploy.training.neurons.binary import BINARY
from qdeploy.training.output import Effort, train_output
from qdeploy.training.problem import TrainingProblem, lift

STEP = 2.0**-5
RELU_LIKE = (0.09, 0.5, 0.47)


def all_signs(dimension):
    return np.array(list(product([-1, 1], repeat=dimension)), dtype=np.int8)


def problem_of(coefficients, *, dimension=3, rows=20, loss="squared", penalty=5.0, seed=0):
    generator = np.random.default_rng(seed)
    inputs = generator.integers(-128, 128, (rows, dimension)).astype(np.int8)
    targets = generator.standard_normal(rows)
    if loss != "squared":
        targets = np.where(targets > 0, 1.0, -1.0)
    family = replace(BINARY, activation=integer_activation(coefficients, STEP))
    return TrainingProblem(lift(inputs), targets, penalty, losses[loss], STEP, family)


def optimum(problem):
    """The best objective over all neurons, by cvxpy."""
    import cvxpy

    patterns = all_signs(problem.dimension)
    sums = problem.integers.astype(np.float64) @ patterns.T
    activation = problem.activation
    values = activation.unit * sums * (activation.square * sums + activation.linear)
    weights, intercept = cvxpy.Variable(len(patterns)), cvxpy.Variable()
    scores = values @ weights + intercept
    margins = cvxpy.multiply(problem.targets, scores)
    loss = {
        "squared": lambda: cvxpy.sum_squares(scores - problem.targets) / 2,
        "squared-hinge": lambda: cvxpy.sum_squares(cvxpy.pos(1 - margins)) / 2,
        "hinge": lambda: cvxpy.sum(cvxpy.pos(1 - margins)),
        "logistic": lambda: cvxpy.sum(cvxpy.logistic(-margins)),
    }[problem.loss.name]()
    size = problem.penalty * cvxpy.norm1(weights)
    return cvxpy.Problem(cvxpy.Minimize(loss + size)).solve(solver="CLARABEL")


@pytest.mark.parametrize("loss", ["squared", "squared-hinge", "hinge", "logistic"])
@pytest.mark.parametrize("coefficients", [(1, 0, 0), RELU_LIKE, (0, 1.3, 0), (-0.7, 2, 1)])
def test_training_finds_the_optimum_over_all_neurons(coefficients, loss):
    problem = problem_of(coefficients, loss=loss, penalty=2.0)
    best = optimum(problem)
    trained = train_output(problem, Effort(), [0])
    assert trained.neurons.solution.objective == pytest.approx(best, rel=1e-6)
    assert float(trained.dual.value) == pytest.approx(best, rel=1e-5)
    assert float(trained.dual.value) <= best * (1 + 1e-7)


@settings(deadline=None, max_examples=15)
@given(
    st.tuples(st.floats(-2, 2), st.floats(-2, 2)).filter(lambda ab: abs(ab[0]) > 0.01),
    st.integers(1, 5),
    st.floats(-1, 5),
    st.integers(0, 1000),
)
def test_the_bound_holds_for_any_coefficients(coefficients, dimension, size, seed):
    problem = problem_of(
        (*coefficients, 0.0), dimension=dimension, penalty=float(np.exp(size)), seed=seed
    )
    best = optimum(problem)
    trained = train_output(problem, Effort(), [seed])
    assert float(trained.dual.value) <= best * (1 + 1e-7)
    assert trained.neurons.solution.objective == pytest.approx(best, rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 7).flatmap(
        lambda size: arrays(np.int64, (size, size), elements=st.integers(-(2**40), 2**40))
    )
)
def test_both_sides_of_a_form_are_bounded(matrix):
    matrix = matrix + matrix.T
    patterns = all_signs(len(matrix)).astype(np.int64)
    values = ((patterns @ matrix) * patterns).sum(axis=1)
    for method in ("sdp", "enumeration"):
        proof = prove_form(matrix, method)
        above, below = proof.sides
        assert above.largest >= values.max()
        assert below.largest >= -values.min()
        assert proof.norm_bound == max(above.largest, below.largest, 0)
    largest = int(np.abs(values).max())
    reach = int(np.abs(matrix).sum())
    assert proof.norm_bound <= largest * (1 + 1e-5) + 1e-4 * reach


def test_a_side_is_tighter_than_the_bilinear_norm():
    matrix = np.array([[1000, 0], [0, -1000]])
    assert norm_bounds["enumeration"].prove(matrix).norm_bound >= 2000
    assert prove_form(matrix, "enumeration").norm_bound <= 2


@pytest.mark.parametrize("seed", range(12))
def test_the_oracle_finds_the_largest_value(seed):
    generator = np.random.default_rng(seed)
    size = int(generator.integers(2, 11))
    matrix = generator.standard_normal((size, size))
    matrix = matrix + matrix.T
    patterns = all_signs(size)
    values = ((patterns @ matrix) * patterns).sum(axis=1)
    found, reached = FormOracle(size, generator).price(matrix)
    assert abs(reached[0]) == pytest.approx(np.abs(values).max())
    assert (found[:, -1] == 1).all()
    assert reached == pytest.approx(((found @ matrix) * found).sum(axis=1))
    assert len(np.unique(found, axis=0)) == len(found)


@pytest.mark.parametrize("coefficients", [(1, 0, 0), RELU_LIKE, (0, -1.3, 0), (-0.7, 2, 1)])
def test_the_form_prices_a_neuron(coefficients):
    problem = problem_of(coefficients)
    patterns = all_signs(problem.dimension)
    generator = np.random.default_rng(1)
    residual = generator.integers(-1000, 1000, problem.samples)
    residual[0] -= residual.sum()
    wanted = residual @ problem.features(patterns, patterns)
    border = np.ones((len(patterns), problem.form_size - problem.dimension))
    lifted = np.hstack([patterns, border])
    real, whole = problem.matrix(residual.astype(np.float64)), problem.integer_matrix(residual)
    assert ((lifted @ real) * lifted).sum(axis=1) == pytest.approx(wanted)
    integer = ((lifted @ whole) * lifted).sum(axis=1)
    assert integer * problem.norm_unit == pytest.approx(wanted)


def test_coefficients_become_integers():
    assert integer_activation(RELU_LIKE, STEP) == Activation(1, 178, 0.09 * STEP**2)
    assert integer_activation((-2.0, 1.0, 0.0), STEP) == Activation(1, -16, 2 * STEP**2)
    assert integer_activation((0.0, -3.0, 5.0), STEP) == Activation(0, 1, 3 * STEP)
    with pytest.raises(QDeployError, match="on int8 inputs it is linear"):
        integer_activation((1e-6, 1.0, 0.0), STEP)


def test_activations_are_read():
    assert read_activation("bilinear") is None
    assert read_activation("square") == (1, 0, 0)
    assert read_activation("0.09, 0.5,0.47") == RELU_LIKE
    for text in ("cube", "1,2", "1,2,3,4", "nan,1,1", "0,0,1", "1,inf,0"):
        with pytest.raises(ValueError, match="must"):
            read_activation(text)
