"""Certificates of outputs that share their neurons: true ones hold, tampered ones do not."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qdeploy
from qdeploy import onnx
from qdeploy.certificate import SharedProof
from qdeploy.checker import certify
from qdeploy.checker.errors import RefutationError
from qdeploy.checker.shared_outputs import price_shares, prove_shared_norm, read_shared
from qdeploy.data import dataset_from_arrays
from qdeploy.network import QuantizedNetwork, ReadoutLayer

pytestmark = pytest.mark.filterwarnings("error")

LOSSES = ("squared", "squared-hinge", "logistic")


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(4)
    inputs = generator.normal(size=(40, 3))
    labels = np.digitize(inputs[:, 0] * inputs[:, 1], [-0.4, 0.4])
    return dataset_from_arrays(inputs, labels, sample_weight=generator.gamma(2.0, size=40))


@pytest.fixture(scope="module")
def trained(data):
    made = {}

    def model(loss):
        if loss not in made:
            result = qdeploy.train(data, loss=loss, outputs="shared", beta=4.0, jobs=1)
            made[loss] = result.model
        return made[loss]

    return model


def with_certificate(model, **changes):
    return replace(model, certificate=replace(model.certificate, **changes))


def with_outputs(model, **changes):
    outputs = tuple(replace(output, **changes) for output in model.certificate.outputs)
    return with_certificate(model, outputs=outputs)


def refuted(model, data, *words):
    result = certify(model, data)
    assert not result.holds
    for word in words:
        assert word in result.reason
    assert "\n" not in result.reason


def brute_norm(matrices):
    """Largest Σ_k (uᵀG_k v)² in Python integers."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(matrices[0]))), dtype=object)
    return max(sum((signs @ g.astype(object) @ signs.T) ** 2 for g in matrices).ravel().tolist())


@pytest.mark.parametrize("loss", LOSSES)
class TestTrueCertificates:
    def test_it_holds_from_its_file(self, trained, data, loss, tmp_path):
        path = onnx.save(trained(loss), tmp_path / "model.onnx")
        loaded = onnx.load(path)
        proof, again = trained(loss).certificate.shared, loaded.certificate.shared
        assert np.array_equal(proof.left, again.left)
        assert np.array_equal(proof.right, again.right)
        result = certify(loaded, data)
        assert result.holds, result.reason
        assert result.method == "sdp"
        assert result.loss_bound is None
        assert result.gap == pytest.approx(loaded.certificate.gap, abs=1e-9)

    def test_figures_are_those_of_the_definitions(self, trained, data, loss):
        """Objective and norm from scratch, in floating point and by trying all signs."""
        model = trained(loss)
        certificate, network = model.certificate, model.network
        inputs = model.quantizer.quantize(data.features)
        targets = np.where(data.target[:, None] == np.arange(3), 1.0, -1.0)
        scores = network.forward(inputs) * model.scale
        margin = targets * scores
        each = {
            "squared": (scores - targets) ** 2 / 2,
            "squared-hinge": np.maximum(1 - margin, 0) ** 2 / 2,
            "logistic": np.logaddexp(0, -margin),
        }[loss]
        unit = model.scale / certificate.input_step**2
        lengths = np.linalg.norm(network.layers[1].weights * unit, axis=1)
        objective = data.weights @ each.sum(axis=1) + certificate.penalty * lengths.sum()
        result = certify(model, data)
        assert result.objective == pytest.approx(objective, rel=1e-12)
        assert result.objective <= certificate.objective <= result.objective * (1 + 1e-12)
        lifted = np.hstack([inputs.astype(np.int64), np.full((40, 1), certificate.constant)])
        grams = [
            lifted.T @ (output.residual.astype(np.int64)[:, None] * lifted)
            for output in certificate.outputs
        ]
        norm = certificate.outputs[0].norm_bound
        assert brute_norm(grams) <= norm**2
        assert norm**2 <= 2.5 * brute_norm(grams)

    def test_better_figures_are_caught(self, trained, data, loss):
        model = trained(loss)
        first = model.certificate.outputs[0]
        for better in (
            replace(first, objective=first.objective * (1 - 1e-9)),
            replace(first, bound=first.bound * (1 + 1e-9) + 1e-9),
        ):
            outputs = (better, *model.certificate.outputs[1:])
            refuted(with_certificate(model, outputs=outputs), data, "output 1")

    def test_a_smaller_norm_bound_is_caught(self, trained, data, loss):
        model = trained(loss)
        norm = model.certificate.outputs[0].norm_bound
        refuted(with_outputs(model, norm_bound=norm - 1), data, "norm bound")

    def test_smaller_multipliers_are_caught(self, trained, data, loss):
        model = trained(loss)
        proof = model.certificate.shared
        for left, right in (
            (proof.left * 99 // 100, proof.right * 99 // 100),
            (proof.left // 2, proof.right),
            (np.zeros_like(proof.left), proof.right),
        ):
            changed = with_certificate(model, shared=SharedProof(left, right))
            refuted(changed, data, "positive semidefinite")

    def test_other_residuals_are_caught(self, trained, data, loss):
        """Doubled, they have the same direction, but a norm that the multipliers do not prove."""
        model = trained(loss)
        outputs = tuple(
            replace(output, residual=2 * output.residual) for output in model.certificate.outputs
        )
        refuted(with_certificate(model, outputs=outputs), data, "positive semidefinite")
        first = model.certificate.outputs[0]
        moved = first.residual.copy()
        moved[0] += 1
        outputs = (replace(first, residual=moved), *model.certificate.outputs[1:])
        refuted(with_certificate(model, outputs=outputs), data)

    def test_another_network_is_caught(self, trained, data, loss):
        model = trained(loss)
        quadratic, readout = model.network.layers
        weights = readout.weights.copy()
        weights[0] += 1
        network = QuantizedNetwork([quadratic, ReadoutLayer(weights, readout.bias)])
        refuted(replace(model, network=network), data, "objective")

    def test_a_proof_of_separate_outputs_is_another(self, trained, data, loss):
        """Without the shared proof the norm of each output would have to be enumerated."""
        refuted(with_certificate(trained(loss), shared=None), data)
        refuted(with_certificate(trained(loss), method="enumeration"), data, "method")


class TestHostileProofs:
    @pytest.mark.parametrize(
        "change",
        [
            lambda left, right: (left[:-1], right),
            lambda left, right: (left, right[:, :-1]),
            lambda left, right: (left.astype(float), right),
            lambda left, right: (-left - 1, right),
            lambda left, right: (left, right + np.triu(np.ones((3, 3), dtype=np.int64), 1)),
            lambda left, right: (left, np.full_like(right, 2**62)),
            lambda left, right: (None, right),
        ],
    )
    def test_shapes_types_and_ranges(self, trained, data, change):
        model = trained("squared")
        proof = model.certificate.shared
        hostile = SharedProof(*change(proof.left, proof.right))
        refuted(with_certificate(model, shared=hostile), data, "multipliers")

    def test_own_proofs_beside_the_shared_one(self, trained, data):
        model = trained("squared")
        size = model.network.inputs + 1
        doubled = with_outputs(model, multipliers=np.ones(size, dtype=np.int64))
        refuted(doubled, data, "further proofs")

    def test_too_large_a_proof(self):
        proof = SharedProof(np.ones(800, dtype=np.int64), np.ones((800, 10, 10), dtype=np.int64))
        with pytest.raises(RefutationError, match="too large"):
            read_shared(proof, 800, 10)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 3), st.integers(1, 3), st.floats(0.5, 1.5))
def test_no_false_norm_is_proven(seed, outputs, size, share):
    """Whatever multipliers are offered, what is proven is a bound."""
    generator = np.random.default_rng(seed)
    grams = []
    for _ in range(outputs):
        half = generator.integers(-99, 100, (size, size))
        grams.append(half + half.T)
    blocks = generator.normal(size=(size, outputs, outputs))
    top = share * np.linalg.norm(np.hstack(grams), 2)
    noise = 0.2 * top * (blocks @ blocks.transpose(0, 2, 1)) / outputs
    right = np.rint(top * np.eye(outputs) + noise - 0.1 * top).astype(np.int64)
    right = np.triu(right) + np.triu(right, 1).transpose(0, 2, 1)
    left = generator.integers(0, int(2 * top) + 2, size)
    try:
        claims = read_shared(SharedProof(left, right), size, outputs)
        norm = prove_shared_norm(claims, grams, 2**62)
    except RefutationError:
        return
    assert norm**2 >= brute_norm(grams)


@given(st.lists(st.lists(st.integers(-300, 300), min_size=3, max_size=3), min_size=1, max_size=6))
def test_shares_of_the_price_add_up(rows):
    amplitudes = np.array(rows, dtype=np.int32)
    shares = price_shares(amplitudes)
    total = float(sum(shares))
    assert total == pytest.approx(np.linalg.norm(amplitudes, axis=1).sum(), rel=1e-12)
    for k, share in enumerate(shares):
        squares = (amplitudes.astype(float) ** 2).sum(axis=1)
        used = squares > 0
        exact = (amplitudes[used, k].astype(float) ** 2 / np.sqrt(squares[used])).sum()
        assert float(share) == pytest.approx(exact, rel=1e-12)
    assert price_shares(np.array([[3, 4, 0]]))[:2] == [
        Fraction(9, 5) + _tiny(9),
        Fraction(16, 5) + _tiny(16),
    ]


def _tiny(square):
    """What rounding up to 128 binary places adds to square/5."""
    scaled = Fraction(square << 128, 5)
    return Fraction(-(-scaled.numerator // scaled.denominator), 1 << 128) - Fraction(square, 5)
