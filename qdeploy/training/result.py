"""What training gives: the model with its certificate, and how it came about."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import Certificate
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.network import QuantizedNetwork
from qdeploy.training.checkpoint import Checkpoint
from qdeploy.training.options import Mode
from qdeploy.training.readout import ReadoutWidth
from qdeploy.training.selection import Selection
from qdeploy.training.within_size import WithinSize

__all__ = ["Fitted", "HistoryPoint", "TrainingResult", "merge_histories"]


@dataclass(frozen=True)
class HistoryPoint:
    """State of training at one moment, summed over the outputs.

    Attributes:
        seconds: since training began.
        objective: of the best real readout so far.
        bound: proven lower bound so far.
        neurons: in use.
    """

    seconds: float
    objective: float
    bound: float
    neurons: int


@dataclass(frozen=True, eq=False)
class Fitted:
    """What either mode of training gives, before it becomes a model.

    Attributes:
        quantizer: raw features to int8.
        network: the integer network.
        scale: real value of one unit of a score.
        certificate: the proof.
        history: objective and bound over time, earliest first.
        advice: what would be needed to do better, one sentence each.
        selection: the cross-validation behind β, or None.
        interrupted: training was ended before it was done.
        readout_widths: what several widths of the readout's integers cost, ascending.
    """

    quantizer: InputQuantizer
    network: QuantizedNetwork
    scale: float
    certificate: Certificate
    history: tuple[HistoryPoint, ...]
    advice: tuple[str, ...]
    selection: Selection | None
    interrupted: bool = False
    readout_widths: tuple[ReadoutWidth, ...] = ()


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained model and the record of its training.

    Attributes:
        model: network, quantiser, certificate and provenance.
        mode: "certified" or "compact".
        history: objective and bound over time, earliest first.
        train_score: accuracy, or mean R² of the outputs, on the training rows.
        seconds: training time.
        advice: what would be needed to do better, one sentence each.
        selection: the cross-validation behind β, or None where β was given.
        within_size: what is proven of the loss alone, in the compact mode.
        checkpoint: folder of steps that are kept until the model is saved.
        readout_widths: what several widths of the readout's integers cost with the same neurons,
            ascending; one of them is the network's. None where neurons have prices of their own.
    """

    model: Model
    mode: Mode
    history: tuple[HistoryPoint, ...]
    train_score: float
    seconds: float
    advice: tuple[str, ...]
    selection: Selection | None
    within_size: WithinSize | None = None
    checkpoint: Path | None = None
    readout_widths: tuple[ReadoutWidth, ...] = ()

    @property
    def network(self) -> QuantizedNetwork:
        """The integer network."""
        return self.model.network

    @property
    def certificate(self) -> Certificate:
        """The proof.

        Raises:
            QDeployError: the model carries none.
        """
        if self.model.certificate is None:
            raise QDeployError(f"model {self.model.name!r} carries no certificate")
        return self.model.certificate

    def predict(self, features: NDArray[Any]) -> NDArray[np.generic]:
        """Class labels (n,), or numbers (n,) or (n, K), of raw features (n, D)."""
        return self.model.predict(features)

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the model as an ONNX file; its checkpoint is then no longer needed.

        Raises:
            QDeployError: the file exists and `overwrite` is False, or cannot be written.
        """
        from qdeploy import onnx

        written = onnx.save(self.model, Path(path), overwrite=overwrite)
        Checkpoint(self.checkpoint).remove()
        return written


def merge_histories(histories: list[list[HistoryPoint]]) -> tuple[HistoryPoint, ...]:
    """Sum the histories of the outputs; each holds its latest value between its points.

    Args:
        histories: one an output, each beginning with the zero network.
    """
    current = [history[0] for history in histories]
    events = sorted(
        ((point.seconds, k, point) for k, history in enumerate(histories) for point in history),
        key=lambda event: event[:2],
    )
    merged = []
    for seconds, k, point in events:
        current[k] = point
        merged.append(
            HistoryPoint(
                seconds,
                sum(p.objective for p in current),
                sum(p.bound for p in current),
                sum(p.neurons for p in current),
            )
        )
    return tuple(merged)
