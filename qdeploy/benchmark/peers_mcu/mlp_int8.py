"""An int8 MLP with kernels after CMSIS-NN: what an engineer deploys who quantises after training.

One hidden layer of rectified units, as the float MLP among the peers of computers has; the other
widths are there so that accuracy can be plotted against cost.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import MCU_PEERS, McuPeer, McuSubject
from qdeploy.benchmark.peers_mcu.fitting import Rows, classes_from_scores, fitted, integer_subject
from qdeploy.benchmark.peers_mcu.integer_layers import (
    LOWEST,
    DenseLayer,
    Requantize,
    quantize_weights,
)
from qdeploy.benchmark.peers_mcu.mlp_training import WIDTH, best_decay, estimator
from qdeploy.data.quantizer import INPUT_STEP

NOTE = (
    "scikit-learn MLP, one hidden layer of {width} rectified units, trained on the standardised "
    "and quantised training rows, weight decay {decay:g} by cross-validation; int8 weights and "
    "activations by post-training quantisation, one scale a layer, int32 sums, fixed-point "
    "multiplier and shift; kernels after CMSIS-NN: four rows at once, SXTB16 and SMLAD where the "
    "core has DSP, plain C elsewhere. Int8 inputs come from the caller and int32 scores go back."
)


class _MlpPeer(McuPeer):
    """One width of the hidden layer.

    Args:
        name: `implementation` of its figures.
        width: hidden units.
    """

    def __init__(self, name: str, width: int) -> None:
        self.name = name
        self._width = width

    def prepare(self, context: Context) -> McuSubject:
        rows = Rows.of(context)
        decay = best_decay(context)
        model = fitted(estimator(context, self._width, decay), rows.steps, rows.target)
        hidden, readout, scale = _quantize(model, rows.steps, one_scale=rows.classify)
        decode = (
            classes_from_scores(model.classes_)
            if rows.classify
            else lambda scores: rows.decode_numbers(scores * scale)
        )
        return integer_subject(
            self.name,
            f"int8 MLP, {self._width} hidden units",
            NOTE.format(width=self._width, decay=decay),
            rows,
            [hidden, readout],
            decode,
        )


def _quantize(
    model: Any, steps: NDArray[np.float64], one_scale: bool
) -> tuple[DenseLayer, DenseLayer, Any]:
    """Hidden layer, readout and the real value of one unit of its scores.

    The hidden activations' range is the largest one of the training rows. Their zero point, -128,
    goes into the bias of the readout, whose scores need no requantisation: they are compared with
    each other, or each has a scale of its own.

    Args:
        model: fitted MLP with one hidden layer.
        steps: its training inputs (n, d).
        one_scale: whether the scores are compared with each other.
    """
    first, second = model.coefs_
    activations = np.maximum(steps @ first + model.intercepts_[0], 0.0)
    weights, scale = quantize_weights(first.T)
    unit = scale * INPUT_STEP
    step = max(float(activations.max()) / 255, unit / Requantize.LARGEST_FACTOR)
    hidden = DenseLayer(
        weights,
        np.rint(model.intercepts_[0] / unit).astype(np.int32),
        Requantize.by(unit / step),
    )
    weights, scale = quantize_weights(second.T, axis=None if one_scale else 1)
    unit = scale * step
    offset = weights.sum(axis=1, dtype=np.int64) * LOWEST
    bias = np.rint(model.intercepts_[1] / unit).astype(np.int64) - offset
    return hidden, DenseLayer(weights, bias.astype(np.int32)), unit


for _name, _width in (
    ("mlp-int8-4", 4),
    ("mlp-int8-8", 8),
    ("mlp-int8-16", 16),
    ("mlp-int8", WIDTH),
    ("mlp-int8-64", 64),
):
    MCU_PEERS.register(_name)(_MlpPeer(_name, _width))
