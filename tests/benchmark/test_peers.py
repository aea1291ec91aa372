import dataclasses

import numpy as np
import pytest

from qdeploy.benchmark.figures import METRICS
from qdeploy.benchmark.peers import PEERS
from qdeploy.benchmark.subjects import make_context
from qdeploy.data.dataset import Dataset
from qdeploy.errors import QDeployError


@pytest.fixture(scope="module")
def context(artifact, tiny):
    return make_context(artifact, tiny[1])


@pytest.fixture(scope="module", params=PEERS.names())
def peer(request, context):
    peer = PEERS[request.param]
    assert peer.name == request.param
    if peer.obstacle(context) is not None:
        pytest.skip(peer.obstacle(context))
    return peer


@pytest.fixture(scope="module")
def prepared(peer, context):
    with peer.prepare(context) as prepared:
        yield prepared


def test_scores_are_the_models(peer, prepared, context):
    if not peer.exact:
        pytest.skip("a float model has no integer scores")
    for count in (1, 8, 33):
        x = context.inputs[:count]
        np.testing.assert_array_equal(prepared.run(x), context.model.network.forward(x))


def test_predictions_are_of_the_kind_that_the_target_is(prepared, context):
    predictions = prepared.predict(context.test.features)
    assert predictions.shape == context.test.target.shape
    assert set(predictions) <= set(context.train.target)


@pytest.mark.parametrize("batch", [1, 8])
def test_native_timers_count_and_write_the_scores(prepared, context, batch):
    inputs = context.inputs[: 4 * batch].reshape(4, batch, -1)
    native = prepared.native(inputs)
    if native is None:
        pytest.skip("no native call")
    samples = native.timer.measure(calls=3, groups=5, warm_seconds=1e-5)
    assert samples.shape == (5,)
    assert (samples > 0).all()
    assert native.note
    if native.scores is not None:
        native.timer.measure(calls=1, groups=1)
        np.testing.assert_array_equal(native.scores, context.model.network.forward(inputs[0]))


def test_sizes_are_positive_bytes(prepared):
    for metric, size in prepared.sizes().items():
        assert METRICS[metric].unit == "B"
        assert size.bytes >= 0
        assert size.note


def test_it_has_a_title(peer, context):
    assert peer.title(context)


@pytest.mark.parametrize("name", ["sklearn-linear", "sklearn-rbf-svm", "sklearn-mlp"])
def test_float_models_learn_numbers_too(name, context):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 3))
    target = features @ [1.0, -2.0, 0.5] + 7
    rows = Dataset(features, target, ("a", "b", "c"), ("y",), "regress", "made up")
    regression = dataclasses.replace(context, train=rows, test=rows, features=features)
    with PEERS[name].prepare(regression) as prepared:
        error = prepared.predict(features) - target
    assert np.var(error) < 0.1 * np.var(target)


def test_a_session_that_onnxruntime_refuses_is_one_sentence():
    from qdeploy.benchmark.onnxruntime_api import NativeSession, find_library

    library = find_library()
    if library is None:
        pytest.skip("this wheel brings no library")
    with pytest.raises(QDeployError, match="onnxruntime refused the model"):
        NativeSession(library, b"not a model", threads=1)
