from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets

from qdeploy.data import DataWarning, read_dataset, read_features
from qdeploy.data.bundled import BUNDLED
from qdeploy.errors import QDeployError


@pytest.mark.filterwarnings("ignore::qdeploy.data.DataWarning")
@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data(name: str) -> None:
    data = read_dataset(f"sklearn:{name}")
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    np.testing.assert_array_equal(data.features, bunch.data)
    np.testing.assert_array_equal(data.target, bunch.target)
    assert data.source == f"sklearn:{name}"
    assert data.task == ("regress" if name in {"diabetes", "linnerud"} else "classify")
    assert read_features(f"sklearn:{name}", data.feature_names).shape == data.features.shape


def test_constant_pixels_are_told() -> None:
    with pytest.warns(DataWarning, match="3 columns are constant and left out: 'pixel_0_0'"):
        read_dataset("sklearn:digits")


def test_bundled_faults() -> None:
    with pytest.raises(QDeployError, match="perhaps 'iris' is meant; there are sklearn:breast"):
        read_dataset("sklearn:irisses")
    with pytest.raises(QDeployError, match="sklearn:iris brings its own label, 'target'"):
        read_dataset("sklearn:iris", label="species")


def answer(monkeypatch: pytest.MonkeyPatch, result: object) -> None:
    def fetch(**options: object) -> object:
        assert options["data_id"] == 61
        assert options["as_frame"] is False
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)


def bunch(**changes: object) -> SimpleNamespace:
    values = {
        "data": np.array([[1.0, 0], [2, 1], [3, 0], [4, 1]]),
        "feature_names": ["a", "b"],
        "target": np.array(["1", "2", "1", "2"], dtype=object),
        "target_names": ["class"],
        "categories": {},
    }
    return SimpleNamespace(**{**values, **changes})


def test_openml(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, bunch(categories={"b": ["10", "20"]}))
    data = read_dataset("openml:61")
    assert data.features.tolist() == [[1, 10], [2, 20], [3, 10], [4, 20]]
    assert data.target.tolist() == [1, 2, 1, 2]
    assert data.target_names == ("class",)


@pytest.mark.parametrize(
    ("result", "part"),
    [
        (URLError("no route"), "openml.org cannot be reached"),
        (TimeoutError("timed out"), "openml.org cannot be reached"),
        (ValueError("The md5 checksum of the file does not match.\nmore"), "md5 checksum"),
        (bunch(categories={"b": ["red", "blue"]}), "column 'b': holds categories such as 'red'"),
        (bunch(data=np.array([["x", "y"]] * 4, dtype=object)), "it has text columns"),
        (bunch(data=np.array([[1.0, np.nan]] * 4)), "column 'b', row 1: the value is missing"),
        (bunch(target=None), "names no label"),
    ],
)
def test_openml_faults(monkeypatch: pytest.MonkeyPatch, result: object, part: str) -> None:
    answer(monkeypatch, result)
    with pytest.raises(QDeployError) as caught:
        read_dataset("openml:61")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_openml_wants_a_number() -> None:
    with pytest.raises(QDeployError, match="give the number of the data set"):
        read_dataset("openml:mnist_784")
