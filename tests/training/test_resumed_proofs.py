"""Long proofs: leaves under one residual, on several cores, and gone on with after a kill."""

from dataclasses import replace

import numpy as np
import pytest

from qdeploy.checker.cutting_planes import covers_everything, leaf_bound, read_tree
from qdeploy.training import tightened
from qdeploy.training.bounds import Request, cutting_planes, norm_bounds
from qdeploy.training.bounds.branch_and_bound import branch_and_bound
from qdeploy.training.checkpoint import Slot
from qdeploy.training.columns import ColumnGeneration
from qdeploy.training.losses import losses
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.tightened import tightened_residual

SIZE = 13


class KilledError(Exception):
    """What stands for a kill between two steps."""


@pytest.fixture(scope="module")
def trained():
    """A problem whose optimum many neurons share, its residual and its objective."""
    generator = np.random.default_rng(3)
    inputs = np.clip(np.rint(32 * generator.normal(size=(60, SIZE - 1))), -128, 127)
    targets = np.where(generator.random(60) < 0.5, 1.0, -1.0)
    problem = TrainingProblem(lift(inputs.astype(np.int8)), targets, 1.0, losses["squared"])
    largest = float(np.abs(problem.matrix(targets - targets.mean())).sum())
    problem = replace(problem, penalty=0.01 * largest)
    columns = ColumnGeneration(problem, np.random.default_rng(0))
    columns.run(200)
    return problem, columns.residual, columns.solution.objective


@pytest.fixture
def hurried(monkeypatch):
    """Few steps, and a split after every second round."""
    monkeypatch.setattr("qdeploy.training.bounds.cut_relaxation.STEPS", 40)
    monkeypatch.setattr(tightened, "PATIENCE", 1)
    monkeypatch.setattr(tightened, "STALLED", 1.0)
    monkeypatch.setattr(tightened, "ROUNDS", 14)


def proven_again(point_or_proof, matrix):
    """The norm bound of a tree, by the checker."""
    claims = read_tree(point_or_proof.tree, len(matrix), "output")
    assert covers_everything(claims.fixed)
    return max(leaf_bound(claims, leaf, matrix, "output") for leaf in range(len(claims.fixed)))


def same(one, other):
    return (
        one.norm_bound == other.norm_bound
        and np.array_equal(one.tree.cuts, other.tree.cuts)
        and np.array_equal(one.tree.weights, other.tree.weights)
        and np.array_equal(one.tree.diagonals, other.tree.diagonals)
    )


def test_one_residual_on_several_leaves_is_proven_and_no_worse(trained, hurried):
    problem, residual, objective = trained
    whole = tightened_residual(problem, residual, objective)
    points = []
    tree = tightened_residual(problem, residual, objective, leaves=6, keep=points.append)
    assert whole.method == "cutting-planes"
    assert tree.method == "branch-and-bound"
    assert len(tree.tree.fixed) > 2
    assert whole.value <= tree.value <= objective
    assert [p.value for p in points] == sorted(p.value for p in points)
    assert points[-1] is tree
    assert proven_again(tree, problem.integer_matrix(tree.residual)) == tree.norm_bound


def test_threads_change_no_bit(trained, hurried):
    problem, residual, objective = trained
    one, two = (
        tightened_residual(problem, residual, objective, leaves=4, threads=threads)
        for threads in (1, 2)
    )
    assert same(one, two)
    assert np.array_equal(one.residual, two.residual)


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_tightened_residual_goes_on_to_the_same_bits(trained, hurried, tmp_path, steps):
    problem, residual, objective = trained
    whole = tightened_residual(problem, residual, objective, leaves=20)
    slot, kept = Slot(tmp_path / "tree.pickle"), []

    def killed(event):
        kept.append(event)
        if len(kept) == steps + 1:
            raise KilledError

    with pytest.raises(KilledError):
        tightened_residual(problem, residual, objective, leaves=20, slot=slot, progress=killed)
    later, first = [], []
    resumed = tightened_residual(
        problem,
        residual,
        objective,
        leaves=20,
        slot=slot,
        keep=first.append,
        progress=later.append,
    )
    assert later[0].completed == steps + 1
    # What was proven before the kill is known at once.
    assert first[0].value > 0
    assert same(whole, resumed)
    assert np.array_equal(whole.residual, resumed.residual)


def matrix_of(size, seed):
    half = np.random.default_rng(seed).integers(-50, 51, size=(size, size))
    return (half + half.T).astype(np.int64)


@pytest.mark.parametrize(("jobs", "steps"), [(1, 3), (2, 1)])
def test_branch_and_bound_goes_on_to_the_same_bits(tmp_path, monkeypatch, jobs, steps):
    monkeypatch.setattr(cutting_planes, "ROUNDS", 1)
    monkeypatch.setattr("qdeploy.training.bounds.branch_and_bound.ROUNDS", 1)
    matrix = matrix_of(24, 12)
    norm = norm_bounds["enumeration"].prove(matrix).norm_bound
    whole = branch_and_bound(matrix, Request(), jobs=jobs)
    assert norm <= whole.norm_bound <= 1.001 * norm + 10 * len(matrix)
    assert proven_again(whole, matrix) == whole.norm_bound
    save, saved = Slot.save, []

    def fatal(slot, value):
        save(slot, value)
        saved.append(slot)
        if len(saved) == steps:
            raise KilledError

    monkeypatch.setattr(Slot, "save", fatal)
    slot = Slot(tmp_path / "branches.pickle")
    with pytest.raises(KilledError):
        branch_and_bound(matrix, Request(), jobs=jobs, slot=slot)
    assert same(whole, branch_and_bound(matrix, Request(), jobs=jobs, slot=slot))
