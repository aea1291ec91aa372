"""``qdeploy compare``: what it writes, and one sentence for whatever it cannot use."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_iris

from qdeploy.cli.app import run


@pytest.fixture
def data(tmp_path):
    features, target = load_iris(return_X_y=True)
    np.savez(tmp_path / "flowers.npz", X=features, y=target)
    return tmp_path / "flowers.npz"


def words_for(data, folder, *more):
    words = ["compare", str(data), "--neurons", "2", "--seeds", "1", "--seconds", "0.1", "-q"]
    methods = ["--methods", "random-features,logistic"]
    return [*words, *methods, "--jobs", "1", "-o", str(folder), *more]


def error_of(capsys, words, status=1):
    assert run(words) == status
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_rows_files_and_page(data, tmp_path, capsys):
    page = tmp_path / "page.md"
    assert run(words_for(data, tmp_path / "out", "--json", "--page", str(page))) == 0
    values = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in values["rows"]] == ["random-features", "logistic"]
    assert str(page) in values["files"]
    for name in ("comparison.json", "comparison.csv", "comparison.md"):
        assert (tmp_path / "out" / name).exists()
    assert "--methods random-features,logistic" in page.read_text()
    assert "The compact mode did not take part" in page.read_text()
    assert "exists already" in error_of(
        capsys, words_for(data, tmp_path / "out", "--page", str(page))
    )
    assert run(words_for(data, tmp_path / "out", "--page", str(page), "--force")) == 0
    assert "logistic regression" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--neurons", "4,none", "whole number"),
        ("--neurons", "0", "at least 1"),
        ("--seeds", "0", "--seeds"),
        ("--seconds", "-1", "above 0"),
        ("--test-size", "1", "--test-size"),
    ],
)
def test_values_out_of_range(option, value, told, data, tmp_path, capsys):
    assert told in error_of(capsys, words_for(data, tmp_path / "out", option, value), 2)


def test_what_cannot_be_used(data, tmp_path, capsys):
    assert "absent.npz" in error_of(capsys, words_for(tmp_path / "absent.npz", tmp_path / "out"))
    unknown = words_for(data, tmp_path / "out", "--methods", "magic")
    assert "choose one of boosting, certified" in error_of(capsys, unknown)
    assert "not a folder" in error_of(capsys, words_for(data, data / "out"))
    np.savez(tmp_path / "lengths.npz", X=np.arange(20.0).reshape(10, 2), y=np.arange(10) + 0.5)
    numbers = words_for(tmp_path / "lengths.npz", tmp_path / "out")
    assert "is a number" in error_of(capsys, numbers)
