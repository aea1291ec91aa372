"""Held-out rows."""

from dataclasses import replace

import numpy as np

from qdeploy.data.dataset import Dataset
from qdeploy.errors import QDeployError

__all__ = ["split"]


def split(dataset: Dataset, test_size: float, seed: int) -> tuple[Dataset, Dataset]:
    """Training rows and test rows; every class keeps its share in both.

    Args:
        dataset: all the rows.
        test_size: share of the rows to hold out, between 0 and 1.
        seed: the same seed gives the same rows.

    Returns:
        Training data and test data.

    Raises:
        QDeployError: the share or the seed is impossible, or a class has too few rows.
    """
    if not 0 < test_size < 1:
        raise QDeployError(
            f"the test size is {test_size:g}; it must lie between 0 and 1, such as 0.2"
        )
    if not 0 <= seed < 2**32:
        raise QDeployError(f"the seed is {seed}; it must lie between 0 and 4294967295")
    rows = len(dataset.features)
    held_out = int(np.ceil(test_size * rows))
    groups = 1
    if dataset.task == "classify":
        labels, counts = np.unique(dataset.target, return_counts=True)
        groups = len(labels)
        if counts.min() < 2:
            label = labels[counts.argmin()]
            row = int((dataset.target == label).argmax()) + 1
            raise QDeployError(
                f"label {dataset.target_names[0]!r}: the class {label.item()!r} has a single row "
                f"(row {row}), which cannot be in training and test data at once; add rows of it, "
                "remove it, or give the test data as a file of their own"
            )
    if held_out < groups or rows - held_out < groups:
        raise QDeployError(
            f"a test size of {test_size:g} leaves {rows - held_out} training rows and {held_out} "
            f"test rows, fewer than the {groups} classes; choose another test size"
            if groups > 1
            else f"a test size of {test_size:g} leaves no training rows of {rows}; choose a "
            "smaller one"
        )
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        np.arange(rows),
        test_size=test_size,
        random_state=seed,
        stratify=dataset.target if dataset.task == "classify" else None,
    )
    return _rows(dataset, train), _rows(dataset, test)


def _rows(dataset: Dataset, chosen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Dataset:
    return replace(
        dataset,
        features=dataset.features[chosen],
        target=dataset.target[chosen],
        weights=None if dataset.weights is None else dataset.weights[chosen],
    )
