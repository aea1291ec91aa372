"""What a source of data can do: name its columns, give numbers and the target, tell a row."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.validation import check_numbers, plain_row
from qdeploy.data.weighting import checked_weights
from qdeploy.errors import QDeployError
from qdeploy.wording import did_you_mean, listing

__all__ = ["ArraySource", "Source", "TargetKind", "generic_names"]

TargetKind = Literal["any", "number", "text"]
"""How a target is wanted: as it is, as numbers, or as text."""


def generic_names(prefix: str, count: int) -> tuple[str, ...]:
    """Names for columns that have none: x0, x1, ..."""
    return tuple(f"{prefix}{index}" for index in range(count))


class Source(ABC):
    """Rows of data under named columns.

    Attributes:
        name: what messages and provenance call it.
        column_names: every column that can serve as a feature.
        named: whether the names came with the data, and not from counting.
    """

    def __init__(self, name: str, column_names: tuple[str, ...], *, named: bool) -> None:
        self.name = name
        self.column_names = column_names
        self.named = named

    @abstractmethod
    def numbers(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Values, float64 (n, D) and finite, of D columns that exist."""

    @abstractmethod
    def target(
        self, label: str | None, kind: TargetKind
    ) -> tuple[NDArray[np.generic], tuple[str, ...]]:
        """The target (n,) or (n, K) and its names."""

    def weights(self, column: str) -> NDArray[np.float64]:
        """Weights of the rows, float64 (n,), from a column that exists."""
        self.require([column])
        return self.numbers([column])[:, 0]

    def place(self, row: int) -> str:
        """Where a 0-based row is, for a person."""
        return plain_row(row)

    def check(self, values: NDArray[np.float64], names: Sequence[str]) -> None:
        """Refuse values (n, D) that are not finite single-precision numbers."""
        check_numbers(values, names, self.place)

    def require(self, names: Sequence[str]) -> None:
        """Refuse names that are not among the columns.

        Raises:
            QDeployError: names them, and columns with close names.
        """
        known = set(self.column_names)
        missing = [name for name in names if name not in known]
        if missing:
            lacking = "is no column" if len(missing) == 1 else "are no columns"
            raise QDeployError(
                f"{self.name}: there {lacking} {listing(missing)}"
                + (
                    did_you_mean(missing[0], known)
                    or f"; the columns are {listing(self.column_names, 20)}"
                )
            )


class ArraySource(Source):
    """Arrays in memory, with at most one target.

    Args:
        name: what messages call it.
        features: (n, D) numbers or booleans.
        feature_names: D names, or None to count them.
        target: (n,) or (n, K), or None.
        target_names: one name, or K.
        others: further arrays that were saved beside these, by name.
    """

    def __init__(
        self,
        name: str,
        features: NDArray[np.generic],
        feature_names: Sequence[str] | None,
        target: NDArray[np.generic] | None,
        target_names: tuple[str, ...] = ("y",),
        others: Mapping[str, NDArray[np.generic]] | None = None,
    ) -> None:
        if features.ndim != 2:
            raise QDeployError(
                f"{name}: the features have shape {features.shape}; "
                "a matrix of rows and columns is needed"
            )
        if features.dtype.kind not in "fiub":
            raise QDeployError(f"{name}: the features must be numbers, not {features.dtype}")
        names = (
            generic_names("x", features.shape[1])
            if feature_names is None
            else tuple(str(n) for n in feature_names)
        )
        if len(names) != features.shape[1]:
            raise QDeployError(
                f"{name}: {len(names)} feature names were given for {features.shape[1]} columns"
            )
        doubled = [n for n in dict.fromkeys(names) if names.count(n) > 1]
        if doubled:
            raise QDeployError(f"{name}: more than one feature is called {doubled[0]!r}")
        super().__init__(name, names, named=feature_names is not None)
        self._features = features
        self._target = None if target is None else _checked_target(name, target, len(features))
        self._target_names = target_names
        self._others = others or {}

    def weights(self, column: str) -> NDArray[np.float64]:
        """Weights of the rows, float64 (n,), from an array beside the features, or one of them."""
        if column not in self._others:
            return super().weights(column)
        return checked_weights(self._others[column], len(self._features), column)

    def numbers(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Values, float64 (n, D) and finite, of D columns that exist."""
        values = self._features.astype(np.float64)
        if tuple(names) != self.column_names:
            values = values[:, [self.column_names.index(name) for name in names]]
        self.check(values, names)
        return values

    def target(
        self, label: str | None, kind: TargetKind
    ) -> tuple[NDArray[np.generic], tuple[str, ...]]:
        """The target that came with the arrays."""
        if label is not None and label not in self._target_names:
            raise QDeployError(
                f"{self.name} brings its own label, {self._target_names[0]!r}; leave --label out"
            )
        if self._target is None:
            raise QDeployError(f"{self.name}: there is no target; train and certify need one")
        if kind == "text":
            return self._target.astype(np.str_), self._target_names
        return self._target, self._target_names


def _checked_target(name: str, target: NDArray[np.generic], rows: int) -> NDArray[np.generic]:
    if target.dtype.kind == "O":
        target = _typed_objects(name, target)
    if target.ndim == 2 and target.shape[1] == 1:
        target = target[:, 0]
    if target.ndim not in (1, 2) or not target.size:
        raise QDeployError(
            f"{name}: the target has shape {target.shape}; one value, or a few, a row are needed"
        )
    if len(target) != rows:
        raise QDeployError(f"{name}: there are {rows} rows of features but {len(target)} targets")
    if target.dtype.kind not in "fiubU" or (target.ndim == 2 and target.dtype.kind == "U"):
        raise QDeployError(f"{name}: the target must hold numbers or labels, not {target.dtype}")
    return target


def _typed_objects(name: str, target: NDArray[np.generic]) -> NDArray[np.generic]:
    """Plain types for an array of Python objects, as data frames give for text."""
    kinds = {type(value) for value in target.flat}
    if kinds <= {str, np.str_}:
        return target.astype(np.str_)
    if kinds <= {bool, np.bool_}:
        return target.astype(np.bool_)
    if all(issubclass(kind, (int, np.integer)) for kind in kinds - {bool, np.bool_}):
        return target.astype(np.int64)
    if all(issubclass(kind, (int, float, np.integer, np.floating)) for kind in kinds):
        return target.astype(np.float64)
    raise QDeployError(
        f"{name}: the target mixes {', '.join(sorted(kind.__name__ for kind in kinds))}; "
        "give text only or numbers only"
    )
