"""What the methods of given width share: a ridge told by held-out rows, then the best of starts.

Ours chooses its ridge in the same way, so that no method fits its training rows more closely than
another just because it was allowed to.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.comparison.baselines import Setting
from qdeploy.comparison.integers import RealNetwork
from qdeploy.data.quantizer import INPUT_STEP
from qdeploy.training.losses import FloatArray
from qdeploy.training.search import RIDGES
from qdeploy.training.selection import fold_numbers
from qdeploy.training.shared import SharedProblem, solve_readout
from qdeploy.training.threads import single_threaded

__all__ = ["Searched", "held_out_rows", "solved", "within_time"]

SignMatrix = NDArray[np.int8]
T = TypeVar("T")

FIRST_RIDGE = 1e-2
"""Under which the starts are searched that are to choose the ridge."""
CHOOSING = 0.3
"""Share of the time after which the ridge is chosen."""

Starts = Callable[[SharedProblem, int, np.random.Generator, float], Iterator[T]]
"""Trained neurons, one start after another, the last before a deadline."""
Readout = Callable[[SharedProblem, T], RealNetwork]


@dataclass(frozen=True, eq=False)
class Searched(Generic[T]):
    """The best start.

    Attributes:
        network: signs and real readout.
        ridge: ρ for inputs x̂.
    """

    network: RealNetwork
    ridge: float


def within_time(setting: Setting, starts: Starts[T], readout: Readout[T]) -> Searched[T]:
    """The start with the lowest training objective, at the ridge that held-out rows prefer.

    Args:
        setting: rows, width, time, seed.
        starts: the method.
        readout: the network that comes of a start.
    """
    began = time.monotonic()
    assert setting.neurons is not None
    rows, width = setting.rows, setting.neurons
    plain = np.ones(rows.dimension)
    generator = np.random.default_rng(setting.seed)
    with single_threaded():
        ridge = FIRST_RIDGE
        held_out = held_out_rows(setting)
        if held_out is not None:
            part, rest = rows.part(~held_out), rows.part(held_out)
            problem = part.problem(plain, FIRST_RIDGE)
            deadline = began + CHOOSING * setting.seconds
            found = _best(problem, width, starts, readout, generator, deadline)
            inputs = rest.integers(plain).astype(np.float64) * INPUT_STEP
            values = []
            for candidate in RIDGES:
                network = readout(part.problem(plain, candidate), found)
                values.append(rest.loss.value(network.predict(inputs), rest.targets))
            ridge = RIDGES[int(np.argmin(values))]
        problem = rows.problem(plain, ridge)
        deadline = began + setting.seconds
        found = _best(problem, width, starts, readout, generator, deadline)
        return Searched(readout(problem, found), problem.ridge * rows.dimension**2)


def held_out_rows(setting: Setting) -> NDArray[np.bool_] | None:
    """A quarter of the training rows, a mask (n,), or None where there are too few."""
    generator = np.random.default_rng(setting.seed)
    folds = fold_numbers(setting.rows.targets, "classify", generator)
    return None if len(folds) < 2 * (folds.max() + 1) else folds == 0


def solved(problem: SharedProblem, left: SignMatrix, right: SignMatrix) -> RealNetwork:
    """Signs with the readout that is best for them."""
    readout = solve_readout(problem, problem.features(left, right))
    dimension = left.shape[1]
    return RealNetwork(left, right, readout.weights / dimension, readout.intercepts)


def _best(
    problem: SharedProblem,
    width: int,
    starts: Starts[T],
    readout: Readout[T],
    generator: np.random.Generator,
    deadline: float,
) -> T:
    """The start whose network has the lowest objective; the first is always finished."""
    dimension = problem.inputs.shape[1]
    inputs: FloatArray = problem.inputs * np.sqrt(dimension)
    best: T | None = None
    lowest = np.inf
    for start in starts(problem, width, generator, deadline):
        network = readout(problem, start)
        value = problem.objective(network.predict(inputs), network.weights * dimension)
        if best is None or value < lowest:
            best, lowest = start, value
        if time.monotonic() > deadline:
            break
    assert best is not None, "a method gives one start at least"
    return best
