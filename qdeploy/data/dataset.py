"""A table of numbers with its target, validated once so that later stages need not look again."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dataset", "Label", "Task"]

Task = Literal["classify", "regress"]
Label = int | float | str | bool


@dataclass(frozen=True, eq=False)
class Dataset:
    """Features and target of a supervised problem.

    Attributes:
        features: float64 (n, d), finite.
        target: (n,) class labels or numbers, or (n, K) numbers for several regression outputs.
        feature_names: d names.
        target_names: one name, or K.
        task: whether the target is a class or a number.
        source: where the data came from, for provenance ("sklearn:breast_cancer", a file name).
        weights: of the rows, float64 (n,), positive; None where all count alike.
    """

    features: NDArray[np.float64]
    target: NDArray[np.generic]
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    task: Task
    source: str
    weights: NDArray[np.float64] | None = None
