"""Budgets of bytes and operations: kept to the last byte, chosen on held-out rows, proven."""

import signal
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_iris

from qdeploy import QuantizedClassifier
from qdeploy.checker import certify
from qdeploy.data import dataset_from_arrays
from qdeploy.errors import QDeployError
from qdeploy.inspection import cost, describe
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.onnx import load
from qdeploy.training import budgets
from qdeploy.training.budgets import MOST_NEURONS, Size, sizes_within
from qdeploy.training.options import Options
from qdeploy.training.trainer import train

PLAIN = Options(
    task="classify",
    loss="squared",
    mode=None,
    beta=1.0,
    neurons=None,
    inputs=None,
    gap=None,
    time_limit=None,
    scaling="feature",
    readout_bits=8,
    relaxation="low-rank",
    seed=0,
    jobs=1,
)


@pytest.fixture(scope="module")
def cancer():
    features, target = load_breast_cancer(return_X_y=True)
    return dataset_from_arrays(features[:60, :4], target[:60])


@pytest.fixture(scope="module")
def small(cancer):
    return train(cancer, max_bytes=30, scaling="feature", jobs=1)


def network_of(neurons, inputs, outputs, bits, seed):
    """A network of this size; whatever its numbers are, it costs no more than was foreseen."""
    generator = np.random.default_rng(seed)
    left, right = generator.choice([-1, 1], (2, neurons, inputs)).astype(np.int8)
    biases = generator.choice([-32, 32], (2, neurons))
    largest = 2 ** (bits - 1) - 1
    weights = generator.integers(-largest, largest + 1, (neurons, outputs))
    bias = generator.integers(-(2**20), 2**20, outputs)
    return QuantizedNetwork([QuadraticLayer(left, right, *biases), ReadoutLayer(weights, bias)])


def test_cost_is_what_inspect_shows():
    for seed, (neurons, inputs) in enumerate([(1, 1), (3, 5), (40, 4)]):
        network = network_of(neurons, inputs, 2, 8, seed)
        counted = cost(network)
        # a bit for each of two signs an input, two 32-bit biases a neuron, a byte a weight
        readout = network.layers[1].weights.size + network.layers[1].bias.size * (
            8 if network.score_dtype == "int64" else 4
        )
        assert counted.bytes == -(-2 * neurons * inputs // 8) + 8 * neurons + readout
        pair_sums = neurons * (inputs + 1) + neurons + 2 * neurons
        collapsed = 2 * (inputs + 1) * (inputs + 2) // 2
        assert counted.operations == min(pair_sums, collapsed)
        assert counted.form == ("pair_sums" if pair_sums <= collapsed else "collapsed")


@given(
    max_bytes=st.integers(1, 1500),
    max_ops=st.none() | st.integers(1, 5000),
    neurons=st.none() | st.integers(1, 40),
    limit=st.none() | st.integers(1, 50),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 4),
    bits=st.sampled_from([4, 8, 12, 16]),
)
@settings(max_examples=30, deadline=None)
def test_sizes_fit_and_one_more_neuron_does_not(
    max_bytes, max_ops, neurons, limit, inputs, outputs, bits
):
    options = replace(
        PLAIN,
        neurons=neurons,
        inputs=limit,
        max_bytes=max_bytes,
        max_ops=max_ops,
        readout_bits=bits,
    )

    def fits(size):
        counted = cost(network_of(size.neurons, size.inputs, outputs, bits, seed=size.neurons))
        return counted.bytes <= max_bytes and (max_ops is None or counted.operations <= max_ops)

    most = neurons or MOST_NEURONS
    least = budgets._cost(Size(1, 1), outputs, options)
    if not budgets._fits(least, options):
        with pytest.raises(QDeployError, match="the smallest, one neuron on one input, takes"):
            sizes_within(options, inputs, outputs)
        return
    sizes = sizes_within(options, inputs, outputs)
    assert len(set(sizes)) == len(sizes)
    for size in sizes:
        assert fits(size)
        assert 1 <= size.neurons <= most
        assert 1 <= size.inputs <= min(inputs, limit or inputs)
    counted = budgets._cost(replace(sizes[0], neurons=sizes[0].neurons + 1), outputs, options)
    assert sizes[0].neurons == most or not budgets._fits(counted, options)


def test_a_budget_of_bytes_is_kept_and_what_is_proven_holds(cancer, small, tmp_path):
    assert small.mode == "compact"
    assert cost(small.network).bytes <= 30
    assert small.model.provenance["options"]["max_bytes"] == 30
    loaded = load(small.save(tmp_path / "small.onnx"))
    assert describe(loaded).deployed_bytes == cost(small.network).bytes
    check = certify(loaded, cancer)
    assert check.holds, check.reason
    assert check.loss == pytest.approx(small.within_size.loss, rel=1e-12)
    assert check.loss_bound == pytest.approx(small.within_size.bound, rel=1e-6)
    assert 0 < small.within_size.gap < 1


def test_the_same_seed_gives_the_same_network(cancer, small):
    again = train(cancer, max_bytes=30, scaling="feature", jobs=1)
    for mine, other in zip(small.network.layers, again.network.layers, strict=True):
        for name, array in vars(mine).items():
            assert np.array_equal(array, vars(other)[name])


def test_operations_of_several_outputs_and_all_budgets_together():
    iris = dataset_from_arrays(*load_iris(return_X_y=True))
    options = {"max_bytes": 70, "max_ops": 40, "neurons": 9, "inputs": 3, "time_limit": 2}
    model = train(iris, scaling="feature", jobs=1, **options).model
    counted = cost(model.network)
    assert counted.bytes <= 70
    assert counted.operations <= 40
    assert model.network.inputs <= 3
    assert model.network.layers[0].width <= 9
    assert model.score(iris.features, iris.target) > 0.9


def test_held_out_rows_decide(cancer, monkeypatch):
    """The size that is trained at last is the one with the fewest errors, not the first."""
    asked = []

    def trained(dataset, targets, loss, options, progress, began):
        asked.append((Size(options.neurons, options.inputs), len(targets)))
        return original(dataset, targets, loss, options, progress, began)

    original = budgets.train_compact
    monkeypatch.setattr(budgets, "train_compact", trained)
    errors = iter([(5.0, 1.0), (3.0, 2.0), (3.0, 1.5)])
    monkeypatch.setattr(budgets._Comparison, "_error", lambda *_: next(errors))
    train(cancer, max_bytes=60, scaling="feature", jobs=1, time_limit=2)
    sizes = sizes_within(replace(PLAIN, max_bytes=60), 4, 1)
    assert asked == [(sizes[2], len(cancer.features))]


def test_no_network_is_that_small(cancer):
    with pytest.raises(QDeployError, match=r"no network fits 9 bytes \(--max-bytes\) and 2 oper"):
        train(cancer, max_bytes=9, max_ops=2)
    with pytest.raises(QDeployError, match="takes 14 bytes and 3 operations"):
        train(cancer, max_bytes=13)


def test_budgets_are_for_the_compact_mode(cancer):
    with pytest.raises(QDeployError, match="budgets of the compact mode"):
        train(cancer, max_ops=100, mode="certified")
    with pytest.raises(QDeployError, match="max_bytes must be a whole number"):
        train(cancer, max_bytes=0)
    with pytest.raises(QDeployError, match="--max-bytes"):
        train(cancer, mode="compact")


def test_an_interruption_while_sizes_are_compared_still_gives_a_network(
    cancer, monkeypatch, interruptible
):
    monkeypatch.setattr(budgets, "QUICK", 0.5)
    compared = []

    def progress(event):
        if event.stage == "comparing sizes on held-out rows":
            compared.append(event.completed)
        if len(compared) == 2:
            compared.append("interrupted")
            signal.raise_signal(signal.SIGINT)

    result = train(cancer, max_bytes=30, scaling="feature", jobs=1, progress=progress)
    assert compared == [0, 1, "interrupted"]
    assert cost(result.network).bytes <= 30
    assert certify(result.model, cancer).holds
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_estimators_take_the_budgets(cancer):
    model = QuantizedClassifier(max_bytes=30, scaling="feature", time_limit=1)
    fitted = model.fit(cancer.features, cancer.target)
    assert cost(fitted.model_.network).bytes <= 30


def test_a_readout_that_is_chosen_too_wide_is_solved_again_within_the_budget(monkeypatch):
    """Eight bits are counted with where training is to choose; sixteen need more bytes."""
    from qdeploy.training import readout

    monkeypatch.setattr(readout, "ENOUGH", -1.0)
    features, labels = load_iris(return_X_y=True)
    free = train(features, labels, neurons=4, readout_bits="auto", beta=1.0, time_limit=1.0)
    assert [width.bits for width in free.readout_widths if width.chosen] == [16]
    most = cost(free.network).bytes - 1
    result = train(
        features, labels, max_bytes=most, readout_bits="auto", beta=1.0, time_limit=2.0, jobs=1
    )
    assert cost(result.network).bytes <= most
