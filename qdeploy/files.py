"""Output files: checked before long work starts, written in one step at its end."""

import os
from pathlib import Path

from qdeploy.errors import QDeployError

__all__ = ["check_writable", "write_bytes", "write_text"]


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Refuse, before any work is done, an output that could not be written at the end.

    Args:
        path: the file or folder to be written.
        overwrite: whether it may exist.

    Raises:
        QDeployError: it exists, or its folder is missing or cannot be written.
    """
    if path.exists() and not overwrite:
        raise QDeployError(
            f"{path} exists already; choose another name or overwrite it "
            "(--force, or overwrite=True in Python)"
        )
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise QDeployError(f"{path} cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK):
        raise QDeployError(f"{path} cannot be written: no permission to write in {folder}")


def write_bytes(path: Path, content: bytes, *, overwrite: bool = False) -> Path:
    """Write a file in one step: a reader sees the old content or the new, never a part.

    Args:
        path: the file; its folder is made when missing.
        content: what to write.
        overwrite: whether it may exist.

    Raises:
        QDeployError: it exists and `overwrite` is False, or it cannot be written.
    """
    check_writable(path, overwrite=overwrite)
    if path.is_dir():
        raise QDeployError(f"{path} cannot be written: it is a folder")
    # In the same folder, so that the last step is a rename within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise QDeployError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_text(path: Path, text: str, *, overwrite: bool = False) -> Path:
    """`write_bytes` of a text as UTF-8."""
    return write_bytes(path, text.encode("utf-8"), overwrite=overwrite)
