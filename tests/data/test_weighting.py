"""Sample and class weights: what is accepted, what they mean, and that they reach the proof."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.utils.class_weight import compute_class_weight

from qdeploy.checker import certify
from qdeploy.data import (
    dataset_from_arrays,
    merge_rows,
    read_dataset,
    split,
    with_class_weight,
)
from qdeploy.errors import QDeployError
from qdeploy.training.losses import losses
from qdeploy.training.trainer import train


@pytest.fixture(scope="module")
def rows():
    features, target = load_breast_cancer(return_X_y=True)
    weights = np.random.default_rng(0).integers(0, 4, 200).astype(float)
    return features[:200, :6], target[:200], weights


def test_rows_of_weight_zero_are_no_rows(rows):
    features, target, weights = rows
    dataset = dataset_from_arrays(features, target, sample_weight=weights)
    np.testing.assert_array_equal(dataset.features, features[weights > 0])
    np.testing.assert_array_equal(dataset.weights, weights[weights > 0])


def test_merging_makes_weights_of_repetitions(rows):
    features, target, weights = rows
    weighted = merge_rows(dataset_from_arrays(features, target, sample_weight=weights))
    counts = weights.astype(int)
    repeated = merge_rows(
        dataset_from_arrays(np.repeat(features, counts, axis=0), np.repeat(target, counts))
    )
    for name in ("features", "target", "weights"):
        np.testing.assert_array_equal(getattr(weighted, name), getattr(repeated, name))


def test_balanced_is_that_of_scikit_learn(rows):
    features, target, _ = rows
    dataset = with_class_weight(dataset_from_arrays(features, target), "balanced")
    expected = compute_class_weight("balanced", classes=np.unique(target), y=target)
    np.testing.assert_allclose(dataset.weights, expected[target])


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.ones(3), "one number a row"),
        (-np.ones(200), "row 1: -1 is no weight"),
        (np.full(200, np.nan), "row 1: nan is no weight"),
        (np.zeros(200), "every weight is zero"),
        (np.full(200, 1e200), "1e\\+200 is no weight"),
    ],
)
def test_impossible_weights_are_refused(rows, weights, sentence):
    with pytest.raises(QDeployError, match=sentence):
        train(rows[0], rows[1], sample_weight=weights)


@pytest.mark.parametrize(
    ("class_weight", "sentence"),
    [
        ("even", "'balanced' or weights"),
        ({3: 1.0}, "no class 3; there are 0, 1"),
        ({0: -1.0}, "of 0 must be a number"),
        ({0: "x"}, "of 0 must be a number"),
    ],
)
def test_impossible_class_weights_are_refused(rows, class_weight, sentence):
    with pytest.raises(QDeployError, match=sentence):
        train(rows[0], rows[1], class_weight=class_weight)


@pytest.mark.parametrize("loss", losses.names())
def test_weighted_training_is_proven_again(rows, loss):
    features, target, weights = rows
    dataset = dataset_from_arrays(features, target, sample_weight=weights)
    result = train(dataset, beta=2.0, loss=loss, class_weight={"0": 2.5})
    assert 0 <= result.certificate.gap < 0.02
    check = certify(result.model, dataset)
    assert check.holds, check.reason
    assert not certify(result.model, dataset_from_arrays(features, target)).holds


def test_balanced_classes_are_proven_again_on_a_split(rows):
    dataset = dataset_from_arrays(*rows[:2])
    part, _ = split(dataset, 0.25, 3)
    result = train(part, beta=2.0, class_weight="balanced")
    model = result.model
    model.provenance["split"] = {"test_size": 0.25, "seed": 3}
    assert certify(model, dataset).holds
    model.provenance["options"]["class_weight"] = {"0": 1.5}
    assert "rows differ" in certify(model, dataset).reason


def test_merged_rows_are_recognised():
    features, target = load_diabetes(return_X_y=True)
    dataset = dataset_from_arrays(
        np.repeat(features[:40], 2, axis=0), np.repeat(target[:40], 2), task="regress"
    )
    result = train(merge_rows(dataset), beta=2.0)
    assert certify(result.model, dataset).holds


@pytest.mark.parametrize("loss", losses.names())
def test_compact_networks_heed_weights(rows, loss):
    features, target, _ = rows
    weights = np.where(target == 0, 20.0, 0.05)
    result = train(
        features, target, sample_weight=weights, neurons=2, loss=loss, beta=1.0, jobs=1,
        scaling="feature", time_limit=1.5,
    )  # fmt: skip
    assert (result.predict(features)[target == 0] == 0).mean() > 0.97
    dataset = dataset_from_arrays(features, target, sample_weight=weights)
    assert certify(result.model, dataset).holds


def test_weights_are_a_column_of_a_table_or_an_array_of_an_archive(tmp_path, rows):
    features, target, weights = rows
    table = tmp_path / "rows.csv"
    lines = ["a,b,w,y"]
    lines += [f"{f[0]},{f[1]},{w},{y}" for f, y, w in zip(features, target, weights, strict=True)]
    table.write_text("\n".join(lines))
    read = read_dataset(table, label="y", sample_weight="w")
    assert read.feature_names == ("a", "b")
    np.testing.assert_array_equal(read.weights, weights[weights > 0])
    np.savez(tmp_path / "rows.npz", X=features, y=target, sample_weight=weights)
    read = read_dataset(tmp_path / "rows.npz", sample_weight="sample_weight")
    np.testing.assert_array_equal(read.weights, weights[weights > 0])
    with pytest.raises(QDeployError, match="no column 'v'"):
        read_dataset(table, label="y", sample_weight="v")
