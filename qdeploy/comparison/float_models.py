"""What the float references share: standardised features, and a strength told by held-out rows."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from qdeploy.comparison.baselines import Fitted, Setting
from qdeploy.comparison.searching import held_out_rows
from qdeploy.training.threads import single_threaded

__all__ = ["FLOAT_BYTES", "best_strength", "numbers_in"]

FLOAT_BYTES = 4
"""Of one parameter of a float model."""

T = TypeVar("T")


def best_strength(
    setting: Setting,
    build: Callable[[T], Any],
    strengths: Sequence[T],
    size: Callable[[Any], int],
) -> Fitted:
    """Fit on all rows with the strength that held-out rows prefer.

    Args:
        setting: the rows.
        build: an unfitted scikit-learn classifier of a given strength, behind a standard scaler.
        strengths: what to choose from; of equals the first.
        size: bytes of the fitted classifier.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def pipeline(strength: T) -> Any:
        return make_pipeline(StandardScaler(), build(strength))

    features, target = setting.dataset.features, setting.dataset.target
    chosen = strengths[0]
    with single_threaded():
        held_out = held_out_rows(setting)
        if held_out is not None and len(strengths) > 1:
            scores = [
                float(
                    np.mean(
                        pipeline(strength)
                        .fit(features[~held_out], target[~held_out])
                        .predict(features[held_out])
                        == target[held_out]
                    )
                )
                for strength in strengths
            ]
            chosen = strengths[int(np.argmax(scores))]
        fitted = pipeline(chosen).fit(features, target)
    return Fitted(fitted.predict, size(fitted[-1]) + numbers_in(fitted[0].mean_, fitted[0].scale_))


def numbers_in(*arrays: Any) -> int:
    """Bytes of float parameters in single precision."""
    return FLOAT_BYTES * sum(np.asarray(array).size for array in arrays)
