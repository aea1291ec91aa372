"""Predictions of a model file or a compiled artifact for a table of data."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.files import write_text
from qdeploy.model import Classes, Model

if TYPE_CHECKING:
    from qdeploy.compiler import Artifact

__all__ = ["Predictions", "load_any", "predict_file"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says about each row.

    Attributes:
        model: the model that predicted.
        values: labels (n,), or numbers (n,) or (n, K).
        scores: integer scores (n, K) behind them.
    """

    model: Model
    values: NDArray[np.generic]
    scores: NDArray[np.integer]

    def to_csv(self) -> str:
        """A table of a header and one line a row: the prediction, then the integer scores."""
        head = self.model.head
        if isinstance(head, Classes):
            predicted = ["prediction"]
            labels = head.labels[1:] if head.outputs == 1 else head.labels
            scored = [f"score_{label}" for label in labels]
        else:
            predicted = [f"prediction_{name}" for name in head.names]
            scored = [f"score_{name}" for name in head.names]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*predicted, *scored])
        values = self.values.reshape(len(self.scores), -1).tolist()
        for value, score in zip(values, self.scores.tolist(), strict=True):
            writer.writerow([*value, *score])
        return text.getvalue()

    def save(self, path: Path, *, overwrite: bool = False) -> Path:
        """Write `to_csv` to a file in one step.

        Raises:
            QDeployError: the file exists and `overwrite` is False, or cannot be written.
        """
        return write_text(path, self.to_csv(), overwrite=overwrite)


def predict_file(model: Path, data: str) -> Predictions:
    """Predict every row of a table.

    Args:
        model: a model.onnx file, run by its numpy meaning, or an artifact folder, run by its
            compiled library.
        data: a table or arrays with the model's features; a label column is ignored.

    Raises:
        QDeployError: the model or the data cannot be read, or do not fit each other.
    """
    from qdeploy.data import read_features

    subject = load_any(model)
    loaded = subject if isinstance(subject, Model) else subject.model
    if loaded.quantizer is None:
        raise QDeployError(
            f"{model} has no input quantiser, so raw features cannot be given to it; "
            "call it from Python with int8 inputs"
        )
    features = read_features(data, loaded.quantizer.feature_names)
    scores = subject.scores(features)
    return Predictions(loaded, loaded.interpret(scores), scores)


def load_any(path: Path) -> "Model | Artifact":
    """The artifact in a folder, or the model in a file.

    Raises:
        QDeployError: it cannot be read.
    """
    if path.is_dir():
        from qdeploy.compiler import Artifact

        return Artifact.load(path)
    from qdeploy import onnx

    return onnx.load(path)
