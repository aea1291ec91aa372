"""Differences are found and named."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qdeploy.compiler import verify as verification
from qdeploy.compiler.verify import Implementation, compare, trial_inputs
from qdeploy.errors import QDeployError
from qdeploy.onnx import export


def test_trial_inputs_reach_the_limits_of_every_neuron(network):
    subject = network(20, 9, 2)
    x = trial_inputs(subject)
    assert x.dtype == np.int8
    layer = subject.layers[0]
    for weights in (layer.left, layer.right):
        dots = x.astype(np.int64) @ weights.T.astype(np.int64)
        largest = np.where(weights > 0, 127, -128) * weights.astype(np.int64)
        np.testing.assert_array_equal(dots.max(axis=0), largest.sum(axis=1))
    for value in (-128, 127):
        assert (x == value).all(axis=1).any()


def test_real_inputs_are_added(network):
    real = np.full((5, 3), 77, dtype=np.int8)
    assert (trial_inputs(network(3, 2, 1), real)[-5:] == real).all()


def test_the_first_difference_is_told(network):
    subject = network(6, 4, 3)
    x = trial_inputs(subject)
    expected = subject.forward(x)

    def broken(x):
        scores = subject.forward(x)
        scores[17, 2] += 1
        return scores

    message = (
        "verification failed in the quadratic layer and its readout: a machine differs from the "
        f"network's exact meaning: score 2 of sample 17 is {expected[17, 2] + 1}, "
        f"not {expected[17, 2]}"
    )
    with pytest.raises(QDeployError, match=message):
        compare(Implementation("a machine", broken), x, expected)


def test_another_type_is_a_difference(network):
    subject = network(6, 4, 3, amplitude=2**20)
    x = trial_inputs(subject)
    expected = subject.forward(x)
    assert expected.dtype == np.int64
    rounded = Implementation("a machine", lambda x: subject.forward(x).astype(np.float64))
    with pytest.raises(QDeployError, match="its scores are float64"):
        compare(rounded, x, expected)


@pytest.mark.parametrize(
    ("initializer", "layer"),
    [
        ("layer1_left_weights", r"layer 1 \(quadratic\)"),
        ("layer2_readout_weights", r"layer 2 \(readout\)"),
    ],
)
def test_the_layer_that_differs_in_onnxruntime_is_named(model, tmp_path, initializer, layer):
    subject = model(6, 4, 3)
    proto = export(subject)
    for tensor in proto.graph.initializer:
        if tensor.name == initializer:
            array = numpy_helper.to_array(tensor).copy()
            array.flat[0] += 1
            tensor.CopyFrom(numpy_helper.from_array(array, initializer))
    onnx.save(proto, tmp_path / "model.onnx")
    x = trial_inputs(subject.network)
    path = tmp_path / "model.onnx"
    implementation = verification.onnxruntime_implementation(subject.network, path)
    with pytest.raises(QDeployError, match=f"verification failed in {layer}: onnxruntime"):
        compare(implementation, x, subject.network.forward(x))
