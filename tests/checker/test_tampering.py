"""Every field of a model file, walked: a change is caught by the checker, or is harmless.

What the file says of a model is changed field by field, for a certificate of every kind, and read
and certified again. A change that goes through must be in `HARMLESS`, with the reason.
"""

import base64
import itertools
import json
import re
import zlib
from dataclasses import fields, replace

import numpy as np
import pytest

import qdeploy
from qdeploy.checker import certify
from qdeploy.data import dataset_from_arrays
from qdeploy.errors import QDeployError
from qdeploy.network import QuantizedNetwork
from qdeploy.onnx import export, from_proto

DTYPES = {
    "residual": "<i4", "multipliers": "<i8", "left": "<i8", "right": "<i8", "weights": "<i8",
    "diagonals": "<i8", "cuts": "<i2", "fixed": "i1", "kept": "<i8", "offset": "<f4",
    "scale": "<f4",
}  # fmt: skip
NAMED = {
    "method": ("sdp", "cutting-planes", "branch-and-bound", "enumeration"),
    "loss": ("squared", "squared-hinge", "hinge", "logistic"),
    "weights": ("binary", "ternary", "2-bit", "3-bit", "4-bit"),
    "penalty_kind": ("count", "size"),
}

NAMES = {
    r"model\.(name|quantizer\.feature_names.*|head\.names.*)": "names: nothing is proven of them",
    r"provenance(\.(?!options\.class_weight|split).*)?": "an account of the training, no proof",
}
"""Fields that may say anything."""

HARMLESS = {
    r"model\.scale: (raised|lowered)": "a network whose objective is as good, and is proven",
    r"certificate\.activation\.unit: (raised|lowered)": "neurons larger by 10⁻⁹, as claimed",
    r"certificate\.loss: squared-hinge": "of squared loss with such residuals, true and weaker",
    r"certificate\.(weights: (binary|ternary)|penalty_kind: (size|count)|penalty_kind: removed)":
        "the same of ±1 weights, and of neurons that are counted",
    r"certificate\.outputs\.\d+\.(objective|bound|norm_bound): .*": "a weaker claim, still true",
    r"certificate\.outputs\.\d+\.(sides\.\d\.)?(shift|largest|multipliers|tree.*): .*":
        "another proof of the same claim, true as well",
    r"certificate\.shared\.(left|right): .*": "another proof of the same claim, true as well",
}  # fmt: skip
"""Changes that may go through: what the file says then is true, and proven."""


def mutations(path, value):
    """Changed values of a field of JSON, with what was done."""
    name = path.rsplit(".", 1)[-1]
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        yield from (("raised", value + 1), ("lowered", value - 1))
    elif isinstance(value, float):
        yield "raised", value * (1 + 1e-9) if value else 1.0
        yield "lowered", value * (1 - 1e-9) if value else -1.0
        if value:
            yield from (("doubled", 2 * value), ("halved", value / 2), ("negated", -value))
            yield "zero", 0.0
    elif name in DTYPES and (packed := _unpacked(value, DTYPES[name])) is not None:
        for what, array in _changed_arrays(packed):
            if not np.array_equal(array, packed):
                yield what, _packed(array)
    elif re.fullmatch("-?[0-9]+", value):
        number = int(value)
        yield from (("raised", str(number + 1)), ("lowered", str(number - 1)))
        yield from (("doubled", str(2 * number)), ("halved", str(number // 2)))
    elif name in NAMED:
        yield from ((other, other) for other in NAMED[name] if other != value)
    else:
        yield "another", ("1" if value[:1] == "0" else "0") + value[1:]


def _unpacked(text, dtype):
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), dtype)
    except (ValueError, zlib.error):
        return None


def _packed(array):
    return base64.b64encode(zlib.compress(array.tobytes())).decode()


def _changed_arrays(array):
    for place in sorted({0, array.size // 2, array.size - 1} if array.size else ()):
        for by in (-1, 1):
            changed = array.copy()
            changed[place] += by if array.dtype.kind == "i" else by * abs(changed[place]) / 4
            yield f"entry {place} by {by}", changed
    yield "halved", array // 2 if array.dtype.kind == "i" else array / 2
    yield "negated", -array
    yield "reversed", array[::-1].copy()
    yield "shorter", array[:-1]


def changes(record, path):
    """Changed copies of a JSON value: which field, what was done, the copy.

    Of a list, the first and the last entry are changed or left out.
    """
    if not isinstance(record, dict | list):
        yield from ((path, what, other) for what, other in mutations(path, record))
        return
    keys = record if isinstance(record, dict) else sorted({0, len(record) - 1})
    for key in keys:
        yield f"{path}.{key}", "removed", _without(record, key)
        for where, what, other in changes(record[key], f"{path}.{key}"):
            yield where, what, _with(record, key, other)


def _with(value, key, part):
    changed = value.copy()
    changed[key] = part
    return changed


def _without(value, key):
    changed = value.copy()
    del changed[key]
    return changed


def with_text(proto, part, record):
    """The proto's copy with one of its texts replaced."""
    changed = type(proto)()
    changed.CopyFrom(proto)
    item = next(item for item in changed.metadata_props if item.key == f"qdeploy.{part}")
    item.value = json.dumps(record)
    return changed


def rows(seed=7, count=40, classes=2):
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((count, 3))
    wave = features[:, 0] * features[:, 1] + 0.3 * features[:, 2]
    edges = np.quantile(wave, np.arange(1, classes) / classes)
    return features * [1, 3, 10], np.digitize(wave, edges)


TRAINED = {
    "ternary": {"weights": "ternary", "penalty": "size"},
    "2-bit": {"weights": "2-bit", "loss": "logistic"},
    "shared": {"outputs": "shared"},
    "square": {"activation": "square"},
    "activation": {"activation": "0.09,0.5,0.47", "loss": "squared-hinge"},
    "linear": {"activation": "0,1,0"},
    "shifts": {"input_shifts": "learned"},
    "class weights": {"class_weight": {"0": 2.0}, "loss": "hinge"},
    "compact": {"neurons": 2},
}
BUILT = {
    "sdp": ("numbers", "squared", "sdp"),
    "cutting planes": ("two", "squared", "cutting-planes"),
    "branch and bound": ("two", "squared", "branch-and-bound"),
    "enumeration": ("weighted", "squared-hinge", "enumeration"),
}


@pytest.fixture(scope="module", params=[*TRAINED, *BUILT])
def case(request, certified):
    """Model and data of one kind of certificate."""
    if request.param in BUILT:
        made = certified(*BUILT[request.param])
        return made.model, made.dataset
    features, labels = rows(classes=3 if request.param == "shared" else 2)
    data = dataset_from_arrays(features, labels)
    options = TRAINED[request.param]
    result = qdeploy.train(data, beta=1.0, jobs=1, **options)
    return result.model, data


def true_norms(model, data):
    """The least N that each output may claim, by trying all neurons, up to rounding."""
    certificate = model.certificate
    inputs = data.features if model.quantizer is None else model.quantizer.quantize(data.features)
    ones = np.full((len(inputs), 1), certificate.constant)
    lifted = np.hstack([inputs.astype(np.int64), ones])
    signs = np.array(list(itertools.product((-1, 1), repeat=lifted.shape[1])))
    sums = lifted @ signs.T
    norms = []
    for output in certificate.outputs:
        r = output.residual.astype(np.int64)
        gram = lifted.T @ (r[:, None] * lifted)
        if certificate.activation is not None:
            square, linear = certificate.activation.square, certificate.activation.linear
            norms.append(2 * abs(r @ (sums * (square * sums + linear))).max())
        elif certificate.penalty_kind == "size" and certificate.weights != "binary":
            norms.append(len(gram) * np.linalg.norm(gram.astype(float), 2) * (1 - 1e-12))
        else:
            norms.append(signs @ gram @ signs.T)
    if certificate.shared is not None:
        shared = np.sqrt(sum(values.astype(float) ** 2 for values in norms)).max()
        return [shared * (1 - 1e-12)] * len(norms)
    return [abs(norm).max() for norm in norms]


def stated(reasons, change):
    return any(re.fullmatch(pattern, change) for pattern in reasons)


def no_better(changed, data, proven):
    """Whether all claims are within what is true."""
    claims = changed.certificate.outputs
    return all(
        claim.norm_bound >= norm
        and claim.objective >= truth.objective
        and claim.bound <= truth.bound
        for claim, norm, truth in zip(claims, true_norms(changed, data), proven, strict=True)
    )


def test_every_field(case):
    model, data = case
    proto = export(model)
    proven = certify(from_proto(proto), data)
    assert proven.holds, proven.reason
    assert no_better(model, data, proven.outputs)
    walked, caught = set(), set()
    texts = {item.key.removeprefix("qdeploy."): item.value for item in proto.metadata_props}
    for part in ("model", "certificate", "provenance"):
        record = json.loads(texts[part])
        for path, what, changed in changes(record, part):
            walked.add(path)
            try:
                read = from_proto(with_text(proto, part, changed))
            except QDeployError:
                caught.add(path)
                continue
            if not certify(read, data).holds:
                caught.add(path)
            elif not stated(NAMES, path):
                assert stated(HARMLESS, f"{path}: {what}"), f"{path}: {what} goes through"
                assert no_better(read, data, proven.outputs), f"{path}: {what} is false"
    # Every field that means something is seen to be looked at.
    assert not {path for path in walked - caught if not stated(NAMES, path)}


def test_every_part_of_the_network(case):
    """Changed weights in a file that is consistent otherwise: its digest is made anew."""
    model, data = case
    proven = certify(model, data)
    quadratic, readout = model.network.layers
    for place, layer in enumerate((quadratic, readout)):
        for field in fields(layer):
            array = getattr(layer, field.name)
            caught = False
            for what, changed in _changed_arrays(array.ravel().astype(np.int64)):
                if what == "shorter" or np.array_equal(changed, array.ravel()):
                    continue
                layers = [quadratic, readout]
                layers[place] = replace(layer, **{field.name: changed.reshape(array.shape)})
                check = certify(replace(model, network=QuantizedNetwork(layers)), data)
                caught = caught or not check.holds
                # Another network of the family may be better, where rounding has left room.
                assert not check.holds or check.objective <= proven.objective, (field.name, what)
            assert caught, field.name


def test_every_part_of_the_data(case):
    model, data = case
    count = len(data.features)
    step = 1.0 if model.quantizer is None else 2 * float(model.quantizer.scale.max())
    seen = range(data.features.shape[1]) if model.quantizer is None else model.quantizer.kept
    for column in seen:
        features = data.features.copy()
        row = int(np.abs(features[:, column] - features[:, column].mean()).argmin())
        features[row, column] += step
        assert not certify(model, replace(data, features=features)).holds
    turned, order = data.target.copy(), np.arange(count)
    first = int(np.flatnonzero(turned != turned[0])[0])
    turned[first] = turned[0]
    order[[0, first]] = order[[first, 0]]
    assert not certify(model, replace(data, target=turned)).holds
    weights = np.ones(count) if data.weights is None else data.weights.copy()
    weights[0] *= 1.5
    assert not certify(model, replace(data, weights=weights)).holds
    for rows in (order, np.arange(count - 1), np.append(np.arange(count), 0)):
        part = replace(
            data, features=data.features[rows], target=data.target[rows],
            weights=None if data.weights is None else data.weights[rows],
        )  # fmt: skip
        assert not certify(model, part).holds
