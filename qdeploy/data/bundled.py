"""Data sets by name: scikit-learn's own bundle, and OpenML by number."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qdeploy.data.sources import ArraySource
from qdeploy.data.tables import labels_from_text
from qdeploy.errors import QDeployError
from qdeploy.wording import did_you_mean

__all__ = ["BUNDLED", "read_bundled", "read_openml"]

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")


def read_bundled(name: str) -> ArraySource:
    """A data set that comes with scikit-learn, with the labels that scikit-learn gives.

    Args:
        name: one of `BUNDLED`.

    Raises:
        QDeployError: there is none of that name.
    """
    if name not in BUNDLED:
        raise QDeployError(
            f"sklearn:{name} is not known{did_you_mean(name, BUNDLED)}; "
            f"there are {', '.join(f'sklearn:{known}' for known in BUNDLED)}"
        )
    from sklearn import datasets

    loader: Callable[[], Any] = getattr(datasets, f"load_{name}")
    bunch = loader()
    target = np.asarray(bunch.target)
    names = tuple(bunch.target_names) if target.ndim == 2 else ("target",)
    return ArraySource(f"sklearn:{name}", bunch.data, bunch.feature_names, target, names)


def read_openml(identifier: str) -> ArraySource:
    """A data set of openml.org, downloaded once and kept in scikit-learn's cache.

    scikit-learn compares the download with the MD5 sum that OpenML states.

    Args:
        identifier: the number of the data set. Names are refused: they change what they mean.

    Raises:
        QDeployError: not a number, no network, no such data set, or columns that are not numbers.
    """
    source = f"openml:{identifier}"
    if not identifier.isdecimal():
        raise QDeployError(
            f"{source}: give the number of the data set, as in openml:554; "
            "it stands in the address of its page on openml.org"
        )
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml(
            data_id=int(identifier), as_frame=False, parser="liac-arff", n_retries=1
        )
    except OSError as fault:
        raise QDeployError(
            f"{source}: openml.org cannot be reached ({fault}); connect to the network once, "
            "or download the table and pass the file"
        ) from None
    except ValueError as fault:
        raise QDeployError(f"{source}: {_first_sentence(fault)}") from None
    if bunch.target is None:
        raise QDeployError(
            f"{source}: OpenML names no label for it; download the table and pass the file"
        )
    features = _numeric_features(source, bunch.data, bunch.feature_names, bunch.categories)
    target = np.asarray(bunch.target)
    if target.dtype.kind in "OU" and all(isinstance(value, str) for value in target.flat):
        target = labels_from_text(pl.Series(target.ravel().tolist()).str.strip_chars())
    return ArraySource(
        source, features, bunch.feature_names, target, tuple(bunch.target_names or ("target",))
    )


def _first_sentence(fault: Exception) -> str:
    return str(fault).strip().split("\n")[0].rstrip(".")


def _numeric_features(
    source: str,
    data: Any,
    names: list[str],
    categories: dict[str, list[str]] | None,
) -> NDArray[np.float64]:
    """Features (n, D) as numbers; categories count only where every one of them is a number."""
    features = np.asarray(data.toarray() if hasattr(data, "toarray") else data)
    if features.dtype.kind not in "fiub":
        raise QDeployError(
            f"{source}: it has text columns; download the table, convert them and pass the file"
        )
    features = features.astype(np.float64)
    for name, texts in (categories or {}).items():
        if name not in names:
            continue
        values = pl.Series(texts, dtype=pl.String).cast(pl.Float64, strict=False)
        if values.null_count():
            raise QDeployError(
                f"{source}, column {name!r}: holds categories such as {texts[0]!r}, not numbers; "
                "download the table, convert them and pass the file"
            )
        column = features[:, names.index(name)]
        known = np.isfinite(column)
        column[known] = values.to_numpy()[column[known].astype(np.int64)]
    return features
