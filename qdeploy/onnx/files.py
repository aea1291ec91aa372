"""Reading and writing .onnx files: atomically, within limits, with one sentence when it fails."""

import os
import tempfile
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.onnx.export import export
from qdeploy.onnx.loading import from_proto

__all__ = ["MAX_BYTES", "load", "save"]

MAX_BYTES = 512 * 2**20


def save(
    model: Model,
    path: str | Path,
    *,
    front: bool = False,
    tail: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a model to a file that appears whole or not at all.

    Args:
        model: what to write.
        path: the file, usually ending in .onnx.
        front: see `qdeploy.onnx.export`.
        tail: see `qdeploy.onnx.export`.
        overwrite: replace a file that exists.

    Returns:
        The path.

    Raises:
        QDeployError: the file exists, its folder does not or cannot be written to, or the model
            cannot be exported.
    """
    target = Path(path)
    _check_target(target, overwrite)
    content = export(model, front=front, tail=tail).SerializeToString(deterministic=True)
    if len(content) > MAX_BYTES:
        raise QDeployError(
            f"{target}: the model needs {len(content)} bytes; a file may hold {MAX_BYTES}"
        )
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as draft:
            try:
                draft.write(content)
                draft.flush()
                os.fsync(draft.fileno())
                Path(draft.name).chmod(0o666 & ~_umask())
                Path(draft.name).replace(target)
            except BaseException:
                Path(draft.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise QDeployError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise QDeployError(f"{target} is a folder; name a file to write the model to")
    if not target.parent.is_dir():
        raise QDeployError(f"the folder {target.parent} does not exist; create it first")
    if target.exists() and not overwrite:
        raise QDeployError(f"{target} exists already; name another file or ask to overwrite it")


def _umask() -> int:
    """The process's mask of new files' permissions, which temporary files ignore."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(path: str | Path) -> Model:
    """Read a model from an ONNX file, trusting nothing in it.

    Args:
        path: a file that `save` wrote, or one with the same operators from elsewhere.

    Raises:
        QDeployError: the file is missing, too large, damaged, or holds anything but such a model.
    """
    source = Path(path)
    content = _read(source)
    try:
        proto = onnx.ModelProto.FromString(content)
    except (DecodeError, ValueError, RecursionError) as error:
        raise QDeployError(
            f"{source} is not an ONNX file, or was cut short or damaged on its way here"
        ) from error
    try:
        return from_proto(proto, name=source.stem)
    except QDeployError as error:
        raise QDeployError(f"{source}: {error}") from error


def _read(source: Path) -> bytes:
    try:
        if not source.is_file():
            reason = "is not a file" if source.exists() else "does not exist"
            raise QDeployError(f"{source} {reason}; give the path of an .onnx file")
        with source.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise QDeployError(f"{source} cannot be read: {error}") from error
    if len(content) > MAX_BYTES:
        raise QDeployError(f"{source} is larger than the {MAX_BYTES} bytes that a model may have")
    if not content:
        raise QDeployError(f"{source} is empty; a model file was expected")
    return content
