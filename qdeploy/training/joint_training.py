"""Straight-through training of the signs and of the input scales together, in single precision.

As in `straight_through`, but inputs are divided by steps that are learned with the signs, rounding
and saturation passed over in the gradient (Esser et al., ICLR 2020). Rows are seen in batches where
they are many; nothing of their number is held but the integers that are given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.quantizer import INPUT_STEP
from qdeploy.training.input_scales import LARGEST, SMALLEST
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.shared import SharedProblem, SharedReadout, solve_readout
from qdeploy.training.straight_through import (
    BATCH,
    LAST_RATE,
    MEAN_DECAY,
    READOUT_STEPS,
    SQUARE_DECAY,
)

__all__ = ["Joint", "train_jointly"]

Single = NDArray[np.float32]

SATURATION = 127
"""Largest magnitude of an input in integer steps; -128 is as good as -127 here."""

SCALE_RATE = 0.1
"""Learning rate of the logarithms of the scales."""
SCALES_EVERY = 4
"""Steps of the signs for one of the scales, which costs half as much again."""


@dataclass(frozen=True, eq=False)
class Joint:
    """What joint training found.

    Attributes:
        left: u, int8 (m, d).
        right: v, int8 (m, d).
        scales: of the inputs, float64 (d,), the constant one last, which is 1.
        steps: how many were done.
    """

    left: NDArray[np.int8]
    right: NDArray[np.int8]
    scales: FloatArray
    steps: int = 0


def train_jointly(
    steps_in: Single,
    targets: FloatArray,
    loss: Loss,
    width: int,
    generator: np.random.Generator,
    *,
    rate: float,
    steps: int,
    ridge: float,
    scale_rate: float = SCALE_RATE,
    batch: int = BATCH,
    stop: Callable[[int], bool] | None = None,
) -> Joint:
    """Train `width` neurons from random latent weights.

    Args:
        steps_in: inputs in integer steps before rounding, float32 (n, d), the constant one last.
        targets: float64 (n, K).
        loss: the loss, smooth.
        width: number of neurons m.
        generator: source of randomness.
        rate: learning rate at the start; it falls along a cosine.
        steps: number of steps.
        ridge: relative to the size of neuron outputs.
        scale_rate: that of the logarithms of the scales; 0 leaves them at 1.
        batch: rows of one step; fewer rows are used all at once.
        stop: asked after each step, by the number of steps done, whether to stop.

    Returns:
        The best that was met, or on batches the last; an interruption (Ctrl-C) ends training on
        batches with what there is.
    """
    rows, dimension = steps_in.shape
    latent = [_Latent(generator.uniform(-1, 1, (width, dimension)), rate) for _ in range(2)]
    scaling = _Latent(np.zeros(dimension), scale_rate, (np.log(SMALLEST), np.log(LARGEST)))
    goals = targets.astype(np.float32)
    whole = rows <= batch
    problem = _problem(steps_in, scaling.values, goals, loss, ridge) if whole else None
    readout: SharedReadout | None = None
    best, kept = np.inf, ([_signs(side.values) for side in latent], scaling.values)
    done = 0
    try:
        for step in range(1, steps + 1):
            if not whole:
                chosen = generator.choice(rows, batch, replace=False)
                problem = _problem(
                    steps_in[chosen], scaling.values, goals[chosen], loss.part(chosen), ridge
                )
            assert problem is not None
            inputs, signs = cast(Single, problem.inputs), [_signs(side.values) for side in latent]
            left, right = (inputs @ side.T for side in signs)
            response: FloatArray | None = None
            if readout is not None:
                # A loss that is not squared goes on from the step before, on these rows.
                response = readout.response if whole else _response(problem, left * right, readout)
            readout = solve_readout(problem, left * right, response, READOUT_STEPS)
            if not whole or readout.objective < best:
                best, kept = readout.objective, (signs, scaling.values)
            residual = problem.loss.times(readout.response - readout.predictions)
            slope = -(residual @ readout.weights.T / len(inputs)).astype(np.float32)
            by_left, by_right = slope * right, slope * left
            falling = (1 + np.cos(np.pi * step / steps)) / 2 + LAST_RATE
            for side, pull in zip(latent, (by_left, by_right), strict=True):
                side.move(pull.T @ inputs, falling)
            if scale_rate and step % SCALES_EVERY == 0:
                pull = (by_left @ signs[0] + by_right @ signs[1]) * inputs
                pull[np.abs(inputs) >= np.abs(inputs).max()] = 0
                gradient = pull.sum(axis=0)
                gradient[-1] = 0
                scaling.move(gradient, falling)
                if whole:
                    problem = _problem(steps_in, scaling.values, goals, loss, ridge)
            done = step
            if stop is not None and stop(step):
                break
    except KeyboardInterrupt:
        # With all rows at once a start is short, and whoever began it may have a better one.
        if whole or not done:
            raise
    first, second = (side.astype(np.int8) for side in kept[0])
    return Joint(first, second, np.exp(kept[1].astype(np.float64)), done)


class _Latent:
    """Values that Adam moves within bounds (Kingma & Ba, 2015)."""

    def __init__(
        self, start: FloatArray, rate: float, bounds: tuple[float, float] = (-1.0, 1.0)
    ) -> None:
        self.values: Single = start.astype(np.float32)
        self._rate, self._bounds = rate, bounds
        self._mean, self._square = np.zeros_like(self.values), np.zeros_like(self.values)
        self._step = 0

    def move(self, gradient: Single, share: float) -> None:
        """One step at a share of the rate."""
        self._step += 1
        self._mean += (1 - MEAN_DECAY) * (gradient - self._mean)
        self._square += (1 - SQUARE_DECAY) * (gradient**2 - self._square)
        size = np.sqrt(self._square / (1 - SQUARE_DECAY**self._step)) + 1e-12
        move = self._mean / (1 - MEAN_DECAY**self._step) / size
        self.values = np.clip(self.values - self._rate * share * move, *self._bounds)


def _problem(
    steps_in: Single, logarithms: Single, targets: Single, loss: Loss, ridge: float
) -> SharedProblem:
    """The problem on inputs as the device would see them, in single precision."""
    seen = np.clip(np.rint(steps_in * np.exp(logarithms)), -SATURATION, SATURATION)
    inputs = seen * np.float32(INPUT_STEP / np.sqrt(steps_in.shape[1]))
    size = float(np.average(np.einsum("ij,ij->i", inputs, inputs), weights=loss.weights))
    energy = size**2 * (len(inputs) if loss.weights is None else float(loss.weights.sum()))
    # Single precision is enough to find signs by; what is kept of them is solved anew.
    return SharedProblem(cast(FloatArray, inputs), cast(FloatArray, targets), loss, ridge * energy)


def _response(problem: SharedProblem, features: Single, readout: SharedReadout) -> FloatArray:
    """Working response on rows that a readout has not seen; the targets, if the loss is squared."""
    predictions = features @ readout.weights.astype(np.float32) + readout.intercepts
    return problem.response(cast(FloatArray, predictions.astype(np.float32)))


def _signs(latent: Single) -> Single:
    return np.where(latent < 0, np.float32(-1), np.float32(1))
