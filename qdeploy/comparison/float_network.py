"""The same quadratic network with float weights, trained by Adam, and what rounding makes of it.

The readout is solved at every step, as in straight-through training, so that the two differ in the
signs alone. Rounding keeps the size of each weight vector, mean|w|, which is the factor for which
mean|w|·sign(w) is nearest to w (Rastegari et al., ECCV 2016).
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qdeploy.comparison.integers import RealNetwork
from qdeploy.training.losses import FloatArray
from qdeploy.training.rounding import signs
from qdeploy.training.shared import SharedProblem, solve_readout

__all__ = ["FloatNeurons", "float_starts", "rounded"]

SCHEDULES = ((0.05, 300), (0.02, 300), (0.05, 1000))
"""Rates and numbers of steps, in turn."""
PROBE, FEWEST = 10, 40
MEAN_DECAY, SQUARE_DECAY = 0.9, 0.99
READOUT_STEPS = 4


@dataclass(frozen=True, eq=False)
class FloatNeurons:
    """Float weights.

    Attributes:
        left: u, float64 (m, d).
        right: v, float64 (m, d).
    """

    left: FloatArray
    right: FloatArray

    def features(self, problem: SharedProblem) -> FloatArray:
        """Neuron outputs, float64 (n, m)."""
        product: FloatArray = (problem.inputs @ self.left.T) * (problem.inputs @ self.right.T)
        return product


def float_starts(
    problem: SharedProblem, width: int, generator: np.random.Generator, deadline: float
) -> Iterator[FloatNeurons]:
    """Trained float neurons, one start after another, for as long as there is time.

    Args:
        problem: inputs, targets, loss and ridge.
        width: number of neurons m.
        generator: source of randomness.
        deadline: `time.monotonic()` at which to stop.
    """
    began = time.monotonic()
    yield _train(problem, width, generator, SCHEDULES[0][0], PROBE, np.inf)
    a_step = (time.monotonic() - began) / PROBE
    for rate, steps in itertools.cycle(SCHEDULES):
        affordable = int((deadline - time.monotonic()) / a_step)
        if affordable < FEWEST:
            break
        yield _train(problem, width, generator, rate, min(steps, affordable), deadline)


def rounded(problem: SharedProblem, neurons: FloatNeurons) -> RealNetwork:
    """Signs of the float weights, their sizes in the readout, and the float intercept."""
    readout = solve_readout(problem, neurons.features(problem))
    dimension = neurons.left.shape[1]
    sizes = np.abs(neurons.left).mean(axis=1) * np.abs(neurons.right).mean(axis=1)
    return RealNetwork(
        signs(neurons.left),
        signs(neurons.right),
        readout.weights * sizes[:, None] / dimension,
        readout.intercepts,
    )


def _train(
    problem: SharedProblem,
    width: int,
    generator: np.random.Generator,
    rate: float,
    steps: int,
    deadline: float,
) -> FloatNeurons:
    rows, dimension = problem.inputs.shape
    sides = [generator.uniform(-1, 1, (width, dimension)) for _ in range(2)]
    means = [np.zeros_like(side) for side in sides]
    squares = [np.zeros_like(side) for side in sides]
    for step in range(1, steps + 1):
        left, right = (problem.inputs @ side.T for side in sides)
        readout = solve_readout(problem, left * right, steps=READOUT_STEPS)
        residual = problem.loss.times(readout.response - readout.predictions)
        slope = -(residual @ readout.weights.T) / rows
        gradients = ((slope * right).T @ problem.inputs, (slope * left).T @ problem.inputs)
        falling = (1 + np.cos(np.pi * step / steps)) / 2
        for k, gradient in enumerate(gradients):
            means[k] += (1 - MEAN_DECAY) * (gradient - means[k])
            squares[k] += (1 - SQUARE_DECAY) * (gradient**2 - squares[k])
            size = np.sqrt(squares[k] / (1 - SQUARE_DECAY**step)) + 1e-12
            sides[k] = sides[k] - rate * falling * means[k] / (1 - MEAN_DECAY**step) / size
        if time.monotonic() > deadline:
            break
    return FloatNeurons(*sides)
