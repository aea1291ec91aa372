"""The ONNX file, the one model format: everything behind it also works on files from elsewhere."""

from qdeploy.onnx.export import export
from qdeploy.onnx.files import load, save
from qdeploy.onnx.loading import from_proto

__all__ = ["export", "from_proto", "load", "save"]
