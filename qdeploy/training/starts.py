"""The start of a search from certified neurons: column generation, then backward elimination."""

import time
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from qdeploy.training.assembly import merge
from qdeploy.training.columns import ColumnGeneration, Neurons
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.polish import SharedNeurons, reduce_neurons
from qdeploy.training.problem import TrainingProblem

__all__ = ["eliminated", "penalised_neurons", "random_signs"]

SignMatrix = NDArray[np.int8]

ROUNDS, PER_ROUND, STARTS = 12, 20, 64
TOLERANCE = 5e-3


def random_signs(
    count: int, dimension: int, generator: np.random.Generator
) -> tuple[SignMatrix, SignMatrix]:
    """Random u and v, int8 (count, d) each."""
    drawn = generator.choice(np.array([-1, 1], dtype=np.int8), (2, count, dimension))
    return drawn[0], drawn[1]


def penalised_neurons(
    problem: TrainingProblem, generator: np.random.Generator, deadline: float = np.inf
) -> Neurons:
    """Neurons of one output near the optimum of any width, by a short column generation."""
    columns = ColumnGeneration(problem, generator, PER_ROUND, STARTS)
    columns.run(ROUNDS, deadline, tolerance=TOLERANCE)
    return columns.neurons


def eliminated(
    integers: NDArray[np.int16],
    targets: FloatArray,
    loss: Loss,
    beta: float,
    width: int,
    generator: np.random.Generator,
    deadline: float = np.inf,
) -> tuple[SignMatrix, SignMatrix]:
    """Exactly `width` neurons: those of all outputs, thinned out, or filled up at random.

    Args:
        integers: lifted inputs, int16 (n, d).
        targets: float64 (n, K).
        loss: the loss.
        beta: penalty of the certified problem.
        width: number of neurons.
        generator: source of randomness.
        deadline: `time.monotonic()` after which no more neurons are sought.
    """
    dimension = integers.shape[1]
    problems = [TrainingProblem(integers, column, beta * dimension, loss) for column in targets.T]
    found = [penalised_neurons(problem, generator, deadline) for problem in problems]
    weights = block_diag(*(neurons.solution.weights[:, None] for neurons in found))
    left = np.vstack([neurons.left for neurons in found])
    right = np.vstack([neurons.right for neurons in found])
    if len(left) and time.monotonic() < deadline:
        shared = merge(SharedNeurons(left, right, weights.reshape(len(left), len(found))))
        if len(shared.left) > width:
            shared = reduce_neurons(problems, shared, width)
        left, right = shared.left, shared.right
    missing = max(0, width - len(left))
    more = random_signs(missing, dimension, generator)
    return (
        cast(SignMatrix, np.vstack([left[:width], more[0]])),
        cast(SignMatrix, np.vstack([right[:width], more[1]])),
    )
