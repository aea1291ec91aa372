"""Certificates of other weights than ±1, and under the size penalty: true, and caught when not."""

from dataclasses import replace

import numpy as np
import pytest

from qdeploy import onnx
from qdeploy.checker import certify
from qdeploy.checker.alphabets import ALPHABETS
from qdeploy.data import dataset_from_arrays
from qdeploy.network import QuadraticLayer, QuantizedNetwork
from qdeploy.training.neurons import neuron_families
from qdeploy.training.trainer import train

CASES = [("ternary", "size"), ("2-bit", "size"), ("3-bit", "count"), ("4-bit", "size")]


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(5)
    features = generator.standard_normal((60, 4))
    target = (features[:, 0] * features[:, 1] + 0.4 * features[:, 2] > 0).astype(int)
    return dataset_from_arrays(features, target)


@pytest.fixture(scope="module")
def trained(rows):
    """One model a case; the count case is reduced, so that its weights are not at the corners."""
    return {
        (weights, penalty): train(
            rows,
            weights=weights,
            penalty=penalty,
            beta=0.2,
            mode="certified",
            neurons=3 if penalty == "count" else None,
            jobs=1,
        ).model
        for weights, penalty in CASES
    }


def claiming(model, **changes):
    return replace(model, certificate=replace(model.certificate, **changes))


def refuted(model, rows, *words):
    check = certify(model, rows)
    assert not check.holds
    assert all(word in check.reason for word in words), check.reason


def test_the_checker_knows_the_alphabets():
    assert {name: sorted(levels) for name, levels in ALPHABETS.items()} == {
        family.name: list(family.levels) for family in neuron_families.values()
    }


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_certificate_holds_and_survives_its_file(trained, rows, case, tmp_path):
    model = trained[case]
    assert (model.certificate.weights, model.certificate.penalty_kind) == case
    check = certify(model, rows)
    assert check.holds, check.reason
    assert check.objective <= model.certificate.objective
    assert check.objective == pytest.approx(model.certificate.objective, rel=1e-12)
    assert check.bound >= model.certificate.bound
    loaded = onnx.load(onnx.save(model, tmp_path / "model.onnx"))
    assert (loaded.certificate.weights, loaded.certificate.penalty_kind) == case
    assert certify(loaded, rows).holds
    levels = {int(level) for level in np.unique(model.network.layers[0].left)}
    assert levels <= set(neuron_families[case[0]].levels)
    assert levels - {-1, 1}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_another_alphabet_or_penalty_is_refuted(trained, rows, case):
    model = trained[case]
    refuted(claiming(model, weights="binary"), rows, "not +1 or -1")
    other = "count" if case[1] == "size" else "size"
    refuted(claiming(model, penalty_kind=other), rows)
    refuted(claiming(model, weights="5-bit"), rows, "not one of binary, ternary")
    refuted(claiming(model, penalty_kind="none"), rows, "neither 'count' nor 'size'")


def test_weights_and_biases_outside_the_alphabet_are_refuted(trained, rows):
    model = trained["ternary", "size"]
    layer = model.network.layers[0]
    for changes, words in (
        ({"left": layer.left * 2}, "not one of -1, 0, 1"),
        ({"right_bias": layer.right_bias + 1}, "not 32 times one of -1, 0, 1"),
    ):
        parts = {
            name: getattr(layer, name) for name in ("left", "right", "left_bias", "right_bias")
        }
        network = QuantizedNetwork([QuadraticLayer(**parts | changes), model.network.layers[1]])
        refuted(replace(model, network=network), rows, words)


def test_a_smaller_weight_makes_the_claim_false(trained, rows):
    """The neuron computes and costs something else; the claim is of the former network."""
    model = trained["2-bit", "size"]
    layer = model.network.layers[0]
    left = layer.left.copy()
    left[0] = -left[0]
    network = QuantizedNetwork([replace(layer, left=left), model.network.layers[1]])
    refuted(replace(model, network=network), rows)


def test_the_bound_for_signs_is_no_proof_for_the_size_penalty(trained, rows):
    model = trained["ternary", "size"]
    proof = model.certificate.outputs[0]
    multipliers = proof.multipliers.copy()
    multipliers[0] += 1
    norm = proof.norm_bound + 1
    outputs = (replace(proof, multipliers=multipliers, norm_bound=norm),)
    refuted(claiming(model, outputs=outputs), rows, "equal multipliers")
    outputs = (replace(proof, multipliers=None),)
    refuted(claiming(model, outputs=outputs, method="enumeration"), rows, "equal multipliers")
    outputs = (replace(proof, multipliers=proof.multipliers * 9 // 10),)
    refuted(claiming(model, outputs=outputs), rows, "not positive semidefinite")
