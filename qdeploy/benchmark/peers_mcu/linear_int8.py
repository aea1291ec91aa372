"""The smallest sensible thing: a linear model in int8."""

from typing import Any

import numpy as np

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import MCU_PEERS, McuPeer, McuSubject
from qdeploy.benchmark.peers_mcu.fitting import Rows, classes_from_scores, fitted, integer_subject
from qdeploy.benchmark.peers_mcu.integer_layers import DenseLayer, quantize_weights
from qdeploy.data.quantizer import INPUT_STEP

NOTE = (
    "scikit-learn {kind} at its default penalty, trained on the standardised and quantised "
    "training rows; int8 weights, int32 bias; the same kernels as the int8 MLP. Int8 inputs come "
    "from the caller and int32 scores go back."
)


class _LinearPeer(McuPeer):
    """Logistic regression, or ridge for numbers."""

    name = "linear-int8"

    def prepare(self, context: Context) -> McuSubject:
        from sklearn.linear_model import LogisticRegression, Ridge

        rows = Rows.of(context)
        estimator: Any = (
            LogisticRegression(max_iter=2000, random_state=context.seed)
            if rows.classify
            else Ridge()
        )
        model = fitted(estimator, rows.steps, rows.target)
        # Scores of classes are compared with each other and share a scale; numbers do not.
        weights, scale = quantize_weights(
            np.atleast_2d(model.coef_), axis=None if rows.classify else 1
        )
        unit = scale * INPUT_STEP
        bias = np.rint(np.atleast_1d(model.intercept_) / unit).astype(np.int32)
        decode = (
            classes_from_scores(model.classes_)
            if rows.classify
            else lambda scores: rows.decode_numbers(scores * unit)
        )
        kind = "logistic regression" if rows.classify else "ridge regression"
        return integer_subject(
            self.name,
            f"int8 {kind}",
            NOTE.format(kind=kind),
            rows,
            [DenseLayer(weights, bias)],
            decode,
        )


MCU_PEERS.register(_LinearPeer.name)(_LinearPeer())
