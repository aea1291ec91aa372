"""Certificates of neurons of one sum: proven again, from the file, and not to be tampered with."""

from dataclasses import replace

import numpy as np
import pytest

from qdeploy import load, train
from qdeploy.activation import Activation
from qdeploy.checker import certify
from qdeploy.data import dataset_from_arrays
from qdeploy.network import QuadraticLayer, QuantizedNetwork

ACTIVATIONS = ["square", "0.09,0.5,0.47", "-1,2,0", "0,1,0"]


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(7)
    features = generator.standard_normal((60, 4))
    label = features[:, 0] * features[:, 1] + features[:, 2] ** 2 > 0.5
    return dataset_from_arrays(features, np.where(label, "yes", "no"))


@pytest.fixture(scope="module")
def trained(data):
    return {text: train(data, activation=text, beta=1.0, jobs=1) for text in ACTIVATIONS}


def with_output(model, **changes):
    """The model with a changed proof of its only output."""
    certificate = model.certificate
    (output,) = certificate.outputs
    changed = replace(certificate, outputs=(replace(output, **changes),))
    return replace(model, certificate=replace(changed, method=changed.outputs[0].method))


def with_side(model, place, **changes):
    sides = list(model.certificate.outputs[0].sides)
    sides[place] = replace(sides[place], **changes)
    return with_output(model, sides=tuple(sides))


def refuted(model, data, *words):
    check = certify(model, data)
    assert not check.holds
    assert any(word in check.reason for word in words), check.reason


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_the_certificate_holds_and_is_tight(trained, data, text, tmp_path):
    result = trained[text]
    result.save(tmp_path / "model.onnx")
    loaded = load(tmp_path / "model.onnx")
    assert loaded.certificate.activation == result.certificate.activation
    assert loaded.provenance["options"]["activation"] == text
    check = certify(loaded, data)
    assert check.holds, check.reason
    assert check.gap < 1e-3
    claimed = result.certificate
    assert claimed.bound <= check.bound <= check.objective <= claimed.objective


@pytest.mark.parametrize("text", ["square", "0.09,0.5,0.47"])
def test_the_semidefinite_proof_of_both_sides_holds(trained, data, text, tmp_path):
    from qdeploy.training.form_proof import prove_form
    from qdeploy.training.losses import losses
    from qdeploy.training.neurons.binary import BINARY
    from qdeploy.training.problem import TrainingProblem, lift

    model = trained[text].model
    certificate = model.certificate
    (output,) = certificate.outputs
    inputs = lift(model.quantizer.quantize(data.features))
    family = replace(BINARY, activation=certificate.activation)
    problem = TrainingProblem(
        inputs, np.ones(len(inputs)), certificate.penalty, losses["squared"], family=family
    )
    proof = prove_form(problem.integer_matrix(output.residual), "sdp")
    loose = with_output(model, sides=proof.sides, norm_bound=proof.norm_bound, bound=0.0)
    check = certify(loose, data)
    assert check.holds, check.reason
    assert check.method == "sdp"
    deciding = int(proof.sides[1].largest > proof.sides[0].largest)
    side = proof.sides[deciding]
    lowered = side.multipliers - side.multipliers.max() // 50
    total = int(lowered.sum())
    forged = replace(side, multipliers=lowered, largest=total - side.shift * len(lowered))
    sides = tuple(forged if place == deciding else proof.sides[place] for place in (0, 1))
    norm = max(part.largest for part in sides)
    refuted(
        with_output(model, sides=sides, norm_bound=norm, bound=0.0), data, "not positive semidef"
    )


def test_claims_of_an_activation_are_not_believed(trained, data):
    model = trained["0.09,0.5,0.47"].model
    activation = model.certificate.activation
    for changed, word in (
        (None, "not +32 or -32"),
        (replace(activation, linear=activation.linear + 1), "does not compute the activation"),
        (Activation(0, 1, activation.unit), "does not compute the activation"),
        (replace(activation, unit=2 * activation.unit), "above the proven one"),
        (replace(activation, unit=activation.unit / 2), "below that of the network"),
        (replace(activation, unit=float("nan")), "not a positive number"),
        (replace(activation, unit=-1.0), "not a positive number"),
        (replace(activation, square=2), "with a of 0 or 1"),
        (replace(activation, linear=0.5), "with a of 0 or 1"),
        ("square", "with a of 0 or 1"),
    ):
        certificate = replace(model.certificate, activation=changed)
        refuted(replace(model, certificate=certificate), data, word)


def test_sides_are_not_believed(trained, data):
    model = trained["0.09,0.5,0.47"].model
    (output,) = model.certificate.outputs
    above, below = output.sides
    deciding = 0 if above.largest >= below.largest else 1
    largest = output.sides[deciding].largest
    refuted(with_side(model, deciding, largest=largest - 10**7), data, "is false")
    refuted(with_output(model, norm_bound=output.norm_bound // 2), data, "the two sides prove")
    refuted(with_side(model, 0, shift=above.shift // 2 + 1, largest=0), data, "false", "prove")
    refuted(with_side(model, 0, shift=-1), data, "the shift is outside")
    refuted(with_output(model, sides=(above,)), data, "each of the two sides")
    refuted(with_output(model, sides=(below, above)), data, "false", "semidefinite", "prove")
    refuted(with_output(model, bound=1.0001 * output.bound), data, "above the proven one")
    refuted(
        with_output(model, multipliers=np.ones(6, dtype=np.int64)), data, "two proofs", "method"
    )


def test_a_changed_network_is_found(trained, data):
    model = trained["0.09,0.5,0.47"].model
    layer, readout = model.network.layers
    for right, right_bias in (
        (-layer.right, layer.right_bias),
        (layer.right, layer.right_bias + 1),
    ):
        forged = QuadraticLayer(layer.left, right, layer.left_bias, right_bias)
        changed = replace(model, network=QuantizedNetwork([forged, readout]))
        refuted(changed, data, "does not compute the activation")


def test_sides_are_for_neurons_of_one_sum(data, trained):
    products = train(data, beta=1.0, jobs=1).model
    sides = trained["square"].certificate.outputs[0].sides
    refuted(with_output(products, sides=sides), data, "not for products", "two proofs")


def test_beta_is_chosen_for_the_activation(data):
    from qdeploy import QuantizedClassifier

    chosen = QuantizedClassifier(activation="0.09,0.5,0.47").fit(data.features, data.target)
    assert chosen.certificate_.activation.linear == 178
    assert chosen.certificate_.gap < 0.05
    assert 0 < chosen.certificate_.beta < 10


def test_options_that_do_not_go_together(data):
    from qdeploy.errors import QDeployError

    for options in (
        {"neurons": 4},
        {"neurons": 4, "mode": "certified"},
        {"weights": "ternary"},
        {"max_bytes": 100},
    ):
        with pytest.raises(QDeployError, match="leave --activation out"):
            train(data, activation="square", **options)
    with pytest.raises(QDeployError, match="activation must"):
        train(data, activation="cube")
