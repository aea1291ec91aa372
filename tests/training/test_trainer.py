"""Training as a whole: what it promises of models, certificates, options and refusals."""

import dataclasses
import re

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from qdeploy.certificate import dataset_digest
from qdeploy.checker import certify
from qdeploy.data import Dataset, dataset_from_arrays
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.onnx import load
from qdeploy.progress import ProgressEvent
from qdeploy.training.losses import losses
from qdeploy.training.selection import select_beta
from qdeploy.training.trainer import encode, train


@pytest.fixture(scope="module")
def cancer():
    """Breast cancer on ten features, so that proofs are exact and quick."""
    features, target = load_breast_cancer(return_X_y=True)
    return dataset_from_arrays(features[:, :10], target)


@pytest.fixture(scope="module")
def trained(cancer):
    return train(cancer, beta=10.0)


@pytest.fixture(scope="module")
def iris():
    return dataset_from_arrays(*load_iris(return_X_y=True))


def test_certificate_holds_and_is_tight(cancer, trained):
    certificate = trained.certificate
    assert certificate.method == "enumeration"
    assert 0 <= certificate.gap < 0.002
    check = certify(trained.model, cancer)
    assert check.holds, check.reason
    assert check.objective == pytest.approx(certificate.objective, rel=1e-12)
    assert check.bound >= certificate.bound


def test_objective_is_that_of_the_deployed_integers(cancer, trained):
    model, certificate = trained.model, trained.certificate
    scores = model.network.forward(model.quantizer.quantize(cancer.features))[:, 0]
    targets = np.where(cancer.target == 1, 1.0, -1.0)
    alpha = model.network.layers[1].weights * model.scale / certificate.input_step**2
    objective = 0.5 * np.sum((model.scale * scores - targets) ** 2)
    objective += certificate.penalty * np.abs(alpha).sum()
    assert certificate.objective == pytest.approx(objective, rel=1e-12)
    assert certificate.penalty == certificate.beta * (model.network.inputs + 1)


def test_weights_are_signs_and_the_readout_has_its_width(trained):
    quadratic, readout = trained.network.layers
    assert set(np.unique(quadratic.left)) | set(np.unique(quadratic.right)) == {-1, 1}
    assert set(np.unique(abs(quadratic.left_bias))) == {trained.certificate.constant}
    assert readout.weight_bits == 8
    pairs = np.hstack([quadratic.left, quadratic.left_bias[:, None]])
    both = np.hstack([pairs, quadratic.right, quadratic.right_bias[:, None]])
    assert len(np.unique(both, axis=0)) == len(both)


def test_the_same_seed_gives_the_same_model(cancer, trained):
    again = train(cancer, beta=10.0)
    for before, after in zip(trained.network.layers, again.network.layers, strict=True):
        for name in ("left", "right") if before.kind == "quadratic" else ("weights", "bias"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert again.certificate.bound == trained.certificate.bound


def test_history_begins_at_the_constant_and_ends_at_the_result(cancer, trained):
    first, last = trained.history[0], trained.history[-1]
    targets = np.where(cancer.target == 1, 1.0, -1.0)
    assert first.objective == pytest.approx(0.5 * len(targets) * targets.var())
    assert first.neurons == 0
    assert last.objective <= trained.certificate.objective
    assert last.bound == pytest.approx(trained.certificate.bound, rel=1e-12)
    bounds = [point.bound for point in trained.history]
    assert bounds == sorted(bounds)
    seconds = [point.seconds for point in trained.history]
    assert seconds == sorted(seconds)


def test_saved_model_is_the_trained_one(cancer, trained, tmp_path):
    path = trained.save(tmp_path / "model.onnx")
    loaded = load(path)
    np.testing.assert_array_equal(loaded.predict(cancer.features), trained.predict(cancer.features))
    assert certify(loaded, cancer).holds
    with pytest.raises(QDeployError, match="exists"):
        trained.save(path)


def test_narrow_readout_costs_and_says_so(cancer, trained):
    (wide,) = [width for width in trained.readout_widths if width.chosen]
    assert wide.bits == 8
    narrow = train(cancer, beta=10.0, readout_bits=3)
    assert narrow.network.layers[1].weights.max() <= 3
    assert narrow.network.layers[1].weights.min() >= -3
    assert narrow.certificate.objective > trained.certificate.objective
    assert any("readout" in sentence for sentence in narrow.advice)
    assert certify(narrow.model, cancer).holds


def test_budget_is_kept_and_its_cost_is_in_the_gap(cancer, trained):
    small = train(cancer, beta=10.0, neurons=4, mode="certified")
    assert small.network.layers[0].width <= 4
    assert small.certificate.gap > trained.certificate.gap
    assert small.certificate.bound == trained.certificate.bound
    assert any("budget of 4 neurons" in sentence for sentence in small.advice)
    assert certify(small.model, cancer).holds


def test_target_gap_is_proven_with_less_work(cancer):
    quick = train(cancer, beta=10.0, gap=0.2)
    assert quick.certificate.gap <= 0.2


def test_time_limit_leaves_a_valid_certificate(cancer):
    hurried = train(cancer, beta=10.0, time_limit=1e-3)
    assert certify(hurried.model, cancer).holds


def test_zero_network_is_optimal_above_the_largest_penalty(cancer):
    nothing = train(cancer, beta=1e6)
    assert not nothing.network.layers[1].weights.any()
    assert nothing.certificate.gap < 1e-5
    assert certify(nothing.model, cancer).holds
    assert any("zero network" in sentence for sentence in nothing.advice)


def test_several_processes_give_the_same_model_each_time(iris):
    first, second = (train(iris, beta=3.0, jobs=jobs).network for jobs in (2, 1))
    np.testing.assert_array_equal(first.layers[0].left, second.layers[0].left)
    np.testing.assert_array_equal(first.layers[1].weights, second.layers[1].weights)


@pytest.mark.parametrize("loss", losses.names())
def test_three_classes_share_their_neurons(iris, loss):
    result = train(iris, beta=2.0, loss=loss)
    assert result.network.outputs == 3
    assert result.model.head.labels == (0, 1, 2)
    assert result.train_score > 0.95
    assert result.certificate.gap < 0.01
    assert len(result.certificate.outputs) == 3
    assert certify(result.model, iris).holds


def test_regression_with_two_outputs():
    features, target = load_diabetes(return_X_y=True)
    dataset = dataset_from_arrays(features, np.stack([target, -2 * target + features[:, 2]], 1))
    result = train(dataset, beta=20.0)
    assert result.certificate.gap < 0.01
    assert 0.4 < result.train_score < 1
    assert result.predict(features).shape == (len(features), 2)
    assert certify(result.model, dataset).holds


def test_clarabel_in_place_of_the_low_rank_solver(cancer):
    result = train(cancer, beta=10.0, relaxation="clarabel")
    assert result.certificate.gap < 0.002


def test_cross_validation_chooses_beta_and_scaling(iris):
    stages = set()

    def note(event: ProgressEvent) -> None:
        stages.add(event.stage)

    result = train(iris, progress=note)
    selection = result.selection
    assert selection is not None
    assert result.certificate.beta == selection.beta
    assert selection.beta in selection.betas
    spread = np.sqrt(selection.errors.min() / len(iris.features))
    assert selection.error <= selection.errors.min() + 1.1 * spread
    assert {"choosing beta by cross-validation", "training the outputs"} <= stages


def test_selection_is_the_same_for_any_number_of_processes(iris):
    _, targets = encode(iris)
    inputs = InputQuantizer.fit(iris.features, iris.feature_names).quantize(iris.features)
    first, second = (
        select_beta(inputs.astype(np.int16), targets, losses["squared"], "classify", jobs=jobs)
        for jobs in (1, 2)
    )
    np.testing.assert_array_equal(first.errors, second.errors)


def test_contradictory_data_give_the_zero_network(iris):
    features = np.vstack([iris.features, iris.features])
    result = train(features, np.repeat([0, 1], len(iris.features)))
    assert not result.network.layers[1].weights.any()
    assert result.certificate.gap < 1e-6


def test_digest_ties_the_certificate_to_the_data(cancer, trained):
    inputs = trained.model.quantizer.quantize(cancer.features)
    targets = np.where(cancer.target == 1, 1.0, -1.0)[:, None]
    assert trained.certificate.data_digest == dataset_digest(inputs, targets)


def test_provenance_is_json_and_names_the_options(trained):
    provenance = trained.model.provenance
    assert provenance["options"]["seed"] == 0
    assert provenance["data"]["rows"] == 569
    assert re.fullmatch(r"\d+\.\d+.*", provenance["versions"]["numpy"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"beta": -1.0}, "beta must be"),
        ({"beta": float("nan")}, "beta must be"),
        ({"beta": "much"}, "beta must be"),
        ({"neurons": 0}, "neurons must be a whole number of at least 1, not 0"),
        ({"gap": 1.5}, "gap must be"),
        ({"time_limit": 0}, "time_limit must be a number above 0"),
        ({"readout_bits": 1}, "readout_bits must be 'auto' or a whole number from 2 up to"),
        ({"loss": "hinged"}, "unknown loss 'hinged'; choose one of"),
        ({"mode": "small"}, "mode must be 'certified' or 'compact', not 'small'"),
        ({"mode": "compact"}, "give one (--neurons, --max-bytes or --max-ops)"),
        ({"inputs": 3}, "fewer inputs are chosen in the compact mode"),
        ({"neurons": 3, "gap": 0.1}, "a target gap is for the certified mode"),
        ({"relaxation": "magic", "beta": 1.0}, "unknown relaxation 'magic'"),
        ({"y": np.zeros(569)}, "leave y out"),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(cancer, options, sentence):
    with pytest.raises(QDeployError, match=re.escape(sentence)):
        train(cancer, **options)


def test_arrays_need_a_target(cancer):
    with pytest.raises(QDeployError, match="give y"):
        train(cancer.features)


def test_loss_must_suit_the_task(cancer):
    numbers = dataclasses.replace(cancer, task="regress", target=cancer.features[:, 0])
    with pytest.raises(QDeployError, match=r"does not suit the task 'regress'.*squared"):
        train(numbers, loss="squared-hinge")


def test_constant_regression_target_is_refused():
    dataset = Dataset(
        np.arange(10.0)[:, None], np.full(10, 3.5), ("x",), ("y",), "regress", "arrays"
    )
    with pytest.raises(QDeployError, match="'y' does not vary"):
        train(dataset)
