"""Certified mode: the penalised problem, its width free, solved until the proof leaves no room."""

import time
from typing import Literal

import joblib
import numpy as np
from numpy.typing import NDArray

from qdeploy.data import Dataset, InputQuantizer
from qdeploy.data.quantizer import Scaling
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.advice import advice_for
from qdeploy.training.assembly import build_network, drop_silent, features_of, gather, merge
from qdeploy.training.group import train_group
from qdeploy.training.group_selection import select_group_beta
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.options import Options
from qdeploy.training.output import Effort, TrainedOutput, train_output
from qdeploy.training.polish import reduce_neurons
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import certificate_for
from qdeploy.training.readout import integer_readout
from qdeploy.training.result import Fitted, merge_histories
from qdeploy.training.selection import Selection, select_beta
from qdeploy.training.threads import single_threaded

__all__ = ["train_certified"]


def train_certified(
    dataset: Dataset,
    targets: FloatArray,
    loss: Loss,
    options: Options,
    progress: Progress,
    began: float,
) -> Fitted:
    """Train every output to its certificate, then apply a budget of neurons if there is one.

    Args:
        dataset: the training rows.
        targets: float64 (n, K).
        loss: the loss.
        options: of `train`, checked.
        progress: told of the stages.
        began: `time.monotonic()` when training as a whole began.
    """
    seed, jobs, neurons = options.seed, options.jobs, options.neurons
    together = options.outputs == "shared" and targets.shape[1] > 1
    prepared = _prepare(
        dataset, targets, loss, options.beta, options.scaling, seed, jobs, progress, together
    )
    quantizer, inputs, selection, beta = prepared
    integers = lift(inputs)
    if together:
        trained = train_group(integers, targets, loss, beta, options, progress, began)
        return trained.fitted(quantizer, selection)
    penalty = beta * integers.shape[1]
    problems = [TrainingProblem(integers, column, penalty, loss) for column in targets.T]
    limit = options.time_limit
    left_over = None if limit is None else limit - (time.monotonic() - began)
    outputs = _train_outputs(
        problems, options.relaxation, options.gap, left_over, seed, jobs, progress, began
    )
    with single_threaded():
        shared = merge(gather(outputs))
        if neurons is not None and len(shared.left) > neurons:
            progress(ProgressEvent("reducing the neurons to the budget", 0, None))
            shared = merge(reduce_neurons(problems, shared, neurons))
        progress(ProgressEvent("integer readout", 0, None))
        features = features_of(problems[0], shared)
        readout = integer_readout(problems, features, shared.weights, options.readout_bits)
        shared, readout = drop_silent(shared, readout)
    network = build_network(shared, readout)
    duals = [output.dual for output in outputs]
    certificate = certificate_for(problems, duals, network, readout, beta)
    return Fitted(
        quantizer=quantizer,
        network=network,
        scale=readout.scale,
        certificate=certificate,
        history=merge_histories([output.history for output in outputs]),
        advice=advice_for(certificate, outputs, integers.shape[1], neurons, options.gap, selection),
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
    together: bool,
) -> tuple[InputQuantizer, NDArray[np.int8], Selection | None, float]:
    """Quantiser, quantised inputs, the cross-validation if there was one, and β."""

    def quantized(how: Scaling) -> tuple[InputQuantizer, NDArray[np.int8]]:
        quantizer = InputQuantizer.fit(
            dataset.features, dataset.feature_names, how, dataset.weights
        )
        return quantizer, quantizer.quantize(dataset.features)

    if beta != "auto":
        return *quantized("feature" if scaling == "auto" else scaling), None, beta
    ways: tuple[Scaling, ...] = ("feature", "tensor") if scaling == "auto" else (scaling,)
    found = []
    for how in ways:
        quantizer, inputs = quantized(how)
        select = select_group_beta if together else select_beta
        selection = select(
            lift(inputs), targets, loss, dataset.task, seed=seed, jobs=jobs, progress=progress
        )
        found.append((quantizer, inputs, selection, selection.beta))
    return min(found, key=lambda candidate: candidate[2].error)


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
    trained: list[TrainedOutput] = []

    def effort_now() -> Effort:
        """After an interruption the outputs that have not begun get the quick proof alone."""
        interrupted = any(output.interrupted for output in trained)
        return Effort(relaxation, gap, 0.0 if interrupted else share)

    running = joblib.Parallel(n_jobs=workers, return_as="generator")(
        joblib.delayed(train_output)(problem, effort_now(), [seed, k], began=began)
        for k, problem in enumerate(problems)
    )
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
