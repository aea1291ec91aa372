"""From data to a certified model: quantise, choose β, train the outputs, integers, certificate."""

import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import joblib
import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import Certificate, dataset_digest
from qdeploy.data import Dataset, InputQuantizer, dataset_from_arrays
from qdeploy.data.dataset import Task
from qdeploy.data.quantizer import INPUT_STEP, Scaling
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Head, Model, Numbers
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.ranges import BETA, GAP, NEURONS, READOUT_BITS, TIME_LIMIT, auto_or
from qdeploy.training.advice import advice_for
from qdeploy.training.assembly import build_network, drop_silent, gather, merge
from qdeploy.training.losses import FloatArray, Loss, losses
from qdeploy.training.output import Effort, TrainedOutput, train_output
from qdeploy.training.polish import reduce_neurons
from qdeploy.training.problem import CONSTANT, TrainingProblem, lift
from qdeploy.training.proof import certificate_of, exact_objective
from qdeploy.training.readout import integer_readout
from qdeploy.training.result import TrainingResult, merge_histories
from qdeploy.training.selection import Selection, select_beta
from qdeploy.training.threads import single_threaded

__all__ = ["TrainingResult", "train"]


def train(
    X: Dataset | NDArray[Any],
    y: NDArray[Any] | None = None,
    *,
    task: Task | None = None,
    loss: str = "squared",
    beta: float | Literal["auto"] = "auto",
    neurons: int | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    scaling: Scaling | Literal["auto"] = "auto",
    readout_bits: int = 8,
    relaxation: str = "low-rank",
    seed: int = 0,
    jobs: int = -1,
    name: str = "model",
    feature_names: Sequence[str] | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Train a ±1 network and prove how far it is from the best one of any width.

    Args:
        X: raw features (n, D), or a whole dataset (then `y` stays None).
        y: labels (n,), or numbers (n,) or (n, K).
        task: guessed from y when None.
        loss: "squared" or "squared-hinge" (classes only).
        beta: λ = beta·d is the price of Σ|α|; "auto" chooses it by cross-validation.
        neurons: at most so many neurons; the certificate still speaks of any width.
        gap: stop once this gap is proven.
        time_limit: seconds; what is best then is returned with the bound proven until then.
        scaling: "feature" or "tensor", see `InputQuantizer.fit`; "auto" lets cross-validation
            choose when it chooses β anyway, and is "feature" otherwise.
        readout_bits: width of the integer readout weights, 2 to 16.
        relaxation: solver of the semidefinite relaxation, "low-rank" or "clarabel".
        seed: the same seed gives the same model on the same machine (without a time limit).
        jobs: processes, as joblib counts them; -1 uses every core.
        name: name of the model, a valid C name.
        feature_names: D names, for arrays.
        progress: told of the stages.

    Raises:
        QDeployError: the data or an option is unusable.
    """
    began = time.monotonic()
    dataset = _dataset(X, y, task, feature_names)
    chosen_loss = losses[loss]
    _check(dataset, chosen_loss, beta, neurons, gap, time_limit, readout_bits)
    head, targets = encode(dataset)
    prepared = _prepare(dataset, targets, chosen_loss, beta, scaling, seed, jobs, progress)
    quantizer, inputs, selection, beta = prepared
    integers = lift(inputs)
    penalty = beta * integers.shape[1]
    problems = [TrainingProblem(integers, column, penalty, chosen_loss) for column in targets.T]
    left_over = None if time_limit is None else time_limit - (time.monotonic() - began)
    outputs = _train_outputs(problems, relaxation, gap, left_over, seed, jobs, progress, began)
    with single_threaded():
        shared = merge(gather(outputs))
        if neurons is not None and len(shared.left) > neurons:
            progress(ProgressEvent("reducing the neurons to the budget", 0, None))
            shared = merge(reduce_neurons(problems, shared, neurons))
        progress(ProgressEvent("integer readout", 0, None))
        features = problems[0].features(shared.left, shared.right)
        readout = integer_readout(problems, features, shared.weights, readout_bits)
        shared, readout = drop_silent(shared, readout)
    network = build_network(shared, readout)
    scores = network.forward(inputs)
    certificate = Certificate(
        method="sdp"
        if any(output.dual.multipliers is not None for output in outputs)
        else "enumeration",
        loss=loss,
        beta=beta,
        penalty=penalty,
        input_step=INPUT_STEP,
        constant=CONSTANT,
        data_digest=dataset_digest(inputs, targets),
        outputs=tuple(
            certificate_of(
                output.dual,
                exact_objective(
                    problem,
                    scores[:, k].astype(np.int64),
                    readout.weights[:, k],
                    readout.scale,
                ),
            )
            for k, (problem, output) in enumerate(zip(problems, outputs, strict=True))
        ),
    )
    model = Model(
        name=name,
        network=network,
        scale=readout.scale,
        head=head,
        quantizer=quantizer,
        certificate=certificate,
        provenance={
            "data": {
                "source": dataset.source,
                "rows": len(dataset.features),
                "features": len(dataset.feature_names),
                "target": list(dataset.target_names),
            },
            "options": {
                "loss": loss,
                "neurons": neurons,
                "gap": gap,
                "time_limit": time_limit,
                "scaling": scaling,
                "readout_bits": readout_bits,
                "relaxation": relaxation,
                "seed": seed,
            },
            "versions": {
                "python": platform.python_version(),
                **{library: version(library) for library in ("qdeploy", "numpy", "scipy")},
            },
        },
    )
    return TrainingResult(
        model=model,
        history=merge_histories([output.history for output in outputs]),
        train_score=model.score(dataset.features, dataset.target),
        seconds=time.monotonic() - began,
        advice=advice_for(certificate, outputs, integers.shape[1], neurons, gap, selection),
        selection=selection,
    )


def _prepare(
    dataset: Dataset,
    targets: FloatArray,
    loss: Loss,
    beta: float | Literal["auto"],
    scaling: Scaling | Literal["auto"],
    seed: int,
    jobs: int,
    progress: Progress,
) -> tuple[InputQuantizer, NDArray[np.int8], Selection | None, float]:
    """Quantiser, quantised inputs, the cross-validation if there was one, and β."""

    def quantized(how: Scaling) -> tuple[InputQuantizer, NDArray[np.int8]]:
        quantizer = InputQuantizer.fit(dataset.features, dataset.feature_names, how)
        return quantizer, quantizer.quantize(dataset.features)

    if beta != "auto":
        return *quantized("feature" if scaling == "auto" else scaling), None, beta
    ways: tuple[Scaling, ...] = ("feature", "tensor") if scaling == "auto" else (scaling,)
    found = []
    for how in ways:
        quantizer, inputs = quantized(how)
        selection = select_beta(
            lift(inputs), targets, loss, dataset.task, seed=seed, jobs=jobs, progress=progress
        )
        found.append((quantizer, inputs, selection, selection.beta))
    return min(found, key=lambda candidate: candidate[2].error)


def encode(dataset: Dataset) -> tuple[Head, FloatArray]:
    """What the scores will mean, and training targets, float64 (n, K).

    Two classes give one column (the second label in sorted order is +1), more classes one each;
    numbers are standardised column by column.

    Raises:
        QDeployError: a target column of numbers is constant or not finite.
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
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    for column, size in enumerate(deviation):
        if not np.isfinite(size) or size <= 1e-12 * abs(mean[column]):
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
) -> Dataset:
    if isinstance(X, Dataset):
        if y is not None:
            raise QDeployError("a dataset holds its own target; leave y out")
        return X
    if y is None:
        raise QDeployError("training needs a target: give y beside X")
    return dataset_from_arrays(X, y, task=task, feature_names=feature_names)


def _check(
    dataset: Dataset,
    loss: Loss,
    beta: float | str,
    neurons: int | None,
    gap: float | None,
    time_limit: float | None,
    readout_bits: int,
) -> None:
    if dataset.task not in loss.tasks:
        fitting = ", ".join(known.name for known in losses.values() if dataset.task in known.tasks)
        raise QDeployError(
            f"loss {loss.name!r} does not suit the task {dataset.task!r}; choose one of {fitting}"
        )
    checks: list[tuple[str, Any, Callable[[Any], Any]]] = [
        ("beta", beta, partial(auto_or, BETA)),
        ("neurons", neurons, NEURONS),
        ("gap", gap, GAP),
        ("time_limit", time_limit, TIME_LIMIT),
        ("readout_bits", readout_bits, READOUT_BITS),
    ]
    for name, value, check in checks:
        if value is None:
            continue
        try:
            check(value)
        except ValueError as error:
            raise QDeployError(f"{name} {error}") from None


def _train_outputs(
    problems: list[TrainingProblem],
    relaxation: str,
    gap: float | None,
    seconds: float | None,
    seed: int,
    jobs: int,
    progress: Progress,
    began: float,
) -> list[TrainedOutput]:
    """Train the outputs, several at once; a single one uses the cores inside its proof."""
    count = len(problems)
    if count == 1:
        effort = Effort(relaxation, gap, np.inf if seconds is None else max(seconds, 0.0))
        return [train_output(problems[0], effort, [seed, 0], progress, began)]
    workers = min(joblib.effective_n_jobs(jobs), count)
    share = np.inf if seconds is None else max(seconds, 0.0) * workers / count
    effort = Effort(relaxation, gap, share)
    running = joblib.Parallel(n_jobs=workers, return_as="generator")(
        joblib.delayed(train_output)(problem, effort, [seed, k], began=began)
        for k, problem in enumerate(problems)
    )
    trained: list[TrainedOutput] = []
    for output in running:
        trained.append(output)
        objective = sum(o.neurons.solution.objective for o in trained)
        bound = sum(float(o.dual.value) for o in trained)
        gap_so_far = 1 - bound / objective if objective > 0 else 0.0
        progress(
            ProgressEvent(
                "training the outputs",
                len(trained),
                count,
                {"objective": f"{objective:.5g}", "gap so far": f"{gap_so_far:.2%}"},
            )
        )
    return trained
