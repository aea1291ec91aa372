"""Certified mode: the penalised problem, its width free, solved until the proof leaves no room."""

import time
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.data import Dataset, InputQuantizer
from qdeploy.data.quantizer import Scaling
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.advice import advice_for
from qdeploy.training.assembly import build_network, drop_silent, gather, merge
from qdeploy.training.checkpoint import Checkpoint, open_checkpoint, run_identity
from qdeploy.training.group.selection import select_group_beta
from qdeploy.training.group.training import train_group
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.neurons import NeuronFamily
from qdeploy.training.options import Options
from qdeploy.training.output import Effort
from qdeploy.training.outputs import train_outputs
from qdeploy.training.polish import reduce_neurons
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import certificate_for
from qdeploy.training.result import Fitted, merge_histories
from qdeploy.training.selection import Selection, select_beta
from qdeploy.training.sized_readout import choose_family_readout
from qdeploy.training.stopping import Stop, stop_on_interruption
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
    kept = open_checkpoint(options.checkpoint, run_identity(dataset, options.as_identity()))
    with stop_on_interruption() as stop:
        return _train(dataset, targets, loss, options, progress, began, kept, stop)


def _train(
    dataset: Dataset,
    targets: FloatArray,
    loss: Loss,
    options: Options,
    progress: Progress,
    began: float,
    checkpoint: Checkpoint,
    stop: Stop,
) -> Fitted:
    seed, jobs, neurons = options.seed, options.jobs, options.neurons
    together = options.outputs == "shared" and targets.shape[1] > 1
    prepared = _prepare(
        dataset,
        targets,
        loss,
        options.beta,
        options.scaling,
        seed,
        jobs,
        progress,
        together,
        options.family,
        checkpoint,
        stop,
    )
    quantizer, inputs, selection, beta = prepared
    integers = lift(inputs)
    if together:
        trained = train_group(integers, targets, loss, beta, options, progress, began)
        return trained.fitted(quantizer, selection)
    penalty = beta * integers.shape[1]
    family = options.family
    problems = [
        TrainingProblem(integers, column, penalty, loss, family=family) for column in targets.T
    ]
    limit = options.time_limit
    left_over = np.inf if limit is None else max(limit - (time.monotonic() - began), 0.0)
    outputs = train_outputs(
        problems,
        Effort(options.relaxation, options.gap, left_over),
        seed,
        jobs,
        checkpoint=checkpoint,
        stop=stop,
        progress=progress,
        began=began,
    )
    with single_threaded():
        shared = merge(gather(outputs), family.activation)
        if neurons is not None and len(shared.left) > neurons:
            progress(ProgressEvent("reducing the neurons to the budget", 0, None))
            shared = merge(reduce_neurons(problems, shared, neurons))
        progress(ProgressEvent("integer readout", 0, None))
        readout, widths = choose_family_readout(problems, shared, options.readout_bits)
        shared, readout = drop_silent(shared, readout)
    network = build_network(shared, readout, family.activation)
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
        interrupted=stop.requested,
        readout_widths=widths,
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
    family: NeuronFamily,
    checkpoint: Checkpoint,
    stop: Stop,
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
        select = select_group_beta if together else partial(select_beta, family=family, stop=stop)
        choose = partial(
            select,
            lift(inputs),
            targets,
            loss,
            dataset.task,
            seed=seed,
            jobs=jobs,
            progress=progress,
        )
        selection = checkpoint.once(f"beta-{how}", choose, lambda: not stop.requested)
        found.append((quantizer, inputs, selection, selection.beta))
        if stop.requested:
            break
    return min(found, key=lambda candidate: candidate[2].error)
