"""Which rows a model was trained on: the data as given or one part of a split, told by digest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import dataset_digest
from qdeploy.checker.errors import RefutationError
from qdeploy.data.dataset import Dataset
from qdeploy.data.splitting import split
from qdeploy.data.weighting import merge_rows, with_class_weight
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model, Numbers

__all__ = ["TrainingRows", "training_rows"]

STANDARD_TOLERANCE = 1e-9
"""Agreement asked of the mean and deviation in the model, which rounding makes inexact; the
targets themselves are compared bit for bit, through the digest."""


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The data that a certificate speaks of.

    Attributes:
        inputs: quantised inputs, int8 (n, d).
        targets: float64 (n, K), ±1 or standardised.
        weights: of the rows, exactly; None where all count alike.
    """

    inputs: NDArray[np.int8]
    targets: NDArray[np.float64]
    weights: list[Fraction] | None


def training_rows(model: Model, dataset: Dataset, digest: str, rows: int) -> TrainingRows:
    """Find the rows whose quantised inputs and targets have the digest.

    Args:
        model: quantiser, meaning of the scores and provenance are used.
        dataset: what the user gives; it may hold the held-out rows as well.
        digest: `certificate.data_digest`.
        rows: number of training rows that the certificate speaks of.

    Raises:
        RefutationError: no candidate has the digest, or the data do not fit the model.
    """
    counts = []
    for part in _candidates(model, dataset):
        counts.append(len(part.features))
        if counts[-1] == rows:
            part = _class_weighted(model, part)
            inputs, targets = _inputs(model, part), _targets(model, part)
            if dataset_digest(inputs, targets, part.weights) == digest:
                _standardised(model, part)
                return TrainingRows(inputs, targets, _exact(part.weights))
    if rows in counts:
        raise RefutationError(
            f"the data are not those the model was trained on: the {rows} training rows differ in "
            "some value, label or order"
        )
    offered = " or ".join(map(str, dict.fromkeys(counts)))
    raise RefutationError(
        "the data are not those the model was trained on: the certificate speaks of "
        f"{rows} rows, the data have {offered}"
    )


def _candidates(model: Model, dataset: Dataset) -> Iterator[Dataset]:
    """The data, then the training part of each split in the provenance; also with rows merged."""
    for part in _parts(model, dataset):
        yield part
        yield merge_rows(part)


def _parts(model: Model, dataset: Dataset) -> Iterator[Dataset]:
    yield dataset
    for key in ("split", "recipe"):
        recorded = model.provenance.get(key)
        if not isinstance(recorded, Mapping):
            continue
        size, seed = recorded.get("test_size"), recorded.get("seed")
        if not isinstance(size, float) or not isinstance(seed, int):
            continue
        try:
            train, _ = split(dataset, size, seed)
        except QDeployError:
            # Data that cannot be split so are not the data that were.
            continue
        yield train


def _class_weighted(model: Model, part: Dataset) -> Dataset:
    """The rows with the class weights that the provenance tells; the digest confirms them."""
    options = model.provenance.get("options")
    recorded = options.get("class_weight") if isinstance(options, Mapping) else None
    if recorded is None or not isinstance(recorded, str | Mapping):
        return part
    try:
        return with_class_weight(part, recorded)
    except QDeployError as error:
        raise RefutationError(f"the class weights do not fit the data: {error}") from error


def _exact(weights: NDArray[np.float64] | None) -> list[Fraction] | None:
    if weights is None:
        return None
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise RefutationError("a weight of a row is not a positive number")
    return [Fraction(weight) for weight in weights.tolist()]


def _inputs(model: Model, part: Dataset) -> NDArray[np.int8]:
    features = part.features
    if model.quantizer is None:
        if features.shape[1] != model.network.inputs:
            raise RefutationError(
                f"the model takes {model.network.inputs} inputs, the data have {features.shape[1]}"
            )
        whole = np.clip(np.rint(features), -128, 127)
        if not (whole == features).all():
            raise RefutationError(
                "the model has no input quantiser and the data are not int8 values"
            )
        return whole.astype(np.int8)
    try:
        return model.quantizer.quantize(features)
    except QDeployError as error:
        raise RefutationError(f"the data do not fit the model: {error}") from error


def _targets(model: Model, part: Dataset) -> NDArray[np.float64]:
    """±1 one against the rest (one score: the second label is +1), or standardised numbers."""
    if isinstance(model.head, Classes):
        return _signs(model.head, part.target)
    values = _numbers(model.head, part.target)
    with np.errstate(over="ignore"):
        standard = (values - np.array(model.head.mean)) / np.array(model.head.deviation)
    if not np.isfinite(standard).all():
        raise RefutationError("the targets divided by the deviation in the model are not finite")
    return standard


def _signs(head: Classes, target: NDArray[np.generic]) -> NDArray[np.float64]:
    positions: dict[Any, int] = {label: place for place, label in enumerate(head.labels)}
    if target.ndim != 1:
        raise RefutationError("the model chooses classes but the data have several targets a row")
    chosen = np.empty(len(target), dtype=np.int64)
    for row, label in enumerate(target.tolist()):
        place = positions.get(label)
        if place is None:
            raise RefutationError(
                f"training row {row + 1} has the label {label!r}, which the model does not know"
            )
        chosen[row] = place
    if head.outputs == 1:
        return np.where(chosen == 1, 1.0, -1.0)[:, None]
    return np.where(chosen[:, None] == np.arange(len(head.labels)), 1.0, -1.0)


def _numbers(head: Numbers, target: NDArray[np.generic]) -> NDArray[np.float64]:
    if target.dtype.kind not in "fiu":
        raise RefutationError(
            "the model predicts numbers but the target of the data is not numeric"
        )
    values = target.astype(np.float64).reshape(len(target), -1)
    if values.shape[1] != head.outputs:
        raise RefutationError(
            f"the model predicts {head.outputs} numbers, the data have {values.shape[1]} targets"
        )
    return values


def _standardised(model: Model, part: Dataset) -> None:
    """Refuse a model whose mean and deviation are not those of its training targets."""
    if not isinstance(model.head, Numbers):
        return
    values = _numbers(model.head, part.target)
    mean = np.average(values, axis=0, weights=part.weights)
    deviation = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=part.weights))
    slack = STANDARD_TOLERANCE * (np.abs(mean) + deviation)
    wrong = (np.abs(mean - model.head.mean) > slack) | (
        np.abs(deviation - model.head.deviation) > slack
    )
    if wrong.any():
        raise RefutationError(
            f"target {model.head.names[int(wrong.argmax())]!r}: the mean and deviation in the "
            "model are not those of its training rows"
        )
