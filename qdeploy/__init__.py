"""qdeploy: polynomial networks with few-bit weights, trained to a proven gap, for edge devices.

The names below are imported when first used, so that ``import qdeploy`` costs next to nothing and
a program that only runs a compiled artifact never loads the solvers.
"""

import importlib
from typing import TYPE_CHECKING, Any

from qdeploy.errors import QDeployError

if TYPE_CHECKING:
    from qdeploy.benchmark import bench
    from qdeploy.checker import certify
    from qdeploy.compiler import Artifact
    from qdeploy.compiler import compile_model as compile
    from qdeploy.estimators import QuantizedClassifier, QuantizedRegressor
    from qdeploy.model import Model
    from qdeploy.onnx import load
    from qdeploy.training.trainer import TrainingResult, train

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "Model",
    "QDeployError",
    "QuantizedClassifier",
    "QuantizedRegressor",
    "TrainingResult",
    "__version__",
    "bench",
    "certify",
    "compile",
    "load",
    "train",
]

_HOMES = {
    "Artifact": ("qdeploy.compiler", "Artifact"),
    "Model": ("qdeploy.model", "Model"),
    "QuantizedClassifier": ("qdeploy.estimators", "QuantizedClassifier"),
    "QuantizedRegressor": ("qdeploy.estimators", "QuantizedRegressor"),
    "TrainingResult": ("qdeploy.training.trainer", "TrainingResult"),
    "bench": ("qdeploy.benchmark", "bench"),
    "certify": ("qdeploy.checker", "certify"),
    "compile": ("qdeploy.compiler", "compile_model"),
    "load": ("qdeploy.onnx", "load"),
    "train": ("qdeploy.training.trainer", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
