"""What is proven of the loss alone, against all neurons of small problems by brute force."""

import itertools
from dataclasses import replace
from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest

from qdeploy.checker import certify
from qdeploy.data import dataset_from_arrays
from qdeploy.network import QuantizedNetwork
from qdeploy.training.losses import losses
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import certificate_of, prove_dual
from qdeploy.training.rounding import distinct
from qdeploy.training.trainer import encode, train
from qdeploy.training.within_size import loss_bound, within_size

SIZES = [0.0, 0.02, 0.1, 0.4]


def all_neurons(dimension):
    patterns = np.array(list(itertools.product([-1, 1], repeat=dimension)), dtype=np.int8)
    pairs = itertools.product(patterns, patterns)
    return distinct(*(np.stack(side) for side in zip(*pairs, strict=True)))[:2]


def problem_of(loss, weighted, dimension=4, rows=20):
    generator = np.random.default_rng(dimension)
    inputs = generator.integers(-90, 91, (rows, dimension - 1)).astype(np.int8)
    targets = np.where(inputs[:, 0] + 30 * generator.standard_normal(rows) > 0, 1.0, -1.0)
    targets[:2] = 1.0, -1.0
    weights = generator.gamma(1.5, size=rows) if weighted else None
    return TrainingProblem(lift(inputs), targets, 1.0, losses[loss].weighted(weights))


def least(problem, size):
    """Least loss of any network with Σ|α| ≤ size, and a residual there."""
    features = problem.features(*all_neurons(problem.dimension))
    weights, intercept = cp.Variable(features.shape[1]), cp.Variable()
    scores = cp.Variable(len(features))
    definition = scores == features @ weights + intercept
    value = problem.loss.expression(scores, problem.targets)
    whole = cp.Problem(cp.Minimize(value), [definition, cp.norm1(weights) <= size])
    whole.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    residual = definition.dual_value
    return whole.value, residual if residual @ problem.targets > 0 else -residual


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", losses.names())
def test_bound_is_the_optimum_at_the_best_residual_and_below_it_at_others(loss, weighted, size):
    problem = problem_of(loss, weighted)
    optimum, residual = least(problem, size)
    other = least(problem, 3 * size + 0.01)[1]
    step = Fraction(problem.step) ** 2

    def bound(direction):
        proof = certificate_of(prove_dual(problem, direction, "enumeration"), Fraction(0))
        return float(loss_bound(proof, problem.targets, problem.loss, step * Fraction(size)))

    assert bound(residual) <= optimum * (1 + 1e-8)
    assert bound(residual) == pytest.approx(optimum, rel=1e-3)
    assert 0 <= bound(other) <= optimum * (1 + 1e-8)


@pytest.mark.parametrize("loss", losses.names())
def test_trainer_and_checker_prove_the_same_whatever_the_penalty_is(loss):
    problem = problem_of(loss, weighted=False, dimension=3, rows=30)
    dataset = dataset_from_arrays(problem.integers[:, :-1].astype(float), problem.targets > 0)
    targets = encode(dataset)[1]
    for beta in (0.3, 3.0):
        model = train(dataset, loss=loss, beta=beta, jobs=1).model
        inputs = model.quantizer.quantize(dataset.features)
        found = within_size(
            model.certificate, model.network, model.scale, inputs, targets, losses[loss]
        )
        check = certify(model, dataset)
        assert check.holds, check.reason
        assert check.loss == pytest.approx(found.loss, rel=1e-12)
        assert check.loss_bound == pytest.approx(found.bound, rel=1e-6, abs=1e-9)
        assert 0 <= found.gap <= 1
        # The penalised optimum at λ is the best of its own size too.
        assert found.bound <= found.loss


def test_a_larger_readout_proves_less():
    problem = problem_of("squared", weighted=False)
    dataset = dataset_from_arrays(problem.integers[:, :-1].astype(float), problem.targets > 0)
    model = train(dataset, beta=1.0, jobs=1).model
    layer, readout = model.network.layers
    twice = replace(readout, weights=2 * readout.weights)
    inputs, targets = model.quantizer.quantize(dataset.features), encode(dataset)[1]
    bounds = [
        within_size(
            model.certificate, network, model.scale, inputs, targets, losses["squared"]
        ).bound
        for network in (model.network, QuantizedNetwork([layer, twice]))
    ]
    assert bounds[1] < bounds[0]
