import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from qdeploy.data import read_dataset, read_features
from qdeploy.errors import QDeployError

X = np.arange(12, dtype=np.float32).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 1, 0])


def save(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(QDeployError) as caught:
        read_dataset(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_archive(tmp_path: Path) -> None:
    data = read_dataset(save(tmp_path, X=X, y=Y, feature_names=np.array(["p", "q"])))
    assert data.feature_names == ("p", "q")
    assert data.target_names == ("y",)
    np.testing.assert_array_equal(data.features, X)
    assert data.target.tolist() == Y.tolist()


def test_another_target_can_be_named(tmp_path: Path) -> None:
    path = save(tmp_path, X=X, y=Y, other=1 - Y)
    assert read_dataset(path, label="other").target.tolist() == (1 - Y).tolist()
    assert "no array 'z'; it holds X, y, other" in refusal(path, label="z")


def test_several_outputs(tmp_path: Path) -> None:
    data = read_dataset(save(tmp_path, X=X, y=X / 3))
    assert data.task == "regress"
    assert data.target.shape == (6, 2)
    assert data.target_names == ("y0", "y1")


def test_features_alone_suffice_for_prediction(tmp_path: Path) -> None:
    assert read_features(save(tmp_path, X=X), ("x0", "x1")).shape == (6, 2)
    named = save(tmp_path, X=X, feature_names=np.array(["p", "q"]))
    np.testing.assert_array_equal(read_features(named, ("q", "p")), X[:, ::-1])


def test_missing_arrays(tmp_path: Path) -> None:
    assert "no array 'y'; it holds X" in refusal(save(tmp_path, X=X))
    assert "no array 'X'; it holds y" in refusal(save(tmp_path, y=Y))


@pytest.mark.parametrize("name", ["X", "y", "feature_names"])
def test_objects_are_never_loaded(tmp_path: Path, name: str) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("unpickled",))

    arrays = {"X": X, "y": Y, "feature_names": np.array(["p", "q"])}
    arrays[name] = np.array([Trap()], dtype=object)
    message = refusal(save(tmp_path, **arrays))
    assert f"array {name!r}: holds Python objects" in message


def test_damaged_archives(tmp_path: Path) -> None:
    path = save(tmp_path, X=X, y=Y)
    whole = path.read_bytes()
    for size in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "not a readable .npz archive" in refusal(path)
    flipped = bytearray(whole)
    flipped[150] ^= 0xFF
    path.write_bytes(flipped)
    assert "not a readable .npz archive" in refusal(path)
    path.write_bytes(pickle.dumps(X))
    assert "not a readable .npz archive" in refusal(path)


def test_no_damaged_byte_gets_through(tmp_path: Path) -> None:
    whole = save(tmp_path, X=X, y=Y).read_bytes()
    path = tmp_path / "damaged.npz"
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xA5
        path.write_bytes(damaged)
        try:
            data = read_dataset(path)
        except QDeployError:
            continue
        np.testing.assert_array_equal(data.features, X)


def test_a_single_array_is_not_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with path.open("wb") as stream:
        np.save(stream, X)
    assert "holds a single array" in refusal(path)


def test_a_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        archive.writestr("y.npy", b"")
    assert "not a readable .npz archive" in refusal(path)
