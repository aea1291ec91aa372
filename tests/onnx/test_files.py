import os

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.onnx import export, files, load, save


def test_save_and_load(random_model, tmp_path):
    model = random_model(outputs=3)
    path = save(model, tmp_path / "model.onnx")
    assert path == tmp_path / "model.onnx"
    assert load(path).certificate.gap == model.certificate.gap
    assert load(str(path)).name == "example"
    assert [item.name for item in tmp_path.iterdir()] == ["model.onnx"]


def test_save_overwrites_only_when_told(random_model, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("precious")
    with pytest.raises(QDeployError, match="exists already"):
        save(random_model(), path)
    assert path.read_text() == "precious"
    save(random_model(), path, overwrite=True)
    assert load(path).network.inputs == 5


def test_save_makes_the_folder_and_refuses_what_is_none(random_model, tmp_path):
    assert save(random_model(), tmp_path / "new" / "model.onnx").is_file()
    with pytest.raises(QDeployError, match="is a folder"):
        save(random_model(), tmp_path, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(QDeployError, match="is not a folder"):
        save(random_model(), tmp_path / "file" / "model.onnx")


def test_load_refuses_what_is_no_model_file(tmp_path, monkeypatch):
    with pytest.raises(QDeployError, match="does not exist"):
        load(tmp_path / "absent.onnx")
    with pytest.raises(QDeployError, match="is not a file"):
        load(tmp_path)
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"")
    with pytest.raises(QDeployError, match="is empty"):
        load(path)
    path.write_bytes(b"GIF89a, not protobuf at all")
    with pytest.raises(QDeployError, match=r"not an ONNX file|no ONNX graph"):
        load(path)
    path.write_bytes(b"\x80\x04\x95c__main__\nexploit\n.")
    with pytest.raises(QDeployError, match="not an ONNX file"):
        load(path)
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    path.write_bytes(b"x" * 101)
    with pytest.raises(QDeployError, match="larger than the 100 bytes"):
        load(path)


def test_load_never_opens_external_data(random_model, tmp_path):
    secret = tmp_path / "weights.bin"
    os.mkfifo(secret)  # reading it would block for ever
    proto = export(random_model())
    tensor = proto.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=secret.name)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(QDeployError, match="stored outside the file"):
        load(path)


def load_or_refuse(path, content: bytes) -> None:
    """Only a model or one printable sentence may come out."""
    path.write_bytes(content)
    sentence = ""
    try:
        model = load(path)
        assert isinstance(model, Model)
        assert model.network.accumulators
    except QDeployError as error:
        sentence = str(error)
    assert not sentence or (sentence.isprintable() and len(sentence) < 800)


@pytest.fixture(scope="module")
def good_files(random_model, tmp_path_factory):
    """Where to write, and the bytes of a core and of a whole graph."""
    model = random_model(outputs=3, samples=40)
    contents = [
        export(model, front=whole, tail=whole).SerializeToString() for whole in (False, True)
    ]
    return tmp_path_factory.mktemp("fuzz") / "model.onnx", contents


@settings(max_examples=1000, deadline=None)
@given(
    whole=st.booleans(),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    cut=st.floats(0, 1) | st.just(1.0),
)
def test_flipped_bytes_and_truncations_load_or_are_refused(good_files, whole, edits, cut):
    path, contents = good_files
    content = bytearray(contents[whole])
    for where, value in edits:
        content[int(where * len(content))] = value
    load_or_refuse(path, bytes(content[: int(cut * len(content))]))


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=300))
def test_random_bytes_are_refused(good_files, content):
    load_or_refuse(good_files[0], content)
