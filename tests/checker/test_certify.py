import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.certificate import dataset_digest
from qdeploy.checker import certify
from qdeploy.data import InputQuantizer, dataset_from_arrays, split
from qdeploy.errors import QDeployError
from qdeploy.model import Classes
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

KINDS = [
    ("two", "squared", "enumeration"),
    ("two", "squared-hinge", "enumeration"),
    ("two", "squared", "sdp"),
    ("two", "squared-hinge", "sdp"),
    ("three", "squared-hinge", "enumeration"),
    ("two", "hinge", "enumeration"),
    ("three", "hinge", "sdp"),
    ("two", "logistic", "enumeration"),
    ("three", "logistic", "sdp"),
    ("weighted", "squared", "enumeration"),
    ("weighted", "squared-hinge", "sdp"),
    ("weighted", "hinge", "enumeration"),
    ("weighted", "logistic", "enumeration"),
    ("three", "squared", "sdp"),
    ("numbers", "squared", "enumeration"),
    ("numbers", "squared", "sdp"),
    ("two", "squared", "cutting-planes"),
    ("numbers", "squared", "cutting-planes"),
    ("three", "squared-hinge", "branch-and-bound"),
]

pytestmark = pytest.mark.filterwarnings("error")


def with_certificate(model, **changes):
    return replace(model, certificate=replace(model.certificate, **changes))


def with_output(model, number, **changes):
    outputs = list(model.certificate.outputs)
    outputs[number] = replace(outputs[number], **changes)
    return with_certificate(model, outputs=tuple(outputs))


def with_layers(model, quadratic=None, readout=None):
    layers = model.network.layers
    return replace(model, network=QuantizedNetwork([quadratic or layers[0], readout or layers[1]]))


def refuted(model, dataset, *words):
    result = certify(model, dataset)
    assert not result.holds
    assert result.reason
    assert "\n" not in result.reason
    for word in words:
        assert word in result.reason
    return result


@pytest.mark.parametrize("kind", KINDS)
class TestTrueCertificates:
    def test_holds_and_encloses_the_optimum(self, certified, kind):
        case = certified(*kind)
        result = certify(case.model, case.dataset)
        assert result.holds, result.reason
        assert result.method == kind[2]
        assert result.rows == 24
        optimum = sum(case.optima)
        assert result.bound <= optimum * (1 + 1e-6)
        assert result.objective >= optimum * (1 - 1e-6)
        # Rounded amplitudes cost a loss with kinks in the first order, others in the second.
        accuracy = 2e-3 if kind[1] == "hinge" else 1e-5
        assert result.objective == pytest.approx(optimum, rel=accuracy)
        assert 0 <= result.gap == pytest.approx(1 - result.bound / result.objective, abs=1e-12)
        if kind[2] == "enumeration":
            assert result.bound == pytest.approx(optimum, rel=1e-3)

    def test_figures_are_exact_to_the_last_bit(self, certified, kind):
        """The conftest rounds its exact figures outward, and so must the checker."""
        case = certified(*kind)
        for proven, claim in zip(
            certify(case.model, case.dataset).outputs, case.model.certificate.outputs, strict=True
        ):
            assert proven.objective == claim.objective
            assert proven.bound == claim.bound
            assert proven.norm == claim.norm_bound
        for number in range(len(case.optima)):
            claim = case.model.certificate.outputs[number]
            better = math.nextafter(claim.objective, -math.inf)
            refuted(with_output(case.model, number, objective=better), case.dataset, "objective")
            better = math.nextafter(claim.bound, math.inf)
            refuted(with_output(case.model, number, bound=better), case.dataset, "bound")
            looser = with_output(case.model, number, objective=claim.objective + 1, bound=0.0)
            result = certify(looser, case.dataset)
            assert result.holds
            assert result.outputs[number].bound == claim.bound

    def test_a_smaller_norm_bound_is_caught(self, certified, kind):
        case = certified(*kind)
        norm = case.model.certificate.outputs[0].norm_bound
        refuted(with_output(case.model, 0, norm_bound=norm - 1), case.dataset, "output 1")

    @settings(max_examples=25, deadline=None)
    @given(draw=st.data())
    def test_any_changed_datum_is_caught(self, certified, kind, draw):
        case = certified(*kind)
        row = draw.draw(st.integers(0, 23))
        features, target = case.dataset.features.copy(), case.dataset.target.copy()
        if draw.draw(st.booleans()):
            column = draw.draw(st.integers(0, features.shape[1] - 1))
            old = features[row, column]
            features[row, column] = draw.draw(
                st.integers(-128, 127).filter(lambda value: value != old)
            )
        elif kind[0] == "numbers":
            target[row, 1] += draw.draw(st.sampled_from([-1.0, 1e-9, 2.0]))
        else:
            others = [label for label in case.model.head.labels if label != target[row]]
            target[row] = draw.draw(st.sampled_from(others))
        changed = replace(case.dataset, features=features, target=target)
        refuted(case.model, changed, "24 training rows differ")

    @settings(max_examples=40, deadline=None)
    @given(draw=st.data())
    def test_a_changed_proof_holds_only_if_it_is_true(self, certified, claims_are_true, kind, draw):
        """Changes that a forger could make consistently; some of them happen to stay true."""
        case = certified(*kind)
        model = case.model
        number = draw.draw(st.integers(0, len(case.optima) - 1))
        quadratic, readout = model.network.layers
        change = draw.draw(
            st.sampled_from(["weight", "bias", "amplitude", "residual", "penalty", "scale"])
        )
        if change == "weight":
            left = quadratic.left.copy()
            place = draw.draw(st.integers(0, left.size - 1))
            left.flat[place] *= -1
            model = with_layers(model, quadratic=replace(quadratic, left=left))
        elif change == "bias":
            bias = readout.bias.copy()
            bias[number] += draw.draw(st.integers(-5, 5))
            model = with_layers(model, readout=replace(readout, bias=bias))
        elif change == "amplitude":
            weights = readout.weights.copy()
            neuron = draw.draw(st.integers(0, len(weights) - 1))
            weights[neuron, number] += draw.draw(st.integers(-3, 3))
            model = with_layers(model, readout=replace(readout, weights=weights))
        elif change == "residual":
            residual = model.certificate.outputs[number].residual.copy()
            up, down = draw.draw(st.lists(st.integers(0, 23), min_size=2, max_size=2))
            by = draw.draw(st.integers(1, 300))
            residual[up] += by
            residual[down] -= by if draw.draw(st.booleans()) else 0
            model = with_output(model, number, residual=residual)
        elif change == "penalty":
            beta = model.certificate.beta * draw.draw(st.sampled_from([0.5, 0.999, 1.001, 2.0]))
            penalty = beta * (model.network.inputs + 1)
            model = with_certificate(model, beta=beta, penalty=penalty)
        else:
            model = replace(model, scale=model.scale * draw.draw(st.sampled_from([0.5, 1.01])))
        result = certify(model, case.dataset)
        if kind[2] == "enumeration":
            assert result.holds == claims_are_true(model, case)
        elif result.holds:
            assert claims_are_true(model, case)


@pytest.mark.parametrize("change", ["weight", "none", "scaled"])
def test_other_weights_are_caught(certified, change):
    case = certified("weighted", "logistic", "enumeration")
    weights = case.dataset.weights.copy()
    if change == "weight":
        weights[7] = math.nextafter(weights[7], 2.0)
    changed = {"weight": weights, "none": None, "scaled": weights * 2}[change]
    refuted(case.model, replace(case.dataset, weights=changed), "24 training rows differ")


@pytest.fixture
def case(certified):
    return certified("two", "squared-hinge", "sdp")


def test_model_without_certificate_is_an_error(case):
    with pytest.raises(QDeployError, match="carries no certificate"):
        certify(replace(case.model, certificate=None), case.dataset)


NASTY = [
    None, math.nan, math.inf, -math.inf, -1, 0, -1.0, 1e308, 5e-324, 10**400, -(10**400), 2**63,
    "x", "", True, b"", [], (), {}, object(), np.array([]), np.array([1.5]), np.zeros(6),
    np.int8(3),
    np.arange(6), np.array([[1]]), np.array(["a"] * 24), np.full(24, 2**31),
    np.full(6, 2**64 - 1, dtype=np.uint64), np.array([10**30] * 6, dtype=object), float, 1 + 2j,
]  # fmt: skip


@pytest.mark.parametrize("value", NASTY, ids=lambda value: f"{type(value).__name__}-{value!r:.12}")
@pytest.mark.parametrize(
    "name",
    ["method", "loss", "beta", "penalty", "input_step", "constant", "data_digest", "outputs"],
)
def test_nonsense_in_the_certificate_never_raises(case, name, value):
    refuted(with_certificate(case.model, **{name: value}), case.dataset)


@pytest.mark.parametrize("value", NASTY, ids=lambda value: f"{type(value).__name__}-{value!r:.12}")
@pytest.mark.parametrize(
    "name", ["objective", "bound", "norm_bound", "residual", "multipliers", "tree"]
)
def test_nonsense_in_a_proof_never_raises(case, name, value):
    changed = with_output(case.model, 0, **{name: value})
    result = certify(changed, case.dataset)
    claim = case.model.certificate.outputs[0]
    if result.holds:
        if name == "tree" and value is None:
            return  # As it was.
        # A worse claim is still a true one.
        assert name in ("objective", "bound")
        assert value >= claim.objective if name == "objective" else value <= claim.bound
    else:
        assert "\n" not in result.reason


def test_proofs_of_the_wrong_kind(case):
    refuted(with_certificate(case.model, outputs=(3,)), case.dataset, "incomplete")
    refuted(replace(case.model, certificate="trust me"), case.dataset, "not a certificate")
    outputs = case.model.certificate.outputs
    refuted(with_certificate(case.model, outputs=outputs * 2), case.dataset, "one proof for each")
    refuted(with_certificate(case.model, method="enumeration"), case.dataset, "method")
    refuted(with_certificate(case.model, loss="hinged"), case.dataset, "squared-hinge")
    refuted(with_certificate(case.model, input_step=0.03), case.dataset, "power of two")
    refuted(with_certificate(case.model, beta=1.0), case.dataset, "beta times")


def test_residuals_must_sum_to_zero_and_have_the_sign_of_the_target(case):
    residual = case.model.certificate.outputs[0].residual
    raised = residual.copy()
    raised[0] += 1
    refuted(with_output(case.model, 0, residual=raised), case.dataset, "sum to zero")
    refuted(with_output(case.model, 0, residual=-residual), case.dataset, "wrong sign")


def test_multipliers_must_dominate_and_fit_the_norm_bound(case):
    z = case.model.certificate.outputs[0].multipliers
    half = z // 2
    smaller = with_output(case.model, 0, multipliers=half, norm_bound=int(half.sum()))
    refuted(smaller, case.dataset, "positive semidefinite")
    refuted(with_output(case.model, 0, multipliers=z + 1), case.dataset, "above the norm bound")


def test_network_outside_the_family_is_refuted(case):
    quadratic, readout = case.model.network.layers
    left = quadratic.left.copy()
    left[0, 1] = 0
    refuted(
        with_layers(case.model, quadratic=replace(quadratic, left=left)), case.dataset,
        "neuron 1, left weight 2 is 0",
    )  # fmt: skip
    bias = quadratic.right_bias.copy()
    bias[0] = 31
    refuted(
        with_layers(case.model, quadratic=replace(quadratic, right_bias=bias)), case.dataset,
        "right bias is 31",
    )  # fmt: skip
    deep = replace(
        case.model,
        network=QuantizedNetwork([quadratic, readout, ReadoutLayer(np.eye(1, dtype=int), [0])]),
    )
    refuted(deep, case.dataset, "3 layers")


def test_duplicate_and_silent_neurons_do_not_disturb(case):
    quadratic, readout = case.model.network.layers
    twice = QuadraticLayer(
        *(
            np.concatenate([getattr(quadratic, name)] * 2)
            for name in ("left", "right", "left_bias", "right_bias")
        )
    )
    silent = np.concatenate([readout.weights, np.zeros_like(readout.weights)])
    model = with_layers(case.model, twice, ReadoutLayer(silent, readout.bias))
    assert certify(model, case.dataset) == certify(case.model, case.dataset)


def test_other_rows_are_told_by_their_number(case):
    short = replace(
        case.dataset, features=case.dataset.features[:-1], target=case.dataset.target[:-1]
    )
    refuted(case.model, short, "speaks of 24 rows, the data have 23")


@pytest.mark.parametrize("key", ["split", "recipe"])
def test_held_out_rows_are_left_out(certify_rows, key):
    rng = np.random.default_rng(2)
    inputs = rng.integers(-128, 128, (32, 3)).astype(float)
    target = np.where(inputs[:, 0] * inputs[:, 1] > 0, "in", "out")
    whole = dataset_from_arrays(inputs, target, task="classify")
    train, test = split(whole, 0.25, 3)
    head = Classes(("in", "out"))
    case = certify_rows(train.features, train.target, head, "squared", "enumeration", 0.1)
    provenance = {key: {"test_size": 0.25, "seed": 3}}
    model = replace(case.model, provenance=provenance)
    assert certify(model, whole).holds
    assert certify(model, train).holds
    refuted(model, test, "24 rows", "the data have 8 or 6")
    refuted(case.model, whole, "24 rows, the data have 32")
    features = whole.features.copy()
    features[:, 0] -= np.sign(features[:, 0])
    refuted(model, replace(whole, features=features), "24 training rows differ")
    for nonsense in (None, 3, {}, {"test_size": math.nan, "seed": 1}, {"test_size": 0.25}):
        refuted(replace(model, provenance={key: nonsense}), whole, "the data have 32")
    odd = {key: {"test_size": 0.25, "seed": -(10**30)}}
    refuted(replace(model, provenance=odd), whole, "the data have 32")


def test_unknown_label_is_named(case):
    target = case.dataset.target.astype(object)
    target[3] = "maybe"
    refuted(case.model, replace(case.dataset, target=target), "training row 4", "'maybe'")


def test_regression_needs_the_deviation_of_its_data(certified):
    case = certified("numbers", "squared", "enumeration")
    mean, deviation = case.model.head.mean, case.model.head.deviation
    doubled = replace(case.model.head, deviation=(deviation[0] * 2, deviation[1]))
    targets = (case.dataset.target - np.array(mean)) / np.array(doubled.deviation)
    digest = dataset_digest(case.dataset.features.astype(np.int8), targets)
    forged = with_certificate(replace(case.model, head=doubled), data_digest=digest)
    refuted(forged, case.dataset, "target 'a'", "deviation")
    tiny = replace(case.model.head, deviation=(5e-324, deviation[1]))
    refuted(replace(case.model, head=tiny), case.dataset, "not finite")
    strings = replace(case.dataset, target=case.dataset.target.astype(str))
    refuted(case.model, strings, "not numeric")


def test_squared_hinge_is_refused_for_numbers(certified):
    case = certified("numbers", "squared", "enumeration")
    refuted(with_certificate(case.model, loss="squared-hinge"), case.dataset, "for classes")


def test_the_quantiser_of_the_model_is_used(case):
    width = case.dataset.features.shape[1]
    quantizer = InputQuantizer(
        feature_names=("unused", *case.dataset.feature_names),
        kept=np.arange(1, width + 1),
        offset=np.full(width, 10.0),
        scale=np.full(width, 0.5),
    )
    raw = np.hstack([np.zeros((24, 1)), case.dataset.features * 0.5 + 10])
    model = replace(case.model, quantizer=quantizer)
    dataset = replace(case.dataset, features=raw, feature_names=quantizer.feature_names)
    assert certify(model, dataset).holds
    refuted(model, case.dataset, "do not fit the model")
    refuted(case.model, replace(case.dataset, features=raw[:, 1:] + 0.25), "not int8")
    refuted(case.model, dataset, "inputs, the data have")


def test_progress_tells_of_each_output(certified):
    case = certified("three", "squared", "sdp")
    events = []
    certify(case.model, case.dataset, progress=events.append)
    assert [(event.completed, event.total) for event in events] == [(k, 3.0) for k in range(4)]
