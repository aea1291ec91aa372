"""Output files: refused early, written whole or not at all."""

import os
import stat

import pytest

from qdeploy.errors import QDeployError
from qdeploy.files import check_writable, write_bytes, write_text


def test_write_and_overwrite(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    assert write_text(path, "grün") == path
    assert path.read_bytes() == "grün".encode()
    with pytest.raises(QDeployError, match="exists already"):
        write_text(path, "other")
    write_text(path, "other", overwrite=True)
    assert path.read_text() == "other"
    assert list(path.parent.iterdir()) == [path]


def test_new_files_have_ordinary_permissions(tmp_path):
    written, ordinary = tmp_path / "written", tmp_path / "ordinary"
    write_bytes(written, b"")
    ordinary.write_bytes(b"")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(QDeployError, match="No space left"):
        write_bytes(path, b"new", overwrite=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(QDeployError, match="not a folder"):
        check_writable(file / "below", overwrite=False)
    with pytest.raises(QDeployError, match="it is a folder"):
        write_bytes(tmp_path, b"", overwrite=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(QDeployError, match="no permission"):
        check_writable(tmp_path / "new", overwrite=False)
