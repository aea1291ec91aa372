"""Straight-through training of ±1 neurons: latent weights, their signs forward, Adam backward.

The gradient by a sign is passed on to its latent weight, which is kept within [-1, 1] (Courbariaux
et al., 2016; Adam: Kingma & Ba, 2015). The readout is not trained but solved at every step, so that
the gradient is that of the loss with the best readout.
"""

import time

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.shared import SharedProblem, solve_readout

__all__ = ["step_work", "straight_through"]

SignMatrix = NDArray[np.int8]

BATCH = 4096
"""Rows of one step; fewer rows are used all at once."""
MEAN_DECAY, SQUARE_DECAY = 0.9, 0.99
LAST_RATE = 1e-3
"""Share of the learning rate that is left at the end of the cosine."""
READOUT_STEPS = 4


def step_work(rows: int, dimension: int, width: int) -> float:
    """Floating-point operations of one step, roughly."""
    seen = min(rows, BATCH)
    return seen * width * (12.0 * dimension + 2.0 * width)


def straight_through(
    problem: SharedProblem,
    width: int,
    generator: np.random.Generator,
    *,
    rate: float,
    steps: int,
    deadline: float = np.inf,
) -> tuple[SignMatrix, SignMatrix]:
    """Train `width` neurons from random latent weights.

    Args:
        problem: inputs, targets, loss and ridge.
        width: number of neurons m.
        generator: source of randomness.
        rate: learning rate at the start; it falls along a cosine.
        steps: number of steps.
        deadline: `time.monotonic()` at which to stop.

    Returns:
        u and v, int8 (m, d) each: the best that were met, or on batches the last.
    """
    rows, dimension = problem.inputs.shape
    single = problem.inputs.astype(np.float32)
    latent = [generator.uniform(-1, 1, (width, dimension)).astype(np.float32) for _ in range(2)]
    means = [np.zeros_like(side) for side in latent]
    squares = [np.zeros_like(side) for side in latent]
    best, signs = np.inf, [_signs(side) for side in latent]
    for step in range(1, steps + 1):
        drawn = [_signs(side) for side in latent]
        chosen = generator.choice(rows, BATCH, replace=False) if rows > BATCH else slice(None)
        inputs = single[chosen]
        left, right = (inputs @ side.T for side in drawn)
        seen = SharedProblem(
            problem.inputs[chosen],
            problem.targets[chosen],
            problem.loss.part(chosen),
            problem.ridge * len(inputs) / rows,
        )
        readout = solve_readout(seen, (left * right).astype(np.float64), steps=READOUT_STEPS)
        if rows > BATCH or readout.objective < best:
            best, signs = readout.objective, drawn
        residual = seen.loss.times(readout.response - readout.predictions)
        slope = -(residual @ readout.weights.T / len(inputs)).astype(np.float32)
        gradients = ((slope * right).T @ inputs, (slope * left).T @ inputs)
        falling = (1 + np.cos(np.pi * step / steps)) / 2
        for k, gradient in enumerate(gradients):
            means[k] += (1 - MEAN_DECAY) * (gradient - means[k])
            squares[k] += (1 - SQUARE_DECAY) * (gradient**2 - squares[k])
            size = np.sqrt(squares[k] / (1 - SQUARE_DECAY**step)) + 1e-12
            move = means[k] / (1 - MEAN_DECAY**step) / size
            latent[k] = np.clip(latent[k] - rate * (falling + LAST_RATE) * move, -1, 1)
        if time.monotonic() > deadline:
            break
    return signs[0].astype(np.int8), signs[1].astype(np.int8)


def _signs(latent: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(latent < 0, np.float32(-1), np.float32(1))
