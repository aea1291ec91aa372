"""Where an output begins: a convex relaxation, for its residual and for neurons drawn from it."""

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from qdeploy.progress import Progress
from qdeploy.training.bounds import SignMatrix
from qdeploy.training.level_oracle import best_levels
from qdeploy.training.losses import FloatArray
from qdeploy.training.nuclear_norm import solve_real
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.relaxations import relaxations
from qdeploy.training.rounding import distinct, hyperplane_signs, krivine_signs

__all__ = ["FirstNeurons", "from_real_weights", "from_relaxation"]

SAMPLES = 150
"""Neurons drawn from the relaxation by each of the two roundings."""
SMOOTHING = 0.1
"""Width to which kinks of a loss are smoothed in the relaxation; its proof is for the kinks."""
GAP = 1e-6
LARGE_GAP = 1e-3
"""Gap of the relaxation of a large problem; its bound is off by more than that anyway."""


@dataclass(frozen=True, eq=False)
class FirstNeurons:
    """What a relaxation gives.

    Attributes:
        residual: at its optimum, float64 (n,).
        left: u, int8 (m, d).
        right: v, int8 (m, d).
    """

    residual: FloatArray
    left: SignMatrix
    right: SignMatrix


def from_relaxation(
    problem: TrainingProblem,
    solver: str,
    seconds: float,
    generator: np.random.Generator,
    progress: Progress,
) -> FirstNeurons:
    """The semidefinite relaxation; u and v are signs.

    Args:
        problem: the problem.
        solver: name of the relaxation's solver.
        seconds: that it may take, or infinity.
        generator: source of randomness.
        progress: told of the work done.
    """
    relaxed = relaxations[solver].solve(
        replace(problem, loss=problem.loss.smoothed(SMOOTHING)),
        seed=int(generator.integers(2**31)),
        time_limit=None if math.isinf(seconds) else seconds,
        tolerance=LARGE_GAP if problem.is_large else GAP,
        progress=progress,
    )
    drawn = [
        sample(relaxed.left, relaxed.right, SAMPLES, generator)
        for sample in (hyperplane_signs, krivine_signs)
    ]
    left, right, _ = distinct(*(np.vstack(side) for side in zip(*drawn, strict=True)))
    return FirstNeurons(relaxed.residual, left, right)


def from_real_weights(
    problem: TrainingProblem, seconds: float, generator: np.random.Generator
) -> FirstNeurons:
    """Under the size penalty: the optimum over real weights; u and v are its nearest levels."""
    real = solve_real(problem, generator, deadline=time.monotonic() + seconds)
    found = best_levels(real.vectors, problem.family.levels)
    left, right, _ = distinct(found, found)
    return FirstNeurons(real.residual, left, right)
