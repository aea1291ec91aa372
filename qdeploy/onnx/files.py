"""Reading and writing .onnx files, within limits and with one sentence when it fails."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from qdeploy.errors import QDeployError
from qdeploy.files import check_writable, write_bytes
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
        path: the file, usually ending in .onnx; its folder is made when missing.
        front: see `qdeploy.onnx.export`.
        tail: see `qdeploy.onnx.export`.
        overwrite: replace a file that exists.

    Returns:
        The path.

    Raises:
        QDeployError: the file exists, cannot be written, or the model cannot be exported.
    """
    target = Path(path)
    check_writable(target, overwrite=overwrite)
    content = export(model, front=front, tail=tail).SerializeToString(deterministic=True)
    if len(content) > MAX_BYTES:
        raise QDeployError(
            f"{target}: the model needs {len(content)} bytes; a file may hold {MAX_BYTES}"
        )
    return write_bytes(target, content, overwrite=overwrite)


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
