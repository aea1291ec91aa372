"""From data to a model: encode the target, train in one of the two modes, keep the record."""

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdeploy.data import Dataset, dataset_from_arrays, with_class_weight
from qdeploy.data.dataset import Task
from qdeploy.data.quantizer import Scaling
from qdeploy.data.weighting import ClassWeight
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Head, Model, Numbers
from qdeploy.progress import Progress, silent
from qdeploy.training.budgets import train_within
from qdeploy.training.certified import train_certified
from qdeploy.training.compact import train_compact
from qdeploy.training.losses import FloatArray, losses
from qdeploy.training.options import InputShifts, Mode, Options, Outputs
from qdeploy.training.result import TrainingResult
from qdeploy.training.within_size import within_size

__all__ = ["TrainingResult", "encode", "train"]

TINIEST = 1e-150
"""Of smaller deviations the squares lose digits."""


def train(
    X: Dataset | NDArray[Any],
    y: NDArray[Any] | None = None,
    *,
    task: Task | None = None,
    loss: str = "squared",
    mode: Mode | None = None,
    beta: float | Literal["auto"] = "auto",
    neurons: int | None = None,
    inputs: int | None = None,
    max_bytes: int | None = None,
    max_ops: int | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    scaling: Scaling | Literal["auto"] = "auto",
    activation: str = "bilinear",
    readout_bits: int | Literal["auto"] = 8,
    relaxation: str = "low-rank",
    seed: int = 0,
    jobs: int = -1,
    name: str = "model",
    feature_names: Sequence[str] | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight | None = None,
    weights: str = "binary",
    penalty: str = "count",
    outputs: Outputs = "separate",
    input_shifts: InputShifts = "none",
    ridge: float | Literal["auto"] = "auto",
    checkpoint: Path | str | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Train a network of few-bit weights and prove how far it is from the best one of any width.

    Args:
        X: raw features (n, D), or a whole dataset (then `y` stays None).
        y: labels (n,), or numbers (n,) or (n, K).
        task: guessed from y when None.
        loss: "squared", or for classes "squared-hinge", "hinge" or "logistic".
        mode: "certified" (any width, a proof) or "compact" (the best of a given number of neurons
            that all outputs share); by default compact as soon as `neurons`, `max_bytes` or
            `max_ops` is given.
        beta: λ = beta·d is the price of Σ|α|; "auto" chooses it by cross-validation
            (in the compact mode, where it prices the proof and not the network, the one with the
            smallest gap).
        neurons: at most so many neurons; the certificate still speaks of any width.
        inputs: at most so many inputs, the most useful ones (compact mode).
        max_bytes: weights and biases take at most so many bytes as deployed (compact mode); width
            and inputs are chosen on held-out rows.
        max_ops: one inference takes at most so many additions and multiply-accumulates in the
            cheapest form of the network (compact mode).
        gap: stop once this gap is proven (certified mode).
        time_limit: seconds; what is best then is returned with the bound proven until then.
        scaling: "feature" or "tensor", see `InputQuantizer.fit`; "auto" lets cross-validation
            choose when it chooses β anyway, and is "feature" otherwise.
        activation: "bilinear" for products of two sums, "square" or "A,B,C" for neurons
            A·t² + B·t + C of one sum t (certified mode).
        readout_bits: width of the integer readout weights, 2 to 16; "auto" for the narrowest of
            4, 6, 8 and 16 that costs at most 0.1 % of the objective.
        relaxation: solver of the semidefinite relaxation, "low-rank" or "clarabel".
        seed: the same seed gives the same model on the same machine (without a time limit).
        jobs: processes, as joblib counts them; -1 uses every core.
        name: name of the model, a valid C name.
        feature_names: D names, for arrays.
        sample_weight: weights (n,) of the rows, for arrays: a row of weight w counts as w rows.
        class_weight: weight of each class, or "balanced" for the same total weight of all.
        weights: alphabet of the first layer: "binary", "ternary", "2-bit", "3-bit" or "4-bit"
            (all but the first in certified mode only).
        penalty: what |α| of a neuron is multiplied with in the penalty: "count", the square of the
            largest level, or "size", ‖u‖‖v‖/d; the two are the same for binary weights.
        outputs: of the certified mode: "separate" prices Σ|α| of every output by itself, "shared"
            the length ‖a_j‖₂ of each neuron's readouts, so that outputs share neurons.
        input_shifts: "learned" weighs each input by a power of two where rows that are held out in
            turn err less with it (certified mode), "none" leaves the inputs alike.
        ridge: of the readout in the compact mode, as a share of the size of neuron outputs; "auto"
            for the one of several with which held-out rows are predicted best, a small one such as
            0.001 for the closest fit.
        checkpoint: folder in which finished steps are kept (certified mode, separate outputs): the
            same call goes on where a killed one ended, and gives the same model to the bit (without
            a time limit). Saving the result removes it. Never name a folder from somebody else.
        progress: told of the stages.

    Raises:
        QDeployError: the data or an option is unusable.
    """
    began = time.monotonic()
    dataset = _dataset(X, y, task, feature_names, sample_weight)
    options = Options(
        task=dataset.task,
        loss=loss,
        mode=mode,
        beta=beta,
        neurons=neurons,
        inputs=inputs,
        gap=gap,
        time_limit=time_limit,
        scaling=scaling,
        readout_bits=readout_bits,
        relaxation=relaxation,
        seed=seed,
        jobs=jobs,
        class_weight=class_weight,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        weights=weights,
        penalty=penalty,
        activation=activation,
        max_bytes=max_bytes,
        max_ops=max_ops,
        outputs=outputs,
        input_shifts=input_shifts,
        ridge=ridge,
    )
    dataset = with_class_weight(dataset, class_weight)
    head, targets = encode(dataset)
    chosen = losses[loss].weighted(dataset.weights)
    compact = train_within if options.limits_cost else train_compact
    fit = compact if options.chosen_mode == "compact" else train_certified
    fitted = fit(dataset, targets, chosen, options, progress, began)
    within = None
    if options.chosen_mode == "compact":
        rows = fitted.quantizer.quantize(dataset.features)
        proof, network = fitted.certificate, fitted.network
        within = within_size(proof, network, fitted.scale, rows, targets, chosen)
    model = Model(
        name=name,
        network=fitted.network,
        scale=fitted.scale,
        head=head,
        quantizer=fitted.quantizer,
        certificate=fitted.certificate,
        provenance={
            "data": {
                "source": dataset.source,
                "rows": len(dataset.features),
                "features": len(dataset.feature_names),
                "target": list(dataset.target_names),
            },
            "options": options.as_provenance(),
            "versions": {
                "python": platform.python_version(),
                **{library: version(library) for library in ("qdeploy", "numpy", "scipy")},
            },
        },
    )
    return TrainingResult(
        model=model,
        mode=options.chosen_mode,
        history=fitted.history,
        train_score=model.score(dataset.features, dataset.target, dataset.weights),
        seconds=time.monotonic() - began,
        advice=fitted.advice,
        selection=fitted.selection,
        readout_widths=fitted.readout_widths,
        within_size=within,
        checkpoint=None if fitted.interrupted else options.checkpoint,
    )


def encode(dataset: Dataset) -> tuple[Head, FloatArray]:
    """What the scores will mean, and training targets, float64 (n, K).

    Two classes give one column (the second label in sorted order is +1), more classes one each;
    numbers are standardised column by column.

    Raises:
        QDeployError: a target column of numbers is constant, or its squares are not finite.
    """
    if dataset.task == "classify":
        labels, index = np.unique(dataset.target, return_inverse=True)
        if len(labels) < 2:
            raise QDeployError(
                f"label {dataset.target_names[0]!r} has a single class, {labels[0]!r}; "
                "a classifier needs at least two"
            )
        positions = np.arange(1, 2) if len(labels) == 2 else np.arange(len(labels))
        signs = np.where(index.reshape(-1, 1) == positions, 1.0, -1.0)
        return Classes(tuple(labels.tolist())), signs
    values = dataset.target.astype(np.float64).reshape(len(dataset.target), -1)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        mean = np.average(values, axis=0, weights=dataset.weights)
        deviation = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=dataset.weights))
    for column, size in enumerate(deviation):
        varies = (values[:, column] != values[0, column]).any()
        if varies and not TINIEST < size < np.inf:
            raise QDeployError(
                f"target {dataset.target_names[column]!r} is too large or too small to be squared; "
                "give it in another unit"
            )
        if size <= 1e-12 * abs(mean[column]):
            raise QDeployError(
                f"target {dataset.target_names[column]!r} does not vary; there is nothing to learn"
            )
    head = Numbers(dataset.target_names, tuple(mean.tolist()), tuple(deviation.tolist()))
    return head, (values - mean) / deviation


def _dataset(
    X: Dataset | NDArray[Any],
    y: NDArray[Any] | None,
    task: Task | None,
    feature_names: Sequence[str] | None,
    sample_weight: ArrayLike | None,
) -> Dataset:
    if isinstance(X, Dataset):
        if y is not None:
            raise QDeployError("a dataset holds its own target; leave y out")
        if sample_weight is not None:
            raise QDeployError("a dataset holds its own weights; leave sample_weight out")
        return X
    if y is None:
        raise QDeployError("training needs a target: give y beside X")
    return dataset_from_arrays(
        X, y, task=task, feature_names=feature_names, sample_weight=sample_weight
    )
