"""The compact mode as a whole: budgets, proofs, determinism, time limits, interruption."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from qdeploy.checker import certify
from qdeploy.data import dataset_from_arrays
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.onnx import load
from qdeploy.recipes import Recipe, train_recipe
from qdeploy.training import finishing
from qdeploy.training.losses import losses
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.proof import exact_objective
from qdeploy.training.readout import integer_readout
from qdeploy.training.search import Choice, Effort, Rows, Start, refine
from qdeploy.training.shared import SharedProblem, solve_readout
from qdeploy.training.starts import eliminated
from qdeploy.training.trainer import encode, train


@pytest.fixture(scope="module")
def cancer():
    features, target = load_breast_cancer(return_X_y=True)
    return dataset_from_arrays(features[:, :8], target)


@pytest.fixture(scope="module")
def iris():
    return dataset_from_arrays(*load_iris(return_X_y=True))


@pytest.fixture(scope="module")
def trained(cancer):
    return train(cancer, neurons=3, scaling="feature", jobs=1)


def bits(result):
    quadratic, readout = result.network.layers
    parts = (quadratic.left, quadratic.right, quadratic.left_bias, readout.weights, readout.bias)
    return b"".join(part.tobytes() for part in parts) + result.model.quantizer.scale.tobytes()


def test_a_budget_means_compact_unless_told_otherwise(cancer, trained):
    assert trained.mode == "compact"
    assert trained.model.provenance["options"]["mode"] == "compact"
    certified = train(cancer, neurons=3, beta=10.0, mode="certified")
    assert certified.mode == "certified"
    assert trained.train_score > certified.train_score


def test_budget_is_kept_and_the_proof_holds(cancer, trained, tmp_path):
    assert trained.network.layers[0].width <= 3
    assert trained.network.layers[1].weight_bits == 8
    assert 0 < trained.certificate.gap < 1
    check = certify(load(trained.save(tmp_path / "small.onnx")), cancer)
    assert check.holds, check.reason
    assert check.objective == pytest.approx(trained.certificate.objective, rel=1e-12)


def test_the_same_seed_gives_the_same_network_for_any_number_of_processes(cancer, trained):
    assert bits(train(cancer, neurons=3, scaling="feature", jobs=2)) == bits(trained)


def test_one_dictionary_serves_all_outputs(iris):
    result = train(iris, neurons=2, scaling="feature", jobs=1)
    quadratic, readout = result.network.layers
    assert quadratic.width <= 2
    assert (np.count_nonzero(readout.weights, axis=1) > 1).any()
    assert result.train_score > 0.95
    assert certify(result.model, iris).holds


def test_squared_hinge(iris):
    result = train(iris, neurons=3, loss="squared-hinge", scaling="feature", jobs=1)
    assert result.train_score > 0.95
    assert certify(result.model, iris).holds


def test_regression_with_two_outputs():
    features, target = load_diabetes(return_X_y=True)
    dataset = dataset_from_arrays(features, np.stack([target, features[:, 2] - target], 1))
    result = train(dataset, neurons=4, jobs=1)
    assert 0.4 < result.train_score < 1
    assert result.predict(features).shape == (len(features), 2)
    assert certify(result.model, dataset).holds


def test_time_limit_leaves_a_valid_model(cancer):
    hurried = train(cancer, neurons=3, time_limit=1e-3, jobs=1)
    assert hurried.seconds < 5
    assert certify(hurried.model, cancer).holds
    assert any("cut short" in sentence for sentence in hurried.advice)


@pytest.mark.parametrize("limit", [None, 0.5])
def test_a_given_ridge_is_the_only_one(cancer, monkeypatch, limit):
    chosen = []
    in_integers = finishing._in_integers

    def noted(problems, best, *rest):
        chosen.append(best.choice.ridge)
        return in_integers(problems, best, *rest)

    monkeypatch.setattr(finishing, "_in_integers", noted)
    losses_ = []
    for ridge in (1e-3, 1.0):
        result = train(cancer, neurons=2, ridge=ridge, time_limit=limit, scaling="feature", jobs=1)
        assert result.model.provenance["options"]["ridge"] == ridge
        losses_.append(result.within_size.loss)
    assert chosen == [1e-3, 1.0]
    assert losses_[0] < losses_[1]


def test_the_certified_mode_has_no_ridge(cancer):
    with pytest.raises(QDeployError, match="a ridge is for the compact mode"):
        train(cancer, ridge=0.1)
    with pytest.raises(QDeployError, match="ridge must be 'auto' or a number above 0"):
        train(cancer, neurons=2, ridge=0.0)


def test_a_recipe_remembers_its_ridge():
    given = {"data": "sklearn:iris", "neurons": 2, "time_limit": 0.3}
    trained = train_recipe(Recipe.model_validate({**given, "ridge": "0.5"}), name="iris")
    assert trained.model.provenance["options"]["ridge"] == 0.5
    assert trained.model.provenance["recipe"]["ridge"] == 0.5
    plain = train_recipe(Recipe.model_validate(given), name="iris")
    assert "ridge" not in plain.model.provenance["recipe"]


def test_interruption_leaves_the_best_so_far(cancer):
    def interrupt(event):
        if event.stage == "searching from several starts":
            raise KeyboardInterrupt

    stopped = train(cancer, neurons=3, scaling="feature", jobs=1, progress=interrupt)
    assert certify(stopped.model, cancer).holds
    assert any("cut short" in sentence for sentence in stopped.advice)


def test_progress_has_a_total(cancer):
    events = []
    train(cancer, neurons=2, scaling="feature", jobs=1, progress=events.append)
    for stage in ("choosing input scales", "searching from several starts"):
        told = [event for event in events if event.stage.startswith(stage)]
        assert told
        assert [event.completed for event in told] == list(range(1, int(told[0].total) + 1))


def test_fewer_rows_than_folds():
    features = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    result = train(features, np.array([1, 1, 0, 0]), neurons=2, jobs=1)
    assert result.train_score == 1


def test_more_neurons_than_there_are():
    features = np.array([[0.0], [1.0], [2.0], [3.0]] * 5)
    result = train(features, features[:, 0] ** 2, task="regress", neurons=20, jobs=1)
    assert result.network.layers[0].width <= 2
    assert result.train_score > 0.99


@pytest.mark.parametrize("width", [1, 2, 5])
def test_never_worse_than_elimination(iris, width):
    _, targets = encode(iris)
    quantizer = InputQuantizer.fit(iris.features, iris.feature_names)
    rows = Rows(iris.features, quantizer, targets, losses["squared"])
    choice, plain = Choice(scaled=True, ridge=1e-2), np.ones(rows.dimension)
    start = Start("elimination", (1, 2), beta=1.0)
    (found,) = refine(rows, start, width, [choice], Effort(steps=50, sweeps=3, rounds=2))
    generator = np.random.default_rng(start.seed)
    integers = rows.integers(plain)
    left, right = eliminated(integers, targets, rows.loss, start.beta, width, generator)
    assert left.shape == right.shape == (width, rows.dimension)
    problem = rows.problem(plain, choice.ridge)
    bare = solve_readout(problem, problem.features(left, right))
    assert found.found.readout.objective <= bare.objective * (1 + 1e-12)


def test_ridge_holds_the_integer_readout_back():
    random = np.random.default_rng(3)
    inputs = random.integers(-60, 60, (40, 6)).astype(np.int16)
    problem = TrainingProblem(inputs, random.choice([-1.0, 1.0], 40), 0.0, losses["squared"])
    signs = random.choice(np.array([-1, 1], np.int8), (2, 5, 6))
    features = problem.features(signs[0], signs[1])
    ridge = 1e3
    shared = SharedProblem(problem.inputs, problem.targets[:, None], problem.loss, ridge)
    real = solve_readout(shared, features).weights
    readout = integer_readout([problem], features, real, 8, ridge=ridge)
    weights = readout.weights[:, 0] * readout.scale / problem.step**2
    np.testing.assert_allclose(weights, real[:, 0], atol=0.01 * np.abs(real).max())
    scores = np.rint(features @ readout.weights[:, 0] / problem.step**2).astype(np.int64)
    scores += readout.intercepts[0]
    loss = exact_objective(problem, scores, readout.weights[:, 0], readout.scale)
    objective = float(loss) + 0.5 * ridge * weights @ weights
    best = solve_readout(shared, features).objective
    assert best <= objective <= best * 1.001


def test_fewer_inputs_are_chosen(cancer):
    result = train(cancer, neurons=3, inputs=4, scaling="feature", jobs=1)
    assert result.network.inputs == result.model.quantizer.kept.size == 4
    assert result.train_score > 0.9
    assert certify(result.model, cancer).holds


def test_inputs_that_say_nothing_go_first():
    random = np.random.default_rng(0)
    features = random.standard_normal((200, 8))
    target = features[:, 2] * features[:, 5] > 0
    result = train(features, target, neurons=2, inputs=2, scaling="feature", jobs=1)
    assert result.model.quantizer.kept.tolist() == [2, 5]
    assert result.train_score > 0.9
