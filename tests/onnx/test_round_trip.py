"""What is written comes back: every part of a model, labels of every kind, the same bytes."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.model import Classes, Model
from qdeploy.network import QuadraticLayer, QuantizedNetwork
from qdeploy.onnx import export, from_proto


def assert_same_array(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


def assert_same_model(found: Model, expected: Model) -> None:
    assert (found.name, found.scale, found.head) == (expected.name, expected.scale, expected.head)
    assert found.provenance == expected.provenance
    assert len(found.network.layers) == len(expected.network.layers)
    for layer, other in zip(found.network.layers, expected.network.layers, strict=True):
        assert type(layer) is type(other)
        for name in vars(other):
            assert_same_array(getattr(layer, name), getattr(other, name))
    assert found.network.accumulators == expected.network.accumulators
    if expected.quantizer is None:
        assert found.quantizer is None
    else:
        assert found.quantizer.feature_names == expected.quantizer.feature_names
        assert found.quantizer.zero_point == expected.quantizer.zero_point
        for name in ("kept", "offset", "scale"):
            assert_same_array(getattr(found.quantizer, name), getattr(expected.quantizer, name))
    if expected.certificate is None:
        assert found.certificate is None
        return
    plain = {k: v for k, v in vars(expected.certificate).items() if k != "outputs"}
    assert {k: v for k, v in vars(found.certificate).items() if k != "outputs"} == plain
    proofs = zip(found.certificate.outputs, expected.certificate.outputs, strict=True)
    for proof, other in proofs:
        assert (proof.objective, proof.bound) == (other.objective, other.bound)
        assert proof.norm_bound == other.norm_bound
        assert_same_array(proof.residual, other.residual)
        if other.multipliers is None:
            assert proof.multipliers is None
        else:
            assert_same_array(proof.multipliers, other.multipliers)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    inputs=st.integers(1, 20),
    neurons=st.integers(1, 6),
    outputs=st.integers(1, 4),
    readout=st.sampled_from([0, 127, 2**31 - 1]),
    regression=st.booleans(),
    front=st.booleans(),
    tail=st.booleans(),
    dropped=st.integers(0, 2),
)
def test_a_model_comes_back_as_it_was(
    random_model, seed, inputs, neurons, outputs, readout, regression, front, tail, dropped
):
    model = random_model(
        seed, inputs, neurons, outputs, readout=readout, regression=regression, dropped=dropped
    )
    content = export(model, front=front, tail=tail).SerializeToString()
    back = from_proto(onnx.ModelProto.FromString(content))
    assert_same_model(back, model)
    assert export(back, front=front, tail=tail).SerializeToString() == content


@pytest.mark.parametrize(
    "labels",
    [
        (0, 1, 2),
        (True, False),
        ("a", "b"),
        ("0", "1", "2"),
        (0.1, 1.0, -0.0),
        (2**53, 2**63, -(2**80)),
        (1, "1"),
        ("", "ünï\n😀"),
    ],
)
def test_labels_keep_their_kind(random_model, labels):
    outputs = 1 if len(labels) == 2 else len(labels)
    back = from_proto(export(random_model(outputs=outputs, labels=labels)))
    assert back.head.labels == labels
    assert [type(label) for label in back.head.labels] == [type(label) for label in labels]


def test_a_model_without_quantizer_certificate_and_provenance_comes_back():
    network = QuantizedNetwork([QuadraticLayer([[1, -1]], [[1, 1]], [3], [-3])])
    model = Model("bare", network, 0.1, Classes(("a", "b")))
    assert_same_model(from_proto(export(model, tail=True)), model)
