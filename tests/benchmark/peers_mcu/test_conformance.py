"""Every peer, on every kind of task: its C means what its Python reference means."""

import numpy as np
import pytest

from qdeploy.benchmark.peers_mcu import MCU_PEERS

TASKS = ("two classes", "three classes", "one number", "several numbers")
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "rv32imc")


@pytest.fixture(scope="module")
def subjects(contexts):
    made = {}

    def prepare(name, task):
        peer, context = MCU_PEERS[name], contexts[task]
        if (obstacle := peer.obstacle(context)) is not None:
            pytest.skip(obstacle)
        if name == "tvm-default" and context.train.task == "regress":
            pytest.skip("the model under test is a classifier")
        if (name, task) not in made:
            made[name, task] = peer.prepare(context)
        return made[name, task], context.test

    return prepare


def check(subject, test, outputs):
    """The outputs against both references."""
    x = subject.encode(test.features)
    if subject.expected is not None:
        np.testing.assert_array_equal(outputs, subject.expected(x))
    predictions, reference = subject.decode(outputs), subject.reference(test.features)
    assert predictions.shape == test.target.shape
    if test.task == "classify":
        np.testing.assert_array_equal(predictions, reference)
        assert set(predictions.tolist()) <= set(test.target.tolist())
    else:
        np.testing.assert_allclose(predictions, reference, atol=1e-4 * test.target.std())


@pytest.mark.parametrize("name", MCU_PEERS.names())
@pytest.mark.parametrize("task", TASKS)
def test_c_gives_the_reference(name, task, subjects, host):
    subject, test = subjects(name, task)
    check(subject, test, host(subject, subject.encode(test.features)))


@pytest.mark.parametrize("name", MCU_PEERS.names())
def test_c_gives_the_reference_on_a_core(name, subjects, emulated):
    subject, test = subjects(name, "two classes")
    check(subject, test, emulated(subject, subject.encode(test.features), "cortex-m4"))


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["zig", "gcc"])
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("task", TASKS[:3])
@pytest.mark.parametrize("name", MCU_PEERS.names())
def test_c_gives_the_reference_on_every_core(name, task, core, compiler, subjects, emulated):
    subject, test = subjects(name, task)
    check(subject, test, emulated(subject, subject.encode(test.features), core, compiler))


@pytest.mark.parametrize("name", MCU_PEERS.names())
def test_a_second_fit_gives_the_same_sources(name, subjects, contexts):
    subject, _ = subjects(name, "two classes")
    again = MCU_PEERS[name].prepare(contexts["two classes"])
    assert subject.sources == again.sources


@pytest.mark.parametrize("name", MCU_PEERS.names())
def test_it_says_what_it_is(name, subjects):
    peer = MCU_PEERS[name]
    subject, _ = subjects(name, "two classes")
    assert peer.name == subject.name == name
    assert subject.title
    assert "from the caller" in subject.note


@pytest.mark.parametrize("name", sorted(set(MCU_PEERS.names()) - {"tvm-default"}))
def test_without_rows_it_cannot_take_part(name, without_training):
    assert MCU_PEERS[name].obstacle(without_training)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("linear-int8", 0.95),
        ("mlp-int8", 0.85),
        ("mlp-int8-8", 0.85),
        ("m2cgen-linear", 0.95),
        ("emlearn-mlp", 0.85),
        ("emlearn-trees", 0.4),
    ],
)
def test_it_learns_a_number(name, least, subjects):
    subject, test = subjects(name, "one number")
    error = subject.reference(test.features) - test.target
    assert 1 - (error**2).mean() / test.target.var() > least
