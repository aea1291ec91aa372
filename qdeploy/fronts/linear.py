"""The simplest model to hold networks against: a linear one with int8 weights on the same inputs.

Logistic regression for classes, ridge regression for numbers, each at scikit-learn's defaults.
"""

import numpy as np

from qdeploy.benchmark.quality import quality
from qdeploy.data import Dataset, InputQuantizer
from qdeploy.data.quantizer import INPUT_STEP
from qdeploy.fronts.points import FrontPoint

__all__ = ["linear_point"]

LARGEST = 127
STEPS = 1000


def linear_point(train: Dataset, test: Dataset) -> FrontPoint:
    """The integer linear model trained on some rows, and how good it is on others."""
    from sklearn.linear_model import LogisticRegression, Ridge

    quantizer = InputQuantizer.fit(train.features, train.feature_names, weights=train.weights)
    inputs = quantizer.quantize(train.features) * INPUT_STEP
    classify = train.task == "classify"
    model = LogisticRegression(max_iter=STEPS) if classify else Ridge()
    model.fit(inputs, train.target, sample_weight=train.weights)
    real = np.atleast_2d(model.coef_)
    unit = float(np.abs(real).max()) / LARGEST or 1.0
    weights = np.rint(real / unit).astype(np.int64)
    biases = np.rint(np.atleast_1d(model.intercept_) / (unit * INPUT_STEP)).astype(np.int64)

    def predict(rows: Dataset) -> np.ndarray:
        scores = quantizer.quantize(rows.features).astype(np.int64) @ weights.T + biases
        if not classify:
            return scores * (unit * INPUT_STEP)
        index = scores.argmax(axis=1) if len(weights) > 1 else (scores[:, 0] > 0).astype(int)
        labels: np.ndarray = model.classes_[index]
        return labels

    return FrontPoint(
        label="logistic regression" if classify else "ridge regression",
        neurons=None,
        inputs=weights.shape[1],
        bytes=weights.size + np.dtype(np.int32).itemsize * biases.size,
        operations=weights.size,
        quality=quality(predict(test), test)[1],
        train_score=quality(predict(train), train)[1].value,
        loss=None,
        model=None,
    )
