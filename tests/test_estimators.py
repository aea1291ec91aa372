"""The scikit-learn estimators: its own checks, without exemption, and what users do with them."""

import doctest
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import qdeploy
from qdeploy import QDeployError, QuantizedClassifier, QuantizedRegressor
from qdeploy.data import dataset_from_arrays


@parametrize_with_checks([QuantizedClassifier(beta=0.5), QuantizedRegressor(beta=0.5)])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        QuantizedClassifier(),
        QuantizedRegressor(),
        QuantizedClassifier(beta=0.5, loss="hinge"),
        QuantizedClassifier(beta=0.5, loss="logistic"),
    ]
)
def test_scikit_learn_accepts_other_options(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def cancer():
    features, target = load_breast_cancer(return_X_y=True)
    return features[:, :6], target


def test_grid_search_over_a_pipeline(cancer):
    pipeline = make_pipeline(StandardScaler(), QuantizedClassifier(loss="logistic"))
    search = GridSearchCV(pipeline, {"quantizedclassifier__beta": [1.0, 20.0]}, cv=2)
    search.fit(*cancer)
    assert search.best_score_ > 0.88
    best = search.best_estimator_[-1]
    assert best.certificate_.gap < 0.02
    assert clone(best).get_params() == best.get_params()
    with pytest.raises(NotFittedError):
        clone(best).predict(cancer[0])


def test_regression_by_cross_validation():
    features, target = load_diabetes(return_X_y=True)
    scores = cross_val_score(QuantizedRegressor(beta=20.0), features, target, cv=3)
    assert scores.mean() > 0.4


def test_data_frames_give_their_names_and_are_held_to_them(cancer, tmp_path):
    features, target = cancer
    frame = pl.DataFrame(features, schema=[f"c{i}" for i in range(6)])
    model = QuantizedClassifier(beta=5.0).fit(frame, target)
    assert list(model.feature_names_in_) == frame.columns
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.select(reversed(frame.columns)))
    again = QuantizedClassifier.load(model.save(tmp_path / "model.onnx"))
    assert list(again.feature_names_in_) == frame.columns
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    np.testing.assert_array_equal(again.classes_, model.classes_)
    assert again.n_features_in_ == 6
    with pytest.raises(QDeployError, match="use QuantizedClassifier"):
        QuantizedRegressor.load(tmp_path / "model.onnx")


def test_weights_are_rows_and_the_certificate_is_proven_again(cancer):
    features, target = cancer
    weights = np.random.default_rng(0).integers(0, 3, len(target))
    model = QuantizedClassifier(beta=5.0, class_weight="balanced")
    weighted = clone(model).fit(features, target, sample_weight=weights)
    repeated = clone(model).fit(np.repeat(features, weights, axis=0), np.repeat(target, weights))
    np.testing.assert_array_equal(
        weighted.decision_function(features), repeated.decision_function(features)
    )
    dataset = dataset_from_arrays(features, target, sample_weight=weights)
    check = qdeploy.certify(weighted.model_, dataset)
    assert check.holds, check.reason


def test_text_labels_and_three_classes_with_a_budget():
    features, target = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)
    model = QuantizedClassifier(neurons=3, beta=1.0, time_limit=2.0).fit(features, names[target])
    assert model.model_.network.layers[0].width <= 3
    assert model.score(features, names[target]) > 0.9
    assert model.decision_function(features).shape == (150, 3)


def test_unusable_options_and_data_are_value_errors(cancer):
    with pytest.raises(ValueError, match="unknown loss"):
        QuantizedClassifier(loss="hinged").fit(*cancer)
    with pytest.raises(ValueError, match="single class"):
        QuantizedClassifier().fit(cancer[0], np.zeros(len(cancer[1])))
    with pytest.raises(ValueError, match=r"single.precision"):
        QuantizedClassifier().fit(cancer[0] * 1e300, cancer[1])


@pytest.mark.parametrize(
    "grid",
    [
        {"weights": ["ternary", "2-bit"], "penalty": ["size"]},
        {"activation": ["square", "0.09,0.5,0.47"]},
        {"readout_bits": [np.int64(6), "auto"], "input_shifts": ["learned"]},
        {"neurons": np.arange(1, 3), "time_limit": [np.float32(0.5)], "beta": [1.0]},
        {"neurons": [2], "ridge": ["auto", np.float64(0.05)], "time_limit": [0.5]},
        {"max_bytes": [40.0], "max_ops": [np.int32(30)], "time_limit": [0.5]},
        {"mode": ["certified"], "neurons": [2], "random_state": [np.int64(3)]},
    ],
    ids=["weights", "activation", "readout", "neurons", "ridge", "budgets", "mode"],
)
def test_grid_search_over_every_option(cancer, grid, tmp_path):
    """Values as numpy makes them, and what is found can be written."""
    features, target = cancer
    search = GridSearchCV(QuantizedClassifier(beta=5.0), grid, cv=2, error_score="raise")
    best = search.fit(features[:120], target[:120]).best_estimator_
    again = QuantizedClassifier.load(best.save(tmp_path / "model.onnx"))
    np.testing.assert_array_equal(again.predict(features), best.predict(features))


def test_outputs_by_grid_search():
    search = GridSearchCV(
        QuantizedClassifier(beta=5.0), {"outputs": ["separate", "shared"]}, cv=2,
        error_score="raise",
    )  # fmt: skip
    assert search.fit(*load_iris(return_X_y=True)).best_score_ > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaling": "pixel"}, "scaling must be 'auto', 'feature' or 'tensor', not 'pixel'"),
        ({"weights": "1-bit"}, "unknown weights '1-bit'"),
        ({"penalty": "width"}, "penalty must be 'count' or 'size'"),
        ({"activation": (1, 0, 0)}, "activation must be a text"),
        ({"activation": "1e-9,0,0"}, "from 1e-06 to 1e.06, not 1e-9,0,0"),
        ({"neurons": 2.5}, "neurons must be a whole number"),
        ({"neurons": 2, "weights": "ternary"}, "the certified mode"),
        ({"random_state": -1}, "seed must be a whole number"),
        ({"max_bytes": 3}, "no network fits 3 bytes"),
    ],
)
def test_every_unusable_option_is_a_value_error(cancer, options, message):
    with pytest.raises(ValueError, match=message):
        QuantizedClassifier(**options).fit(*cancer)


def test_the_example_of_the_documentation_runs():
    page = Path(__file__).parents[1] / "docs" / "training.md"
    assert doctest.testfile(str(page), module_relative=False).failed == 0
