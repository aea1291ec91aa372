from dataclasses import replace

import numpy as np
import pytest

from qdeploy.checker import certify
from qdeploy.data import dataset_from_arrays
from qdeploy.training.columns import ColumnGeneration
from qdeploy.training.losses import losses
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import prove_dual
from qdeploy.training.tightened import tightened_residual
from qdeploy.training.trainer import train


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(70, 33))
    target = np.where(features[:, 0] * features[:, 1] + features[:, 2] > 0, "yes", "no")
    return features, target


def test_tightened_residual_proves_more(rows):
    features, target = rows
    integers = lift(np.clip(np.rint(32 * features[:, :12]), -128, 127).astype(np.int8))
    signs = np.where(target == "yes", 1.0, -1.0)
    centred = signs - signs.mean()
    problem = TrainingProblem(integers, signs, 1.0, losses["squared"])
    largest = np.abs(problem.matrix(centred)).sum()
    problem = replace(problem, penalty=0.02 * float(largest))
    columns = ColumnGeneration(problem, np.random.default_rng(0))
    columns.run(100)
    objective = columns.solution.objective
    point = tightened_residual(problem, columns.residual, objective)
    before = prove_dual(problem, columns.residual, "cutting-planes")
    assert point.residual.sum() == 0
    assert point.method == "cutting-planes"
    assert before.value < point.value <= objective


def test_a_loss_without_a_dual_gradient_is_left_alone(rows):
    features, target = rows
    integers = lift(np.clip(np.rint(32 * features), -128, 127).astype(np.int8))
    signs = np.where(target == "yes", 1.0, -1.0)
    problem = TrainingProblem(integers, signs, 1.0, losses["hinge"])
    assert tightened_residual(problem, signs - signs.mean(), 10.0) is None


def test_trained_trees_are_certified_and_tampering_is_caught(rows):
    dataset = dataset_from_arrays(*rows, task="classify")
    # A gap that cutting planes do not reach here, and little time for branching towards it.
    result = train(dataset, beta=20.0, gap=0.001, time_limit=10.0, seed=1)
    certificate = result.certificate
    assert certificate.method in ("cutting-planes", "branch-and-bound")
    check = certify(result.model, dataset)
    assert check.holds, check.reason
    assert check.method == certificate.method
    output = certificate.outputs[0]
    tree = output.tree
    leaves = np.arange(len(tree.weights))
    # More weight on every leaf raises the norm that is proven above the one that is claimed.
    heavier, larger, turned = tree.weights.copy(), tree.diagonals.copy(), tree.cuts.copy()
    heavier[leaves, heavier.argmax(axis=1)] *= 2
    larger[leaves, larger.argmax(axis=1)] *= 2
    turned[tree.weights.sum(axis=0).argmax(), 0] *= -1
    for field, values in (("weights", heavier), ("diagonals", larger), ("cuts", turned)):
        changed = replace(output, tree=replace(tree, **{field: values}))
        model = replace(result.model, certificate=replace(certificate, outputs=(changed,)))
        assert not certify(model, dataset).holds
