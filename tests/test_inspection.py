import json

import numpy as np
import pytest

from qdeploy.certificate import Certificate, OutputCertificate
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.inspection import LayerDescription, Operations, describe
from qdeploy.model import Classes, Model, Numbers
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

SIGNS = QuadraticLayer([[1, -1, 1], [-1, -1, 1]], [[1, 1, -1], [1, 1, 1]], [32, -32], [-32, 32])


def model(*layers, **parts) -> Model:
    network = QuantizedNetwork(layers)
    if network.outputs == 1:
        head = Classes(("no", "yes"))
    else:
        head = Classes(tuple(range(network.outputs)), network.outputs)
    return Model("example", network, 0.25, **{"head": head, **parts})


def test_a_network_of_signs():
    found = describe(model(SIGNS, ReadoutLayer([[3, -1, 0], [-2, 300, 0]], [1, 2, 3])))
    assert found.layers == (
        LayerDescription(
            kind="quadratic",
            inputs=3,
            width=2,
            weights=12,
            levels={-1: 4, 1: 8},
            smallest=-1,
            largest=1,
            bits=1,
            weight_bytes=2,
            bias_bytes=16,
            accumulators={"dot": "int32", "product": "int32"},
        ),
        LayerDescription(
            kind="readout",
            inputs=2,
            width=3,
            weights=6,
            levels={-2: 1, -1: 1, 0: 2, 3: 1, 300: 1},
            smallest=-2,
            largest=300,
            bits=16,
            weight_bytes=12,
            bias_bytes=12,
            accumulators={"sum": "int32"},
        ),
    )
    # four terms a neuron (the bias is one), two neurons, two products, six readout weights
    assert found.operations == {
        "matrix": Operations(0, 2 * 8 + 2 + 6),
        "pair_sums": Operations(8, 2 + 6),
        "collapsed": Operations(0, 3 * 10),
    }
    assert found.deployed_bytes == 2 + 16 + 12 + 12
    assert (found.inputs, found.outputs, found.neurons) == (3, 3, 2)
    assert (found.score_type, found.scale, found.labels) == ("int32", 0.25, (0, 1, 2))
    assert (found.features, found.certificate, found.file_bytes) == (None, None, None)


def test_other_weights_take_a_byte_and_no_pair_sums():
    found = describe(
        model(QuadraticLayer([[5, 0]], [[1, -128]], [0], [0]), ReadoutLayer([[1]], [0]))
    )
    assert (found.layers[0].bits, found.layers[0].weight_bytes) == (8, 4)
    assert found.layers[0].levels == {-128: 1, 0: 1, 1: 1, 5: 1}
    assert found.operations == {
        "matrix": Operations(0, 2 * 2 + 1 + 1),
        "collapsed": Operations(0, 3),
    }
    assert (found.task, found.labels) == ("classify", ("no", "yes"))


def test_equal_outputs_are_collapsed_once():
    found = describe(model(SIGNS, ReadoutLayer([[3, 3], [1, 1]], [0, 5])))
    assert found.operations["collapsed"] == Operations(0, 10)


def test_a_deeper_network_has_the_matrix_form_and_pair_sums():
    second = QuadraticLayer([[1, 1]], [[1, -1]], [0], [0])
    found = describe(model(SIGNS, second))
    assert found.operations == {
        "matrix": Operations(0, 2 * (8 + 2) + 3),
        "pair_sums": Operations(10, 3),
    }
    assert found.neurons == 3


def test_many_levels_are_described_by_their_range():
    weights = np.arange(-150, 150).reshape(2, 150)
    layer = describe(model(SIGNS, ReadoutLayer(weights, np.zeros(150, int)))).layers[1]
    assert layer.levels is None
    assert (layer.smallest, layer.largest) == (-150, 149)


def test_wide_scores_have_wide_biases():
    found = describe(model(SIGNS, ReadoutLayer([[1], [1]], [2**40])))
    assert found.score_type == "int64"
    assert found.layers[1].bias_bytes == 8


def test_all_of_it_survives_json(tmp_path):
    proof = OutputCertificate(2.0, 1.5, 10**30, np.zeros(7, np.int32), None)
    certificate = Certificate("enumeration", "squared", 0.1, 0.4, 2.0**-5, 32, "ab" * 32, (proof,))
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x" * 123)
    found = describe(
        model(
            SIGNS,
            ReadoutLayer([[1], [1]], [0]),
            head=Numbers(("price",), (1.0,), (2.0,)),
            quantizer=InputQuantizer(tuple("abcd"), [0, 1, 3], [0.0] * 3, [1.0] * 3),
            certificate=certificate,
            provenance={"seed": 1},
        ),
        path,
    )
    back = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert back["layers"][0]["levels"] == {"-1": 4, "1": 8}
    assert back["operations"]["pair_sums"] == {"additions": 8, "multiply_accumulates": 4}
    assert (back["features"], back["dropped_features"]) == (4, ["c"])
    assert (back["task"], back["labels"], back["file_bytes"]) == ("regress", ["price"], 123)
    assert back["certificate"]["method"] == "enumeration"
    assert back["certificate"]["samples"] == 7
    assert back["certificate"]["gap"] == certificate.gap
    assert back["provenance"] == {"seed": 1}


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(QDeployError, match="cannot be read: No such file"):
        describe(model(SIGNS, ReadoutLayer([[1], [1]], [0])), tmp_path / "absent.onnx")
