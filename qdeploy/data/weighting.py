"""Weights of samples and of classes: w_i multiplies the loss of row i, as if it occurred w_i times.

Weights are part of the data: a row of weight zero is no row, and equal rows may be merged into one
that has the sum of their weights.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdeploy.data.dataset import Dataset, Label
from qdeploy.errors import QDeployError

__all__ = ["ClassWeight", "checked_weights", "merge_rows", "with_class_weight"]

ClassWeight = Mapping[Any, float] | Literal["balanced"]
"""Weight of each class, one where none is given; "balanced" gives every class the same total."""

SMALLEST, LARGEST = 1e-30, 1e30


def checked_weights(
    values: ArrayLike, rows: int, name: str = "sample_weight"
) -> NDArray[np.float64]:
    """Sample weights, float64 (n,), zeros among them.

    Raises:
        QDeployError: not one finite number of at least zero a row, all zero, or beyond 1e±30.
    """
    weights = np.asarray(values)
    if weights.ndim == 0:
        weights = np.full(rows, weights)
    if weights.shape != (rows,) or weights.dtype.kind not in "fiub":
        raise QDeployError(
            f"{name}: one number a row is needed, {rows} in all, not {weights.dtype} of shape "
            f"{weights.shape}"
        )
    weights = weights.astype(np.float64)
    used = weights[weights != 0]
    faults = ~((weights == 0) | ((weights >= SMALLEST) & (weights <= LARGEST)))
    if faults.any():
        row = int(faults.argmax())
        raise QDeployError(
            f"{name}, row {row + 1}: {weights[row]:g} is no weight; it must be zero or a number "
            f"from {SMALLEST:g} to {LARGEST:g}"
        )
    if not used.size:
        raise QDeployError(f"{name}: every weight is zero; at least one row must count")
    return weights


def with_class_weight(dataset: Dataset, class_weight: ClassWeight | str | None) -> Dataset:
    """The data set with the weight of every row multiplied by that of its class.

    Args:
        dataset: classes.
        class_weight: "balanced" is W / (K · W_c), with W_c the total weight of class c and W that
            of all K classes; a mapping may name classes by their text.

    Raises:
        QDeployError: the target is no class, a class does not exist, or a weight is no number.
    """
    if class_weight is None:
        return dataset
    if dataset.task != "classify":
        raise QDeployError("class weights are for classes, and the target is a number")
    labels, index = np.unique(dataset.target, return_inverse=True)
    given = np.ones(len(index)) if dataset.weights is None else dataset.weights
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise QDeployError(f"class_weight is 'balanced' or weights, not {class_weight!r}")
        totals = np.bincount(index, weights=given)
        factors = totals.sum() / (len(labels) * totals)
    else:
        factors = _named(class_weight, labels.tolist())
    return replace(dataset, weights=checked_weights(given * factors[index], len(index)))


def _named(class_weight: Mapping[Any, float], labels: list[Label]) -> NDArray[np.float64]:
    places = {str(label): place for place, label in enumerate(labels)}
    factors = np.ones(len(labels))
    for label, weight in class_weight.items():
        if str(label) not in places:
            raise QDeployError(
                f"class_weight: there is no class {label!r}; there are {', '.join(places)}"
            )
        number = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
        if not number or not SMALLEST <= weight <= LARGEST:
            raise QDeployError(
                f"class_weight of {label!r} must be a number from {SMALLEST:g} to {LARGEST:g}, "
                f"not {weight!r}"
            )
        factors[places[str(label)]] = weight
    return factors


def merge_rows(dataset: Dataset) -> Dataset:
    """Equal rows merged into one, with the sum of their weights, in sorted order.

    Weighting a row and repeating it then give the same data set, to the last bit where the sums
    of weights are exact.
    """
    _, codes = np.unique(dataset.target, return_inverse=True, axis=0)
    keys = np.hstack([dataset.features + 0.0, codes.reshape(-1, 1)])
    _, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    given = np.ones(len(keys)) if dataset.weights is None else dataset.weights
    weights = np.bincount(index.reshape(-1), weights=given).astype(np.float64)
    return replace(
        dataset,
        features=dataset.features[first],
        target=dataset.target[first],
        weights=None if (weights == 1).all() else weights,
    )
