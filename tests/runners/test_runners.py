"""Every runner gives the network's bits; libraries with equal names live side by side."""

import threading

import numpy as np
import pytest

from qdeploy.compiler import compile_model
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.runners import RUNNERS


def make_model(seed, inputs=7, neurons=5, outputs=3):
    rng = np.random.default_rng(seed)
    draw = lambda: rng.choice([-1, 1], (neurons, inputs))  # noqa: E731
    network = QuantizedNetwork(
        [
            QuadraticLayer(draw(), draw(), np.full(neurons, 32), np.full(neurons, -32)),
            ReadoutLayer(rng.integers(-99, 99, (neurons, outputs)), np.zeros(outputs, dtype=int)),
        ]
    )
    return Model("same_name", network, 1.0, Classes(("a", "b", "c")))


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Two models with the same name and other weights."""
    folder = tmp_path_factory.mktemp("artifacts")
    return [compile_model(make_model(seed), output=folder / str(seed)) for seed in range(2)]


def inputs(rows, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (rows, 7)).astype(np.int8)


@pytest.fixture(params=[each.name for each in RUNNERS.values() if each.family == "cpu"])
def runner(request):
    return RUNNERS[request.param]


def test_runners_say_what_they_are(runner):
    assert RUNNERS[runner.name] is runner
    assert runner.title


@pytest.mark.parametrize("rows", [0, 1, 5, 32, 33, 200])
def test_runners_give_the_networks_bits(runner, artifacts, rows):
    x = inputs(rows)
    for artifact in artifacts:
        scores = runner.open(artifact)(x)
        expected = artifact.model.network.forward(x)
        assert scores.dtype == expected.dtype
        np.testing.assert_array_equal(scores, expected)


def test_equal_names_do_not_clash(runner, artifacts):
    first, second = (runner.open(artifact) for artifact in artifacts)
    x = inputs(20)
    assert not np.array_equal(first(x), second(x))
    np.testing.assert_array_equal(first(x), artifacts[0].model.network.forward(x))


def test_inputs_of_any_layout(runner, artifacts):
    session, network = runner.open(artifacts[0]), artifacts[0].model.network
    x = inputs(40)
    read_only = x.copy()
    read_only.setflags(write=False)
    transposed = np.asfortranarray(x)
    for given in (x[::2], x[:, ::-1], transposed, read_only, x[1:2], x[::-1][:3]):
        np.testing.assert_array_equal(session(given), network.forward(given))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 8), dtype=np.int8),
        np.zeros(7, dtype=np.int8),
        np.zeros((2, 7), dtype=np.uint8),
        np.zeros((2, 7)),
    ],
)
def test_wrong_inputs_are_refused(runner, artifacts, wrong):
    with pytest.raises(QDeployError, match=r"takes an int8 array of shape \(n, 7\)"):
        runner.open(artifacts[0])(wrong)


def test_results_do_not_share_memory(runner, artifacts):
    session = runner.open(artifacts[0])
    first = session(inputs(1))
    before = first.copy()
    session(inputs(1, seed=1))
    np.testing.assert_array_equal(first, before)


def test_an_open_artifact_survives_a_new_one_in_its_place(runner, tmp_path):
    folder = tmp_path / "artifact"
    old = compile_model(make_model(3), output=folder)
    session, network = runner.open(old), old.model.network
    x = inputs(9)
    new = compile_model(make_model(4), output=folder, overwrite=True)
    np.testing.assert_array_equal(session(x), network.forward(x))
    np.testing.assert_array_equal(runner.open(new)(x), new.model.network.forward(x))


def test_threads_share_a_library(artifacts):
    session, network = RUNNERS["host"].open(artifacts[0]), artifacts[0].model.network
    failures = []

    def work(seed):
        for turn in range(200):
            x = inputs(1 + turn % 40, seed=1000 * seed + turn)
            if not np.array_equal(session(x), network.forward(x)):
                failures.append((seed, turn))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
