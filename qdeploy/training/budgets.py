"""Compact networks within bytes and operations: the width and the inputs that predict best.

Sizes that fit are trained on part of the training rows and compared on the rest of them; the best
is trained on all. What a size costs is counted on a network of that size (qdeploy/inspection.py).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from qdeploy.data import Dataset, InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.inspection import Cost, cost
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.compact import train_compact
from qdeploy.training.interruptions import noted_interruptions
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.options import Options
from qdeploy.training.problem import CONSTANT
from qdeploy.training.result import Fitted
from qdeploy.training.selection import fold_numbers, prediction_errors

__all__ = ["MOST_NEURONS", "Size", "sizes_within", "train_within", "widths_within"]

MOST_NEURONS = 256
"""Widths beyond this are tried only where `neurons` allows them."""
PARTS_OF_INPUTS = (1, 2, 4)
"""Of all inputs, one in so many is taken."""
FORESEEN_BITS = 8
"""Readout width counted with where training chooses it, and taken where its choice is too large."""
CHOOSING = 0.5
"""Share of a time limit for comparing sizes."""
QUICK = 5.0
"""Seconds for the last training after an interruption."""


@dataclass(frozen=True)
class Size:
    """A size of network.

    Attributes:
        neurons: m.
        inputs: the most inputs, without the constant one.
    """

    neurons: int
    inputs: int


def train_within(
    dataset: Dataset,
    targets: FloatArray,
    loss: Loss,
    options: Options,
    progress: Progress,
    began: float,
) -> Fitted:
    """Train the best network that costs no more than `options` allow.

    An interruption (Ctrl-C) while sizes are compared trains the best size so far, quickly.

    Args:
        dataset: the training rows.
        targets: float64 (n, K).
        loss: the loss.
        options: of `train`, checked, with `max_bytes` or `max_ops`.
        progress: told of the stages.
        began: `time.monotonic()` when training as a whole began.

    Raises:
        QDeployError: no network is that small.
    """
    quantizer = InputQuantizer.fit(dataset.features, dataset.feature_names, weights=dataset.weights)
    sizes = sizes_within(options, quantizer.kept.size, targets.shape[1])
    limit = inf if options.time_limit is None else options.time_limit
    with noted_interruptions() as interrupted:
        size = sizes[0]
        if len(sizes) > 1:
            comparison = _Comparison(dataset, targets, loss, options, progress, interrupted)
            size = comparison.best(sizes, time.monotonic(), began + CHOOSING * limit)

        def trained(asked: Options) -> Fitted:
            left = QUICK if interrupted() else began + limit - time.monotonic()
            return _train(dataset, targets, loss, asked, size, left, progress)

        fitted = trained(options)
        if not _fits(cost(fitted.network), options):
            fitted = trained(replace(options, readout_bits=FORESEEN_BITS))
    return fitted


def sizes_within(options: Options, inputs: int, outputs: int) -> list[Size]:
    """The sizes that are worth comparing, the widest on most inputs first.

    Fewer inputs are tried where they make room for more neurons, and half the neurons where as many
    as fit may be too many for the rows.

    Args:
        options: the budgets.
        inputs: inputs that the data have, without the constant one.
        outputs: K.

    Raises:
        QDeployError: no network is that small.
    """
    most = inputs if options.inputs is None else min(options.inputs, inputs)
    sizes: list[Size] = []
    for parts in PARTS_OF_INPUTS:
        size = _widest(options, -(-most // parts), outputs)
        if size.neurons > max((known.neurons for known in sizes), default=0):
            sizes.append(size)
    if not sizes:
        # Even a quarter of the inputs leaves no room for a neuron: as many as do.
        few = (_widest(options, taken, outputs) for taken in range(most // 4, 0, -1))
        sizes = [next((size for size in few if size.neurons), Size(0, 1))]
    if not sizes[0].neurons:
        least = _cost(Size(1, 1), outputs, options)
        budgets = [
            f"{allowed} {unit} (--max-{option})"
            for allowed, unit, option in (
                (options.max_bytes, "bytes", "bytes"),
                (options.max_ops, "operations", "ops"),
            )
            if allowed is not None
        ]
        raise QDeployError(
            f"no network fits {' and '.join(budgets)}; the smallest, one neuron on one input, "
            f"takes {least.bytes} bytes and {least.operations} operations"
        )
    if sizes[0].neurons > 1:
        sizes.append(replace(sizes[0], neurons=sizes[0].neurons // 2))
    return sizes


def widths_within(options: Options, inputs: int, outputs: int) -> list[int]:
    """The widths 1, 2, 4, … that fit, and the widest of all.

    Args:
        options: the budgets.
        inputs: inputs that the data have, without the constant one.
        outputs: K.

    Raises:
        QDeployError: not even one neuron fits on the inputs that are asked for.
    """
    taken = inputs if options.inputs is None else min(options.inputs, inputs)
    widest = _widest(options, taken, outputs).neurons
    if not widest:
        least = _cost(Size(1, taken), outputs, options)
        raise QDeployError(
            f"a single neuron on {taken} inputs takes {least.bytes} bytes and {least.operations} "
            "operations, more than is allowed; raise --max-bytes or --max-ops, or lower --inputs"
        )
    return [2**power for power in range(widest.bit_length()) if 2**power < widest] + [widest]


def _widest(options: Options, inputs: int, outputs: int) -> Size:
    """The widest size on so many inputs that fits, of zero neurons if none does."""
    low, high = 0, options.neurons or MOST_NEURONS
    while low < high:
        middle = (low + high + 1) // 2
        fits = _fits(_cost(Size(middle, inputs), outputs, options), options)
        low, high = (middle, high) if fits else (low, middle - 1)
    return Size(low, inputs)


def _fits(counted: Cost, options: Options) -> bool:
    return counted.bytes <= (options.max_bytes or inf) and counted.operations <= (
        options.max_ops or inf
    )


def _cost(size: Size, outputs: int, options: Options) -> Cost:
    """The most that a network of this size can cost: its readout is as large as it may be."""
    bits = options.readout_bits if isinstance(options.readout_bits, int) else FORESEEN_BITS
    signs = np.ones((size.neurons, size.inputs), dtype=np.int8)
    biases = np.full(size.neurons, CONSTANT)
    largest = 2 ** (bits - 1) - 1
    # Outputs that differ, as far as so many neurons can tell them apart.
    base, numbers = 2 * largest + 1, np.arange(outputs)
    weights = np.full((size.neurons, outputs), largest)
    for neuron in range(min(size.neurons, 3)):
        weights[neuron] -= numbers // base**neuron % base
    layers = (
        QuadraticLayer(signs, signs, biases, biases),
        ReadoutLayer(weights, np.zeros(outputs, dtype=np.int64)),
    )
    return cost(QuantizedNetwork(layers))


def _train(
    dataset: Dataset,
    targets: FloatArray,
    loss: Loss,
    options: Options,
    size: Size,
    seconds: float,
    progress: Progress,
) -> Fitted:
    """Compact training of one size, in so many seconds (or infinity)."""
    asked = replace(
        options,
        neurons=size.neurons,
        inputs=size.inputs,
        time_limit=None if seconds == inf else max(seconds, 1e-3),
    )
    return train_compact(dataset, targets, loss, asked, progress, time.monotonic())


class _Comparison:
    """Sizes held against each other on rows that they were not trained on."""

    def __init__(
        self,
        dataset: Dataset,
        targets: FloatArray,
        loss: Loss,
        options: Options,
        progress: Progress,
        interrupted: Callable[[], bool],
    ) -> None:
        self._dataset, self._targets, self._loss = dataset, targets, loss
        self._options, self._progress, self._interrupted = options, progress, interrupted

    def best(self, sizes: Sequence[Size], began: float, deadline: float) -> Size:
        """The size with the fewest errors on held-out rows; of equals, the least loss.

        Args:
            sizes: the first is taken where the rows are too few to compare any.
            began: `time.monotonic()` now.
            deadline: that at which to stop.
        """
        generator = np.random.default_rng(self._options.seed)
        held_out = fold_numbers(self._targets, self._options.task, generator) == 0
        if not self._comparable(held_out):
            return sizes[0]
        found: list[tuple[float, float]] = []
        for number, size in enumerate(sizes):
            stage = ProgressEvent("comparing sizes on held-out rows", number, len(sizes))
            seconds = (deadline - began) / len(sizes)
            try:
                self._progress(stage)
                found.append(self._error(size, held_out, seconds))
            except KeyboardInterrupt:
                if not found:
                    raise
                break
            if self._interrupted() or time.monotonic() > deadline:
                break
        return sizes[min(range(len(found)), key=found.__getitem__)]

    def _comparable(self, held_out: NDArray[np.bool_]) -> bool:
        """Whether every class is among the rows that are left."""
        if self._options.task == "regress":
            return int((~held_out).sum()) > 1
        rest = self._targets[~held_out]
        return bool((rest.max(axis=0) > 0).all() and (rest.min(axis=0) < 0).all())

    def _error(
        self, size: Size, held_out: NDArray[np.bool_], seconds: float
    ) -> tuple[float, float]:
        """Weighted errors and loss on the held-out rows."""
        data = self._dataset
        part = replace(
            data,
            features=data.features[~held_out],
            target=data.target[~held_out],
            weights=None if data.weights is None else data.weights[~held_out],
        )
        fitted = _train(
            part,
            self._targets[~held_out],
            self._loss.part(~held_out),
            self._options,
            size,
            seconds,
            self._progress,
        )
        inputs = fitted.quantizer.quantize(data.features[held_out])
        scores = fitted.network.forward(inputs).astype(np.float64)
        predictions = scores * fitted.scale
        targets, loss = self._targets[held_out], self._loss.part(held_out)
        wrong = prediction_errors(predictions[None], targets, self._options.task)
        return float(loss.times(wrong.T).sum()), loss.value(predictions, targets)
