"""Certified mode: the penalised problem, its width free, solved until the proof leaves no room."""

import time
from functools import partial

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
from qdeploy.training.input_shifts import learn_shifts
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.options import Options
from qdeploy.training.output import Effort
from qdeploy.training.outputs import train_outputs
from qdeploy.training.polish import reduce_neurons
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import certificate_for
from qdeploy.training.result import Fitted, merge_histories
from qdeploy.training.search import Rows
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
    quantizer, inputs, selection, beta = _prepare(
        dataset, targets, loss, options, progress, together, checkpoint, stop
    )
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
    options: Options,
    progress: Progress,
    together: bool,
    checkpoint: Checkpoint,
    stop: Stop,
) -> tuple[InputQuantizer, NDArray[np.int8], Selection | None, float]:
    """Quantiser, quantised inputs, the cross-validation if there was one, and β."""
    family, scaling = options.family, options.scaling
    select = select_group_beta if together else partial(select_beta, family=family, stop=stop)

    def fitted(how: Scaling) -> InputQuantizer:
        return InputQuantizer.fit(dataset.features, dataset.feature_names, how, dataset.weights)

    def chosen(quantizer: InputQuantizer, step: str) -> Selection:
        """Cross-validation of β, or what a checkpoint knows of it."""
        choose = partial(
            select,
            lift(quantizer.quantize(dataset.features)),
            targets,
            loss,
            dataset.task,
            seed=options.seed,
            jobs=options.jobs,
            progress=progress,
        )
        return checkpoint.once(f"beta-{step}", choose, lambda: not stop.requested)

    selection: Selection | None = None
    if options.beta != "auto":
        quantizer = fitted("feature" if scaling == "auto" else scaling)
        beta = options.beta
    else:
        ways: tuple[Scaling, ...] = ("feature", "tensor") if scaling == "auto" else (scaling,)
        found = []
        for how in ways:
            way = fitted(how)
            found.append((way, chosen(way, how)))
            if stop.requested:
                break
        quantizer, selection = min(found, key=lambda candidate: candidate[1].error)
        beta = selection.beta
    if options.input_shifts == "learned" and not stop.requested:
        rows = Rows(dataset.features, quantizer, targets, loss)
        learn = partial(
            learn_shifts, rows, beta, dataset.task, family, options.seed, progress, stop
        )
        shifts = checkpoint.once("shifts", learn, lambda: not stop.requested)
        if shifts.any():
            quantizer = quantizer.rescaled(np.exp2(shifts))
            if selection is not None:
                selection = chosen(quantizer, "shifted")
                beta = selection.beta
    return quantizer, quantizer.quantize(dataset.features), selection, beta
