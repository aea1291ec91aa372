"""Outputs with shared neurons against brute force: all 4^d neurons of small problems, by cvxpy."""

import itertools

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qdeploy
from qdeploy.data import dataset_from_arrays
from qdeploy.errors import QDeployError
from qdeploy.progress import silent
from qdeploy.training.group.columns import GroupColumns, price
from qdeploy.training.group.lasso import solve_group_lasso
from qdeploy.training.group.norm import (
    block_matrix,
    norm_bound_of,
    prove_group_norm,
    relax_group_norm,
)
from qdeploy.training.group.problem import GroupProblem, solve_group_master
from qdeploy.training.group.proof import prove_group_dual
from qdeploy.training.group.readout import group_readout
from qdeploy.training.group.residual import relaxed_residual
from qdeploy.training.group.selection import largest_group_beta, select_group_beta
from qdeploy.training.losses import losses
from qdeploy.training.problem import lift
from qdeploy.training.rounding import distinct

TIGHT = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
SMOOTH = ("squared", "squared-hinge", "logistic")


def sign_vectors(dimension):
    return np.array(list(itertools.product([-1, 1], repeat=dimension)), dtype=np.int8)


def all_neurons(dimension):
    patterns = sign_vectors(dimension)
    rows = [(u, v) for u in patterns for v in patterns]
    left, right = (np.stack(side) for side in zip(*rows, strict=True))
    return distinct(left, right)[:2]


def brute_norm(matrices):
    """max ‖(uᵀG_k v)_k‖ by trying everything."""
    signs = sign_vectors(matrices.shape[1]).astype(np.float64)
    return float(np.sqrt(sum((signs @ g @ signs.T) ** 2 for g in matrices).max()))


def symmetric(generator, count, dimension, rows=30):
    inputs = generator.normal(size=(rows, dimension))
    weights = generator.normal(size=(count, rows))
    return np.stack([inputs.T @ (w[:, None] * inputs) for w in weights])


def make(seed, loss, dimension, outputs, share=0.1, weighted=False):
    generator = np.random.default_rng(seed)
    inputs = generator.integers(-90, 91, (24, dimension - 1)).astype(np.int8)
    wave = inputs[:, 0].astype(float) * inputs[:, -1] + 900 * generator.standard_normal(24)
    classes = np.searchsorted(np.quantile(wave, np.arange(1, outputs) / outputs), wave)
    targets = np.where(classes[:, None] == np.arange(outputs), 1.0, -1.0)
    weights = generator.gamma(1.5, size=24) if weighted else None
    kind = losses[loss].weighted(weights)
    problem = GroupProblem.of(lift(inputs), targets, 1.0, kind)
    zero = GroupColumns(problem, generator).solution
    largest = brute_norm(problem.matrices(zero.residual))
    return GroupProblem.of(lift(inputs), targets, share * largest, kind)


def optimum(problem):
    """The least objective, by cvxpy over every neuron."""
    features = problem.first.features(*all_neurons(problem.first.dimension))
    outputs = len(problem.outputs)
    weights, intercept = cp.Variable((features.shape[1], outputs)), cp.Variable(outputs)
    value = sum(
        part.loss.expression(features @ weights[:, k] + intercept[k], part.targets)
        for k, part in enumerate(problem.outputs)
    )
    price_ = problem.first.penalty * cp.sum(cp.norm(weights, 2, axis=1))
    whole = cp.Problem(cp.Minimize(value + price_))
    whole.solve(solver=cp.CLARABEL, **TIGHT)
    return whole.value


class TestLasso:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 2**16), st.integers(1, 30), st.integers(1, 4), st.floats(0.01, 0.9))
    def test_no_feasible_dual_point_is_better(self, seed, width, outputs, share):
        """The scaled residual is feasible; weak duality bounds the distance to the optimum."""
        generator = np.random.default_rng(seed)
        design = generator.normal(size=(20, 3)) @ generator.normal(size=(3, width))
        design += 0.2 * generator.normal(size=(20, width))
        goal = generator.normal(size=(20, outputs))
        penalty = share * np.linalg.norm(design.T @ goal, axis=1).max()
        weights = solve_group_lasso(
            design.T @ design, design.T @ goal, penalty, np.zeros((width, outputs)), 1e-12
        )
        residual = goal - design @ weights
        objective = 0.5 * (residual**2).sum() + penalty * np.linalg.norm(weights, axis=1).sum()
        scale = min(1.0, penalty / np.linalg.norm(design.T @ residual, axis=1).max())
        dual = scale * (goal * residual).sum() - 0.5 * scale**2 * (residual**2).sum()
        assert objective - dual <= 2e-4 * objective

    def test_a_large_penalty_leaves_nothing(self):
        generator = np.random.default_rng(0)
        design, goal = generator.normal(size=(9, 5)), generator.normal(size=(9, 2))
        top = np.linalg.norm(design.T @ goal, axis=1).max()
        start = generator.normal(size=(5, 2))
        gram, correlation = design.T @ design, design.T @ goal
        assert not solve_group_lasso(gram, correlation, 1.001 * top, start).any()
        assert solve_group_lasso(gram, correlation, 0.999 * top, start).any()


class TestNorm:
    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 2**16), st.integers(1, 4), st.integers(1, 6))
    def test_bounds_enclose_the_norm(self, seed, count, dimension):
        generator = np.random.default_rng(seed)
        matrices = symmetric(generator, count, dimension)
        true = brute_norm(matrices)
        relaxed = relax_group_norm(matrices, generator)
        assert true * (1 - 1e-9) <= relaxed.bound <= 1.9 * true
        integers = np.rint(matrices * 1e6).astype(np.int64)
        proof = prove_group_norm(integers, generator)
        assert brute_norm(integers.astype(float)) <= proof.norm_bound
        assert proof.norm_bound <= 1e6 * relaxed.bound * (1 + 2e-2) + 4 * dimension * count
        found = price(matrices, generator, 64)
        assert found.values[0] == pytest.approx(true, rel=1e-9)

    def test_it_is_the_semidefinite_relaxation(self):
        """The same optimum as an interior-point method finds for the multipliers."""
        matrices = symmetric(np.random.default_rng(3), 3, 5)
        left, top = cp.Variable(5), cp.Variable()
        blocks = [[cp.Variable(5) for _ in range(k + 1)] for k in range(3)]
        part = lambda k, m: blocks[max(k, m)][min(k, m)]  # noqa: E731
        lower = cp.bmat([[cp.diag(part(k, m)) for m in range(3)] for k in range(3)])
        total = cp.bmat([[cp.sum(part(k, m)) for m in range(3)] for k in range(3)])
        across = np.hstack(list(matrices))
        whole = cp.bmat([[cp.diag(left), across], [across.T, lower]])
        problem = cp.Problem(
            cp.Minimize((cp.sum(left) + top) / 2), [whole >> 0, top * np.eye(3) - total >> 0]
        )
        problem.solve(solver=cp.CLARABEL)
        relaxed = relax_group_norm(matrices, np.random.default_rng(0))
        assert relaxed.bound == pytest.approx(problem.value, rel=2e-5)

    def test_the_proof_is_one(self):
        """Its block matrix is semidefinite, and no longer once the multipliers shrink."""
        generator = np.random.default_rng(1)
        integers = np.rint(symmetric(generator, 3, 6) * 1e6).astype(np.int64)
        proof = prove_group_norm(integers, generator)
        assert norm_bound_of(proof.left, proof.right) == proof.norm_bound
        whole = block_matrix(integers, proof.right).astype(float)
        whole[:6, :6] += np.diag(proof.left)
        assert np.linalg.eigvalsh(whole)[0] >= 0
        smaller = block_matrix(integers, (proof.right * 0.99).astype(np.int64)).astype(float)
        smaller[:6, :6] += np.diag(0.99 * proof.left)
        assert np.linalg.eigvalsh(smaller)[0] < 0

    def test_it_is_tighter_than_the_root_of_the_squares(self):
        generator = np.random.default_rng(8)
        matrices = symmetric(generator, 4, 8)
        alone = [relax_group_norm(g[None], generator).bound for g in matrices]
        assert relax_group_norm(matrices, generator).bound < 0.95 * np.linalg.norm(alone)

    def test_matrices_that_cancel_and_matrices_of_zeros(self):
        generator = np.random.default_rng(2)
        one = np.rint(symmetric(generator, 1, 5) * 1e5).astype(np.int64)
        proof = prove_group_norm(np.concatenate([one, -one]), generator)
        assert proof.norm_bound >= np.sqrt(2) * brute_norm(one.astype(float))
        assert proof.norm_bound <= 1.3 * np.sqrt(2) * brute_norm(one.astype(float))
        assert prove_group_norm(0 * one, generator).norm_bound == 0


CASES = [
    (seed, loss, dimension, outputs)
    for loss in SMOOTH
    for seed, (dimension, outputs) in enumerate([(3, 2), (3, 3), (4, 2), (4, 3)])
]


@pytest.mark.parametrize(("seed", "loss", "dimension", "outputs"), CASES)
def test_training_reaches_the_optimum_over_all_neurons(seed, loss, dimension, outputs):
    problem = make(seed, loss, dimension, outputs, weighted=seed == 3)
    best = optimum(problem)
    generator = np.random.default_rng(seed)
    columns = GroupColumns(problem, generator)
    assert columns.run(50, tolerance=1e-7)
    assert columns.solution.objective == pytest.approx(best, rel=1e-5)
    residual = relaxed_residual(problem, columns.solution.residual, generator)
    for point in (columns.solution.residual, residual):
        dual = prove_group_dual(problem, point, generator)
        assert float(dual.value) <= best * (1 + 1e-7)
        assert (dual.residual.sum(axis=0) == 0).all()
    assert float(dual.value) >= 0.75 * best


@pytest.mark.parametrize("loss", SMOOTH)
def test_residuals_keep_their_proportions_in_integers(loss):
    """One scale for all outputs: the norm is of all of them together."""
    problem = make(2, loss, 4, 3)
    residual = GroupColumns(problem, np.random.default_rng(0)).solution.residual.copy()
    residual[:, 1] /= 40
    integers = prove_group_dual(problem, residual, np.random.default_rng(0)).residual
    for k in (1, 2):
        wanted = np.linalg.norm(residual[:, k]) / np.linalg.norm(residual[:, 0])
        found = np.linalg.norm(integers[:, k]) / np.linalg.norm(integers[:, 0])
        assert found == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("loss", SMOOTH)
def test_master_is_optimal_for_its_neurons(loss):
    problem = make(7, loss, 4, 3, weighted=True)
    features = problem.first.features(*all_neurons(4))
    solution = solve_group_master(problem, features, np.zeros((features.shape[1], 3)), 1e-12)
    assert solution.objective == pytest.approx(optimum(problem), rel=1e-5)


@pytest.mark.parametrize("loss", SMOOTH)
def test_integers_are_solved_for(loss):
    problem = make(4, loss, 4, 3)
    columns = GroupColumns(problem, np.random.default_rng(0))
    columns.run(50)
    neurons = columns.neurons
    features = problem.first.features(neurons.left, neurons.right)

    def objective(readout):
        unit = readout.scale / problem.first.step**2
        weights = readout.weights * unit
        predictions = features @ weights + readout.intercepts * readout.scale
        rows = zip(problem.outputs, predictions.T, strict=True)
        loss_ = sum(part.loss.value(f, part.targets) for part, f in rows)
        return loss_ + problem.first.penalty * np.linalg.norm(weights, axis=1).sum()

    values = {}
    for bits in (4, 8, 16):
        readout = group_readout(problem, features, neurons.weights, bits)
        assert np.abs(readout.weights).max() < 2 ** (bits - 1)
        values[bits] = objective(readout)
    assert values[16] <= values[8] <= values[4]
    assert values[16] == pytest.approx(columns.solution.objective, rel=1e-5)
    peak = np.abs(neurons.weights).max() / 7
    rounded = group_readout(problem, features, np.rint(neurons.weights / peak) * peak, 4)
    assert values[4] <= objective(rounded) * (1 + 1e-6)
    chosen = group_readout(problem, features, neurons.weights, "auto")
    assert objective(chosen) <= columns.solution.objective * (1 + 1e-3)


def test_largest_beta_is_the_edge_of_the_zero_network():
    problem = make(5, "squared", 4, 3)
    generator = np.random.default_rng(0)
    top = largest_group_beta(problem.first.integers, problem.targets, losses["squared"], generator)
    for share, empty in ((1.001, True), (0.98, False)):
        penalty = share * top * 4
        near = GroupProblem.of(problem.first.integers, problem.targets, penalty, losses["squared"])
        columns = GroupColumns(near, generator)
        columns.run(20)
        assert (len(columns.neurons.left) == 0) == empty


@pytest.fixture(scope="module")
def flowers():
    """Three classes that a product separates."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(70, 3))
    return inputs, np.digitize(inputs[:, 0] * inputs[:, 1], [-0.4, 0.4])


def test_selection_prefers_a_penalty_that_predicts(flowers):
    inputs, labels = flowers
    integers = lift(np.clip(np.rint(inputs * 32), -127, 127).astype(np.int8))
    targets = np.where(labels[:, None] == np.arange(3), 1.0, -1.0)
    found = select_group_beta(integers, targets, losses["squared"], "classify", jobs=1)
    assert found.error < 0.4 < found.errors[0] + 0.2
    assert found.beta in found.betas


class TestTrain:
    def test_certificate_and_network_agree(self, flowers):
        result = qdeploy.train(*flowers, outputs="shared", beta=8.0, jobs=1)
        certificate = result.certificate
        assert certificate.shared is not None
        assert 0 < certificate.gap < 0.3
        assert result.history[-1].bound == pytest.approx(certificate.bound)
        assert certificate.objective == pytest.approx(result.history[-1].objective, rel=1e-3)
        assert result.train_score > 0.7
        assert result.model.provenance["options"]["outputs"] == "shared"
        check = qdeploy.certify(result.model, dataset_from_arrays(*flowers))
        assert check.holds, check.reason

    def test_a_budget_of_neurons_is_kept(self, flowers):
        result = qdeploy.train(
            *flowers, outputs="shared", mode="certified", neurons=3, beta=8.0, jobs=1
        )
        assert result.network.layers[0].width <= 3
        assert qdeploy.certify(result.model, dataset_from_arrays(*flowers)).holds

    def test_one_output_is_the_same_either_way(self, flowers):
        inputs, labels = flowers
        one, other = (
            qdeploy.train(inputs, labels > 0, outputs=outputs, beta=5.0, jobs=1)
            for outputs in ("separate", "shared")
        )
        assert one.certificate.objective == other.certificate.objective
        assert other.certificate.shared is None

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"loss": "hinge", "beta": 1.0}, "hinge"),
            ({"loss": "hinge"}, "hinge"),
            ({"gap": 0.1}, "target gap"),
            ({"neurons": 4}, "compact"),
            ({"outputs": "both"}, "'both'"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, flowers, options, words):
        with pytest.raises(QDeployError, match=words):
            qdeploy.train(*flowers, **{"outputs": "shared", "jobs": 1, **options})

    def test_too_many_inputs_are_refused_before_anything_is_trained(self):
        generator = np.random.default_rng(0)
        inputs, labels = generator.normal(size=(20, 1000)), np.arange(20) % 4
        with pytest.raises(QDeployError, match="fewer inputs"):
            qdeploy.train(inputs, labels, outputs="shared", jobs=1)

    def test_time_that_has_run_out_leaves_a_proof(self, flowers):
        result = qdeploy.train(
            *flowers, outputs="shared", beta=8.0, time_limit=1e-6, jobs=1, progress=silent
        )
        assert result.certificate.bound > 0
        assert qdeploy.certify(result.model, dataset_from_arrays(*flowers)).holds

    def test_an_interruption_leaves_the_best_so_far(self, flowers):
        told = []

        def interrupt(event):
            told.append(event.stage)
            if event.stage == "column generation" and told.count(event.stage) == 3:
                raise KeyboardInterrupt

        result = qdeploy.train(*flowers, outputs="shared", beta=1.0, jobs=1, progress=interrupt)
        assert "more time" in result.advice[0]
        assert result.network.layers[0].width > 1
        assert qdeploy.certify(result.model, dataset_from_arrays(*flowers)).holds

    def test_estimator_takes_the_option(self, flowers):
        model = qdeploy.QuantizedClassifier(outputs="shared", beta=8.0).fit(*flowers)
        assert model.certificate_.shared is not None
        assert model.score(*flowers) > 0.7
