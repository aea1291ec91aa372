"""Every method keeps to its constraint, and its figures are those of what would be deployed."""

from fractions import Fraction

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine

from qdeploy.comparison import BASELINES, Plan, Setting
from qdeploy.comparison.baselines.sampler import _Relaxed, _shares
from qdeploy.comparison.float_network import FloatNeurons, rounded
from qdeploy.comparison.integers import problems_of
from qdeploy.comparison.runs import Run, carry_out
from qdeploy.comparison.summary import proven_gap
from qdeploy.data import dataset_from_arrays, split
from qdeploy.training.relaxations import relaxations
from qdeploy.training.trainer import encode

WIDTH = 3
PLAN = Plan((WIDTH,), 1, BASELINES.names(), 0.3, 2.0, 0.25, "feature")
NETWORKS = [name for name in BASELINES.names() if BASELINES[name].family != "float"]
WIDTH_BOUND = [name for name in BASELINES.names() if BASELINES[name].width_bound]
FLOAT = [name for name in BASELINES.names() if BASELINES[name].family == "float"]


@pytest.fixture(scope="module")
def datasets():
    wine, cancer = load_wine(), load_breast_cancer()
    return {
        "three classes": dataset_from_arrays(wine.data[:, :5], wine.target),
        "two classes": dataset_from_arrays(cancer.data[:150, :4], cancer.target[:150]),
    }


def setting_of(dataset, name):
    width = WIDTH if BASELINES[name].width_bound else None
    train, test = split(dataset, 0.25, 0)
    return Setting(train, width, PLAN.seconds, PLAN.proof_seconds, 0, "feature"), test


@pytest.fixture(scope="module")
def fitted(datasets):
    """Every method on every data set, trained once."""
    found = {}
    for kind, dataset in datasets.items():
        for name in BASELINES.names():
            setting, test = setting_of(dataset, name)
            found[kind, name] = setting, BASELINES[name].fit(setting), test
    return found


def exact_scores(model, features):
    """Scores as xᵀMx with M = Σ A_j u_j v_jᵀ over the lifted inputs, in Python integers."""
    layer, readout = model.network.layers
    left = np.hstack([layer.left, layer.left_bias[:, None] // 32]).astype(object)
    right = np.hstack([layer.right, layer.right_bias[:, None] // 32]).astype(object)
    inputs = model.quantizer.quantize(features).astype(object)
    lifted = np.hstack([inputs, np.full((len(inputs), 1), 32, dtype=object)])
    scores = np.empty((len(lifted), readout.width), dtype=object)
    for k in range(readout.width):
        matrix = (left * readout.weights.astype(object)[:, k : k + 1]).T @ right
        scores[:, k] = [x @ matrix @ x + int(readout.bias[k]) for x in lifted]
    return scores


@pytest.mark.parametrize("kind", ["two classes", "three classes"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_weights_of_one_and_no_more_neurons_than_allowed(kind, name, fitted):
    _, found, _ = fitted[kind, name]
    layer, readout = found.model.network.layers
    for signs in (layer.left, layer.right):
        assert set(np.unique(signs)) <= {-1, 1}
    for bias in (layer.left_bias, layer.right_bias):
        assert set(np.unique(bias)) <= {-32, 32}
    assert np.abs(readout.weights).max() <= 127
    if BASELINES[name].width_bound:
        assert layer.width <= WIDTH


@pytest.mark.parametrize("kind", ["two classes", "three classes"])
@pytest.mark.parametrize("name", WIDTH_BOUND)
def test_methods_of_given_width_see_the_same_inputs(kind, name, fitted):
    setting, found, _ = fitted[kind, name]
    assert (found.model.quantizer.kept == setting.quantizer.kept).all()
    if BASELINES[name].family == "network":
        assert (found.model.quantizer.scale == setting.quantizer.scale).all()


@pytest.mark.parametrize("kind", ["two classes", "three classes"])
@pytest.mark.parametrize("name", BASELINES.names())
def test_figures_are_those_of_the_deployed_network(kind, name, fitted, monkeypatch, datasets):
    setting, found, test = fitted[kind, name]
    monkeypatch.setattr(type(BASELINES[name]), "fit", lambda self, setting: found)
    result = carry_out(datasets[kind], PLAN, Run(name, setting.neurons, 0))
    assert result.test_accuracy == np.mean(found.predict(test.features) == test.target)
    assert (result.train_rows, result.test_rows) == (len(setting.dataset.target), len(test.target))
    if BASELINES[name].family == "float":
        assert (result.loss, result.size, result.bound, result.width) == (None,) * 4
        assert result.bytes > 0
        return
    model, (_, targets) = found.model, encode(setting.dataset)
    scale = Fraction(model.scale)
    scores = exact_scores(model, setting.dataset.features)
    loss = sum(
        (scale * score - Fraction(target)) ** 2 / 2
        for score, target in zip(scores.ravel(), targets.ravel(), strict=True)
    )
    assert result.loss == pytest.approx(float(loss), rel=1e-9)
    layer, readout = model.network.layers
    total = sum(abs(int(weight)) for weight in readout.weights.ravel())
    assert result.size == pytest.approx(total * model.scale * 1024, rel=1e-12)
    bits = 2 * layer.left.size
    outputs = readout.width
    wide = 8 if model.network.score_dtype == "int64" else 4
    assert result.bytes == -(-bits // 8) + 8 * layer.width + readout.weights.size + wide * outputs


@pytest.mark.parametrize("name", BASELINES.names())
def test_what_is_claimed_of_the_gap_holds_by_the_checked_bound(name, fitted, datasets, monkeypatch):
    """No network on the same inputs is below the certified bound; others claim nothing of it."""

    def result_of(method):
        setting, found, _ = fitted["two classes", method]
        monkeypatch.setattr(type(BASELINES[method]), "fit", lambda self, setting: found)
        return carry_out(datasets["two classes"], PLAN, Run(method, setting.neurons, 0))

    reference, result = result_of("certified"), result_of(name)
    gap = proven_gap(result, reference)
    if BASELINES[name].family == "float":
        assert gap is None
        return
    proof = result if result.bound is not None else reference
    objective = result.loss + proof.penalty * result.size
    assert proof.bound <= objective * (1 + 1e-12)
    assert objective * (1 - gap) <= proof.bound * (1 + 1e-12)
    if BASELINES[name].family != "ours":
        assert proven_gap(result, None) is None
        other = result_of("certified")
        assert proven_gap(result, type(other)(**{**vars(other), "digest": "another"})) is None


@pytest.mark.parametrize("name", BASELINES.names())
def test_every_method_learns_something(name, fitted):
    setting, found, _ = fitted["two classes", name]
    target = setting.dataset.target
    most_common = max(np.mean(target == label) for label in np.unique(target))
    # A sample of three neurons of equal amplitudes may well be no better than a constant.
    slack = 0.35 if name in ("sampler", "rounded") else 0.0
    assert np.mean(found.predict(setting.dataset.features) == target) > most_common - slack


@pytest.mark.parametrize("name", BASELINES.names())
def test_methods_describe_themselves(name):
    baseline = BASELINES[name]
    assert baseline.name == name
    assert baseline.label
    assert not baseline.about.endswith(".")


def test_the_sampler_is_the_relaxation_on_average(datasets):
    setting, _ = setting_of(datasets["three classes"], "sampler")
    problems = problems_of(setting, penalty=20.0)
    solutions = [relaxations["low-rank"].solve(problem, seed=1) for problem in problems]
    relaxed = _Relaxed(solutions, [4, 4, 4])
    generator = np.random.default_rng(0)
    draws = [relaxed.draw(generator).predict(problems[0].inputs) for _ in range(500)]
    expected = np.stack([solution.predictions for solution in solutions], axis=1)
    error = np.abs(np.mean(draws, axis=0) - expected)
    assert (error < 5 * np.std(draws, axis=0) / np.sqrt(len(draws)) + 1e-3).all()


@pytest.mark.parametrize(
    ("sizes", "count", "shares"),
    [
        ([1.0, 1.0, 2.0], 4, [1, 1, 2]),
        ([0.0, 3.0], 5, [0, 5]),
        ([1.0, 1.0, 1.0], 2, [1, 1, 0]),
        ([0.0, 0.0], 2, [1, 1]),
    ],
)
def test_outputs_share_the_neurons(sizes, count, shares):
    assert _shares(np.array(sizes), count) == shares


def test_rounding_keeps_a_network_whose_weights_have_one_size(datasets):
    setting, _ = setting_of(datasets["three classes"], "rounded")
    problem = setting.rows.problem(np.ones(setting.rows.dimension), 1e-2)
    generator = np.random.default_rng(3)
    shape = (WIDTH, problem.inputs.shape[1])
    neurons = FloatNeurons(*(0.3 * generator.choice([-1.0, 1.0], shape) for _ in range(2)))
    network = rounded(problem, neurons)
    inputs = problem.inputs * np.sqrt(shape[1])
    with_readout = neurons.features(problem) @ (network.weights * shape[1] / 0.09)
    assert network.predict(inputs) == pytest.approx(with_readout + network.intercepts)
