"""How good the predictions are on held-out rows, with an interval for the size of the test set."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.timing import COVERAGE, Estimate
from qdeploy.data.dataset import Dataset

__all__ = ["quality"]

RESAMPLES = 300


def quality(predictions: NDArray[Any], test: Dataset) -> tuple[str, Estimate, str]:
    """Metric, value with interval, and note.

    Accuracy has Wilson's interval. R² (the mean over several outputs) has one from resampling the
    rows with a fixed seed.

    Args:
        predictions: (n,) labels, or (n,) or (n, K) numbers.
        test: the rows they are for.
    """
    if test.task == "classify":
        from scipy.stats import binomtest

        right = int((np.asarray(predictions) == test.target).sum())
        rows = len(test.target)
        interval = binomtest(right, rows).proportion_ci(COVERAGE, "wilson")
        value = right / rows
        estimate = Estimate(value, min(interval.low, value), max(interval.high, value))
        return "accuracy", estimate, f"{right} of {rows} test rows; interval: 95 % Wilson"
    from sklearn.metrics import r2_score

    truth = np.asarray(test.target, dtype=np.float64).reshape(len(test.target), -1)
    guess = np.asarray(predictions, dtype=np.float64).reshape(truth.shape)
    value = float(r2_score(truth, guess))
    draws = np.random.default_rng(0).integers(len(truth), size=(RESAMPLES, len(truth)))
    resampled = [r2_score(truth[rows], guess[rows]) for rows in draws]
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    estimate = Estimate(value, min(float(low), value), max(float(high), value))
    return "r2", estimate, f"{len(truth)} test rows; interval: 95 % bootstrap of the rows"
