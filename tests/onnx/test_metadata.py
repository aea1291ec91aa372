import base64
import json
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.onnx import export, from_proto
from qdeploy.onnx import metadata as module
from qdeploy.onnx.metadata import decode, encode

MODEL, CERTIFICATE, PROVENANCE = "qdeploy.model", "qdeploy.certificate", "qdeploy.provenance"


def packed(values, dtype) -> str:
    return base64.b64encode(zlib.compress(np.asarray(values, dtype).tobytes())).decode()


def reload(model: Model, key: str, change) -> Model:
    """The model of a file in which `change` has edited the JSON object under `key`."""
    proto = export(model)
    item = next(item for item in proto.metadata_props if item.key == key)
    value = json.loads(item.value)
    change(value)
    item.value = json.dumps(value)
    return from_proto(proto)


def test_the_layout_is_the_documented_one(random_model):
    texts = encode(random_model(outputs=2, samples=4))
    assert list(texts) == ["qdeploy.format", MODEL, CERTIFICATE, PROVENANCE]
    assert texts["qdeploy.format"] == "1"
    model, certificate = json.loads(texts[MODEL]), json.loads(texts[CERTIFICATE])
    assert list(model) == ["name", "network", "scale", "head", "quantizer"]
    assert list(model["quantizer"]) == ["feature_names", "kept", "offset", "scale", "zero_point"]
    assert certificate["samples"] == 4
    assert list(certificate["outputs"][0]) == [
        "objective",
        "bound",
        "norm_bound",
        "residual",
        "multipliers",
    ]
    assert isinstance(certificate["outputs"][0]["norm_bound"], str)
    manual = (Path(__file__).parents[2] / "docs" / "file-formats.md").read_text("utf-8")
    for record in (texts, model, model["quantizer"], certificate, certificate["outputs"][0]):
        for field in record:
            assert f"`{field}`" in manual


def test_the_metadata_of_a_usual_model_is_small(random_model):
    texts = encode(random_model(inputs=30, neurons=16, samples=455))
    assert sum(map(len, texts.values())) < 6000


def test_files_of_other_tools_have_none():
    assert decode({"author": "someone", "qdeployed": "yes"}) is None


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"qdeploy.format": "2"}, "this version of qdeploy reads '1'"),
        ({"qdeploy.format": "1"}, "it was damaged or edited"),
        ({"qdeploy.model": "{}"}, "it was damaged or edited"),
        ({"qdeploy.extra": "1"}, "it was damaged or edited"),
    ],
)
def test_other_layouts_are_refused(texts, message):
    with pytest.raises(QDeployError, match=message):
        decode(texts)


@pytest.mark.parametrize("key", ["qdeploy.format", MODEL, CERTIFICATE, PROVENANCE])
def test_texts_beyond_the_limit_are_refused_unread(random_model, monkeypatch, key):
    texts = encode(random_model())
    monkeypatch.setitem(module.MAX_CHARACTERS, key, len(texts[key]) - 1)
    with pytest.raises(QDeployError, match=f"{key} has|{key} needs"):
        decode(texts)
    with pytest.raises(QDeployError, match=f"{key} needs"):
        encode(random_model())


def assign(*path_and_value):
    *path, last, value = path_and_value

    def change(record):
        for step in path:
            record = record[step]
        record[last] = value

    return change


REFUSED = [
    (MODEL, assign("name", "rm -rf"), "will name C functions"),
    (MODEL, assign("name", "x; system()"), "will name C functions"),
    (MODEL, assign("name", 3), "name: Input should be a valid string"),
    (MODEL, assign("scale", float("nan")), "scale: Input should be a finite number"),
    (MODEL, assign("scale", -1.0), "must be positive"),
    (MODEL, assign("scale", "1"), "scale: Input should be a valid number"),
    (MODEL, assign("network", "0" * 64), "the weights in the graph are not those"),
    (MODEL, assign("surprise", 1), "surprise: Extra inputs are not permitted"),
    (MODEL, assign("head", "kind", "oracle"), "head: "),
    (MODEL, assign("head", "labels", ["a"]), "at least 2 items"),
    (MODEL, assign("head", "labels", ["a", "a"]), "all different"),
    (MODEL, assign("head", "labels", list("abc")), "3 classes need 3 scores, not 2"),
    (MODEL, assign("head", "labels", [["a"], "b"]), "head.classes.labels.0"),
    (MODEL, assign("quantizer", "zero_point", 128), "zero point an int8"),
    (MODEL, assign("quantizer", "kept", "!!"), "quantizer.kept: String should match"),
    (MODEL, assign("quantizer", "kept", "AAA"), "quantizer.kept is damaged"),
    (MODEL, assign("quantizer", "kept", "AAAA"), "quantizer.kept is damaged"),
    (MODEL, assign("quantizer", "kept", packed([0] * 5, "<i8")), "must be distinct"),
    (MODEL, assign("quantizer", "kept", packed(range(9, 14), "<i8")), "not among the named"),
    (MODEL, assign("quantizer", "kept", packed(range(4), "<i8")), "kept does not hold 5 values"),
    (MODEL, assign("quantizer", "kept", packed(range(6), "<i8")), "kept does not hold 5 values"),
    (MODEL, assign("quantizer", "scale", packed([np.nan] * 5, "<f4")), "must be finite"),
    (MODEL, assign("quantizer", "scale", packed([0] * 5, "<f4")), "scales must be positive"),
    (MODEL, assign("quantizer", "feature_names", ["a"]), "not among the named"),
    (MODEL, assign("quantizer", "feature_names", [1] * 6), "valid string"),
    (CERTIFICATE, assign("method", "faith"), "method: Input should be 'sdp', 'cutting-planes'"),
    (CERTIFICATE, assign("beta", float("inf")), "beta: Input should be a finite number"),
    (CERTIFICATE, assign("input_step", 0), "input_step: "),
    (CERTIFICATE, assign("data_digest", "abc"), "data_digest: String should match"),
    (CERTIFICATE, assign("outputs", []), "outputs: "),
    (CERTIFICATE, lambda c: c["outputs"].pop(), "proves 1 outputs but the network has 2"),
    (CERTIFICATE, assign("samples", 10), "outputs.0.residual does not hold 10 values"),
    (CERTIFICATE, assign("samples", 8), "outputs.0.residual does not hold 8 values"),
    (CERTIFICATE, assign("samples", 2**31), "more than a file may hold"),
    (CERTIFICATE, assign("samples", 2**70), "samples: "),
    (CERTIFICATE, assign("outputs", 0, "norm_bound", "-1"), "norm_bound: String should match"),
    (CERTIFICATE, assign("outputs", 0, "norm_bound", "9" * 500), "norm_bound: "),
    (CERTIFICATE, assign("outputs", 0, "multipliers", packed([1], "<i8")), "does not hold 6"),
    (CERTIFICATE, assign("outputs", 1, "residual", packed([1], "<i4")), "outputs.1.residual"),
]


@pytest.mark.parametrize(("key", "change", "message"), REFUSED)
def test_ill_formed_metadata_is_refused_in_a_sentence(random_model, key, change, message):
    with pytest.raises(QDeployError, match=message) as caught:
        reload(random_model(outputs=2), key, change)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", [MODEL, CERTIFICATE, PROVENANCE])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "nul",
        "[]",
        "3",
        "{",
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        "[" * 100_000,
        "1" * 10_000,
        "{}\0",
        '"\\ud800"',
        "__import__('os')",
    ],
)
def test_texts_that_are_not_the_json_expected_are_refused(random_model, key, text):
    texts = {**encode(random_model()), key: text}
    with pytest.raises(QDeployError, match=key):
        decode(texts)


def test_a_bomb_is_not_inflated(random_model):
    bomb = base64.b64encode(zlib.compress(bytes(50 * 2**20), 9)).decode()
    with pytest.raises(QDeployError, match=r"outputs\.0\.residual does not hold 9 values"):
        reload(random_model(), CERTIFICATE, assign("outputs", 0, "residual", bomb))


def test_what_cannot_be_loaded_is_not_written(random_model):
    model = random_model(outputs=2)
    proof = model.certificate.outputs[0]
    object.__setattr__(proof, "residual", proof.residual[:-1])
    with pytest.raises(QDeployError, match="does not hold"):
        encode(model)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([packed(range(5), "<i8"), "classes", "numbers", "1e999", "null"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def places(value, path=()):
    """Every path into a JSON value."""
    yield path
    if isinstance(value, dict | list):
        steps = value if isinstance(value, dict) else range(len(value))
        for step in steps:
            yield from places(value[step], (*path, step))


@settings(max_examples=400, deadline=None)
@given(data=st.data(), key=st.sampled_from([MODEL, CERTIFICATE, PROVENANCE]), new=JSON)
def test_random_edits_load_or_are_refused(random_model, data, key, new):
    proto = export(random_model(outputs=2, regression=data.draw(st.booleans())))
    item = next(item for item in proto.metadata_props if item.key == key)
    value = json.loads(item.value)
    path = data.draw(st.sampled_from(list(places(value))))
    if path:
        assign(*path, new)(value)
    item.value = json.dumps(value if path else new)
    sentence = ""
    try:
        assert isinstance(from_proto(onnx.ModelProto.FromString(proto.SerializeToString())), Model)
    except QDeployError as error:
        sentence = str(error)
    assert len(sentence) < 800
    assert "\n" not in sentence
