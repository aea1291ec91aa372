"""Checks that every source of data passes, and the sentences for what fails them."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Dataset
from qdeploy.errors import QDeployError
from qdeploy.wording import listing

__all__ = [
    "LARGEST_VALUE",
    "MAXIMUM_CLASSES",
    "MINIMUM_ROWS",
    "DataWarning",
    "Place",
    "check_numbers",
    "check_trainable",
    "plain_row",
]

LARGEST_VALUE = float(np.finfo(np.float32).max) / 2
"""Largest magnitude of a feature: differences of two features must fit single precision."""

MAXIMUM_CLASSES = 128
MINIMUM_ROWS = 4

Place = Callable[[int], str]
"""Tells a 0-based row in the words of its source: "row 17 (line 18 of the file)"."""


class DataWarning(UserWarning):
    """Data that can be used, though perhaps not as the user thinks."""


def plain_row(row: int) -> str:
    """The place of a 0-based row of a source that has no lines."""
    return f"row {row + 1}"


def check_numbers(
    values: NDArray[np.float64],
    names: Sequence[str],
    place: Place = plain_row,
    what: str = "column",
) -> None:
    """Refuse values that are missing, infinite or beyond single precision.

    Args:
        values: float64 (n, D).
        names: D names.
        place: how to tell a row.
        what: what a column is called in the message.

    Raises:
        QDeployError: names the first such value.
    """
    # NaN fails every comparison, so that one test finds NaN, infinity and too large numbers.
    faults = ~(np.abs(values) <= LARGEST_VALUE)
    if not faults.any():
        return
    row, column = np.argwhere(faults)[0]
    value = values[row, column]
    where = f"{what} {names[column]!r}, {place(int(row))}"
    if np.isnan(value):
        raise QDeployError(f"{where}: the value is missing (NaN); fill it in or remove the row")
    if np.isinf(value):
        raise QDeployError(f"{where}: the value is infinite; correct it or remove the row")
    raise QDeployError(
        f"{where}: {value:g} is beyond single precision ({LARGEST_VALUE:.1e}); rescale the column"
    )


def check_trainable(dataset: Dataset) -> None:
    """Refuse a data set that nothing can be learned from; warn of constant columns.

    Raises:
        QDeployError: too few rows or columns, one class only, too many classes, or a constant
            target.

    Warns:
        DataWarning: some columns are constant; the input quantiser leaves them out.
    """
    rows = len(dataset.features)
    if not dataset.feature_names:
        raise QDeployError(f"{dataset.source}: there is no feature column beside the label")
    if rows < MINIMUM_ROWS:
        raise QDeployError(
            f"{dataset.source}: {rows} rows of data are too few; at least {MINIMUM_ROWS} are needed"
        )
    if dataset.task == "classify":
        _check_classes(dataset)
    else:
        _check_regression_target(dataset)
    _warn_of_constants(dataset)


def _check_classes(dataset: Dataset) -> None:
    name = dataset.target_names[0]
    labels = np.unique(dataset.target)
    if len(labels) == 1:
        raise QDeployError(
            f"label {name!r}: every row has the class {labels.tolist()[0]!r}; "
            "at least two classes are needed"
        )
    if len(labels) > MAXIMUM_CLASSES:
        raise QDeployError(
            f"label {name!r}: {len(labels)} different values are too many for classes (at most "
            f"{MAXIMUM_CLASSES}); choose another label, or pass --task regress if it is a quantity"
        )


def _check_regression_target(dataset: Dataset) -> None:
    columns = dataset.target.reshape(len(dataset.target), -1)
    for name, column in zip(dataset.target_names, columns.T, strict=True):
        if (column == column[0]).all():
            raise QDeployError(
                f"label {name!r}: every row has the value {column[0]:g}; there is nothing to learn"
            )


def _warn_of_constants(dataset: Dataset) -> None:
    # Compared as the network sees them: after rounding to single precision.
    single = dataset.features.astype(np.float32)
    constant = (single == single[0]).all(axis=0)
    if constant.all():
        raise QDeployError(
            f"{dataset.source}: every feature column is constant; there is nothing to learn from"
        )
    if constant.any():
        names = [name for name, flag in zip(dataset.feature_names, constant, strict=True) if flag]
        plural = "columns are" if len(names) > 1 else "column is"
        warnings.warn(
            f"{dataset.source}: {len(names)} {plural} constant and left out: {listing(names)}",
            DataWarning,
            stacklevel=5,
        )
