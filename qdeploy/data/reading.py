"""Data sets and features from wherever they are: files, scikit-learn's bundle, OpenML."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdeploy.data.dataset import Dataset, Task
from qdeploy.data.sources import ArraySource, Source, TargetKind, generic_names
from qdeploy.data.tasks import guess_task, target_for_task
from qdeploy.data.validation import check_trainable
from qdeploy.data.weighting import checked_weights
from qdeploy.errors import QDeployError
from qdeploy.wording import did_you_mean

__all__ = ["dataset_from_arrays", "read_dataset", "read_features"]

ENDINGS = (".csv", ".tsv", ".parquet", ".npz")


def read_dataset(
    source: str | Path,
    *,
    label: str | None = None,
    task: Task | None = None,
    columns: Sequence[str] | None = None,
    like: Dataset | None = None,
    sample_weight: str | None = None,
) -> Dataset:
    """Read features and target, checked.

    Args:
        source: a .csv, .tsv, .parquet or .npz file, ``sklearn:NAME`` or ``openml:NUMBER``.
        label: the label column of a table, or the target array of an .npz file (y when left out).
        task: "classify" or "regress"; None guesses from the label (`guess_task` tells why).
        columns: the feature columns, in order; None takes all but the label.
        like: training data; then its columns, its task and its type of label are read, and data
            that could not be trained on (one row, one class) are fine.
        sample_weight: the column of a table, or the array of an .npz file, that holds the weights
            of the rows; rows of weight zero are left out.

    Raises:
        QDeployError: one sentence that names the fault, its row and its column.

    Warns:
        DataWarning: some columns are constant.
    """
    opened = open_source(source, label)
    if like is None:
        weights = None if sample_weight is None else opened.weights(sample_weight)
        return _dataset(opened, label, columns, task, weights, sample_weight)
    names = _matching_columns(opened, like.feature_names, without=label)
    kind: TargetKind = "any"
    if like.task == "regress":
        kind = "number"
    elif like.target.dtype.kind in "US":
        kind = "text"
    target, target_names = opened.target(label, kind)
    target = target_for_task(target, target_names, like.task, opened.place)
    if target.shape[1:] != like.target.shape[1:]:
        raise QDeployError(
            f"{opened.name}: the label has {len(target_names)} columns, "
            f"in the training data {len(like.target_names)}"
        )
    if like.task == "classify" and target.dtype.kind != like.target.dtype.kind:
        raise QDeployError(
            f"{opened.name}, label {target_names[0]!r}: {target.tolist()[0]!r} is not of the kind "
            f"of the training labels, such as {like.target.tolist()[0]!r}"
        )
    return Dataset(
        features=opened.numbers(names),
        target=target,
        feature_names=like.feature_names,
        target_names=like.target_names,
        task=like.task,
        source=opened.name,
    )


def dataset_from_arrays(
    X: ArrayLike,
    y: ArrayLike,
    *,
    task: Task | None = None,
    feature_names: Sequence[str] | None = None,
    source: str = "arrays",
    sample_weight: ArrayLike | None = None,
) -> Dataset:
    """Check arrays, or data frames, and make a data set of them.

    Args:
        X: features (n, D): numbers or booleans.
        y: classes (n,), or numbers (n,) or (n, K).
        task: "classify" or "regress"; None guesses from y.
        feature_names: D names; the columns of a data frame, or x0, x1, ... when left out.
        source: what messages and provenance call the data.
        sample_weight: weights (n,) of the rows, or one number; rows of weight zero are left out.

    Raises:
        QDeployError: shapes do not fit, a value is missing or infinite, or nothing can be learned.

    Warns:
        DataWarning: some columns are constant.
    """
    if feature_names is None and hasattr(X, "columns"):
        feature_names = [str(name) for name in X.columns]
    target = np.asarray(y)
    width = target.shape[1] if target.ndim == 2 else 1
    names = ("y",) if width == 1 else generic_names("y", width)
    weights = None if sample_weight is None else np.asarray(sample_weight)
    return _dataset(
        ArraySource(source, np.asarray(X), feature_names, target, names), None, None, task, weights
    )


def read_features(
    source: str | Path, feature_names: Sequence[str] | None, n_features: int | None = None
) -> NDArray[np.float64] | NDArray[np.int8]:
    """Features to predict on; a label column or target is ignored.

    Columns are found by name. Where either side only counted its columns (x0, x1, ...), they are
    taken in order, and their number must fit.

    Args:
        source: as for `read_dataset`.
        feature_names: those of the model; None for a model that takes int8 inputs as they are.
        n_features: number of inputs, for a model without names.

    Returns:
        float64 (n, D), or int8 (n, D) when there are no names.

    Raises:
        QDeployError: names missing columns, the wrong width, or a value that is not a number.
    """
    opened = open_source(source, None, needs_target=False)
    if feature_names is not None:
        return opened.numbers(_matching_columns(opened, tuple(feature_names)))
    count = len(opened.column_names) if n_features is None else n_features
    values = opened.numbers(_matching_columns(opened, generic_names("x", count)))
    fits = (np.rint(values) == values) & (values >= -128) & (values <= 127)
    if not fits.all():
        row, column = np.argwhere(~fits)[0]
        raise QDeployError(
            f"column {opened.column_names[column]!r}, {opened.place(int(row))}: "
            f"{values[row, column]:g} is not an int8, which a model without a quantiser takes"
        )
    return values.astype(np.int8)


def open_source(source: str | Path, label: str | None, *, needs_target: bool = True) -> Source:
    """The source behind a name, not yet read into numbers.

    Args:
        source: as for `read_dataset`.
        label: name of the target array of an .npz file.
        needs_target: False leaves the target of an .npz file out.

    Raises:
        QDeployError: there is no such file or data set, or its ending is not known.
    """
    from qdeploy.data.bundled import read_bundled, read_openml

    if isinstance(source, str):
        scheme, _, name = source.partition(":")
        if scheme == "sklearn":
            return read_bundled(name)
        if scheme == "openml":
            return read_openml(name)
    path = Path(source)
    _check_file(path)
    ending = path.suffix.lower()
    if ending == ".npz":
        from qdeploy.data.archives import read_archive

        return read_archive(path, label, needs_target=needs_target)
    from qdeploy.data.tables import read_delimited, read_parquet

    if ending == ".parquet":
        return read_parquet(path)
    return read_delimited(path, "\t" if ending == ".tsv" else ",")


def _check_file(path: Path) -> None:
    from qdeploy.data.bundled import BUNDLED

    kinds = f"{', '.join(ENDINGS)}, sklearn:NAME or openml:NUMBER"
    if path.is_dir():
        raise QDeployError(f"{path}: is a folder; give a file ({kinds})")
    if not path.exists():
        if str(path) in BUNDLED:
            raise QDeployError(f"{path}: there is no such file; perhaps sklearn:{path} is meant")
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise QDeployError(
            f"{path}: there is no such file"
            + (did_you_mean(path.name, beside) or f"; data are {kinds}")
        )
    if path.suffix.lower() not in ENDINGS:
        raise QDeployError(
            f"{path}: the ending {path.suffix or '(none)'} is not supported; data are {kinds}"
        )
    try:
        path.open("rb").close()
    except OSError as fault:
        raise QDeployError(f"{path}: cannot be opened ({fault.strerror})") from None


def _matching_columns(
    opened: Source, wanted: tuple[str, ...], *, without: str | None = None
) -> tuple[str, ...]:
    """The columns of a source that stand for the wanted features."""
    known = set(opened.column_names)
    if all(name in known for name in wanted):
        return wanted
    if opened.named and wanted != generic_names("x", len(wanted)):
        opened.require(wanted)
    columns = tuple(name for name in opened.column_names if name != without)
    if len(columns) != len(wanted):
        raise QDeployError(
            f"{opened.name}: has {len(columns)} columns but the model takes {len(wanted)} "
            "features in order; give exactly those"
        )
    return columns


def _dataset(
    opened: Source,
    label: str | None,
    columns: Sequence[str] | None,
    task: Task | None,
    weights: NDArray[np.generic] | None = None,
    weight_column: str | None = None,
) -> Dataset:
    target, target_names = opened.target(label, "number" if task == "regress" else "any")
    if columns is None:
        taken = (*target_names, weight_column)
        names = tuple(name for name in opened.column_names if name not in taken)
    else:
        names = tuple(columns)
        opened.require(names)
        if label in names:
            raise QDeployError(f"column {label!r} is the label and cannot be a feature as well")
        doubled = [name for name in names if names.count(name) > 1]
        if doubled:
            raise QDeployError(f"feature column {doubled[0]!r} is asked for more than once")
    if task is None:
        task, _ = guess_task(target)
    dataset = Dataset(
        features=opened.numbers(names),
        target=target_for_task(target, target_names, task, opened.place),
        feature_names=names,
        target_names=target_names,
        task=task,
        source=opened.name,
    )
    if weights is not None:
        dataset = _weighted(dataset, checked_weights(weights, len(dataset.features)))
    check_trainable(dataset)
    return dataset


def _weighted(dataset: Dataset, weights: NDArray[np.float64]) -> Dataset:
    """With weights, and without the rows of weight zero; none where all are one."""
    counted = weights > 0
    return replace(
        dataset,
        features=dataset.features[counted],
        target=dataset.target[counted],
        weights=None if (weights[counted] == 1).all() else weights[counted],
    )
