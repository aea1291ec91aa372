"""Polish: single weights flip while the loss falls, the readout of every neuron solved anew.

For neuron j the best loss over the whole readout is a constant less ½‖Qᵀu‖² / (uᵀPu + ρ): with
B = diag(x̂ᵀv) x̂ and the other neurons (and the intercept) projected out, P is the Gram matrix of B
and Q its correlation with the targets. One flip of u changes both in O(d), and the exact gain of
all d flips is known before one is made (variable projection: Golub & Pereyra, 1973).
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.losses import FloatArray
from qdeploy.training.shared import SharedProblem, SharedReadout, inverse_gram, solve_readout

__all__ = ["Polished", "polish_flips", "sweep_work"]

SignMatrix = NDArray[np.int8]

GAIN = 1e-9
"""Relative gain below which a flip is not worth making."""
ENOUGH = 1e-4
"""Relative decrease of the objective over one sweep below which polishing ends."""
FEW_STEPS = 3
"""Steps of the readout after each neuron; the sweep ends with a thorough one."""
VISIT = 1e7
"""What visiting one side of a neuron takes beside its arithmetic, in operations."""
ROWS = 6000
"""Most rows that a sweep looks at; the objective is that of all."""


@dataclass(frozen=True, eq=False)
class Polished:
    """Neurons after polishing.

    Attributes:
        left: u, int8 (m, d).
        right: v, int8 (m, d).
        readout: the best real readout for them.
    """

    left: SignMatrix
    right: SignMatrix
    readout: SharedReadout


def sweep_work(rows: int, dimension: int, width: int) -> float:
    """Floating-point operations of one sweep, roughly."""
    seen = min(rows, ROWS)
    arithmetic = 2.0 * seen * dimension * (dimension + width) + 2.0 * width * width * dimension
    return 2 * width * (arithmetic + VISIT)


def polish_flips(
    problem: SharedProblem,
    left: SignMatrix,
    right: SignMatrix,
    generator: np.random.Generator,
    *,
    sweeps: int,
    deadline: float = np.inf,
) -> Polished:
    """Flip weights of one neuron after the other; the objective never rises.

    Args:
        problem: inputs, targets, loss and ridge.
        left: u, int8 (m, d).
        right: v, int8 (m, d).
        generator: order of the neurons, and rows where there are too many.
        sweeps: most passes over the neurons.
        deadline: `time.monotonic()` at which to stop.
    """
    best = Polished(left, right, solve_readout(problem, problem.features(left, right)))
    for _ in range(sweeps):
        trial = _swept(problem, best, generator, deadline)
        before = best.readout.objective
        if trial.readout.objective < before:
            best = trial
        enough = best.readout.objective >= before * (1 - ENOUGH)
        if enough or time.monotonic() > deadline:
            break
    return best


def _swept(
    problem: SharedProblem, start: Polished, generator: np.random.Generator, deadline: float
) -> Polished:
    seen, response = problem, start.readout.response
    if len(problem.inputs) > ROWS:
        rows = np.sort(generator.choice(len(problem.inputs), ROWS, replace=False))
        share = ROWS / len(problem.inputs)
        seen = SharedProblem(
            problem.inputs[rows],
            problem.targets[rows],
            problem.loss.part(rows),
            problem.ridge * share,
        )
        response = response[rows]
    sweep = _Sweep(seen, start.left, start.right, response)
    for neuron in generator.permutation(len(start.left)):
        if time.monotonic() > deadline:
            break
        sweep.visit(int(neuron))
    left, right = sweep.left.astype(np.int8), sweep.right.astype(np.int8)
    return Polished(left, right, solve_readout(problem, problem.features(left, right)))


class _Sweep:
    """One pass: neurons, their centred outputs and the inverse of their Gram matrix."""

    def __init__(
        self, problem: SharedProblem, left: SignMatrix, right: SignMatrix, response: FloatArray
    ) -> None:
        self._problem = problem
        self.left = left.astype(np.float64)
        self.right = right.astype(np.float64)
        features = problem.features(left, right)
        self._centred = problem.centred(features)
        self._inverse = inverse_gram(self._centred, problem.ridge)
        self._response = response

    def visit(self, neuron: int) -> None:
        """Flip weights of one neuron, first of u, then of v."""
        inputs, ridge = self._problem.inputs, self._problem.ridge
        for side, other in ((self.left, self.right), (self.right, self.left)):
            others = self._without(neuron)
            gram, correlation = self._projected(others, inputs @ other[neuron])
            flipped = _flip(side[neuron], gram, correlation, ridge)
            if flipped is not None:
                side[neuron] = flipped
                self._replace(neuron, others)
            self._settle()

    def _without(self, neuron: int) -> FloatArray:
        """Inverse Gram matrix of the other neurons, (m, m), with zeros in this one's place."""
        column = self._inverse[:, neuron]
        others: FloatArray = self._inverse - np.outer(column, column) / column[neuron]
        others[neuron], others[:, neuron] = 0.0, 0.0
        return others

    def _projected(self, others: FloatArray, lever: FloatArray) -> tuple[FloatArray, FloatArray]:
        """P (d, d) and Q (d, K) with intercept and all other neurons projected out."""
        basis = self._problem.centred(self._problem.inputs * lever[:, None])
        crossed = self._centred.T @ basis
        weighted = others @ crossed
        wanted = self._problem.centred(self._response)
        gram = basis.T @ basis - crossed.T @ weighted
        correlation = basis.T @ wanted - weighted.T @ (self._centred.T @ wanted)
        return gram, correlation

    def _replace(self, neuron: int, others: FloatArray) -> None:
        """New output of one neuron, and the inverse by its Schur complement."""
        inputs = self._problem.inputs
        output = (inputs @ self.left[neuron]) * (inputs @ self.right[neuron])
        output = self._problem.centred(output[:, None])[:, 0]
        self._centred[:, neuron] = output
        across = self._centred.T @ output
        size = float(output @ output) + self._problem.ridge
        effect = others @ across
        # The ridge is the least that the complement can be, but for rounding.
        effect[neuron] = -1.0
        across[neuron] = 0.0
        complement = max(size - float(across @ effect), self._problem.ridge)
        self._inverse = others + np.outer(effect, effect) / complement

    def _settle(self) -> None:
        """Move the working response to the present neurons; a squared loss has none to move."""
        problem, wanted = self._problem, self._response
        for _ in range(FEW_STEPS):
            level = np.average(wanted, axis=0, weights=problem.loss.weights)
            weights = self._inverse @ (self._centred.T @ problem.centred(wanted))
            moved = problem.response(problem.unweighted(self._centred @ weights) + level)
            if problem.same(moved, wanted):
                break
            wanted = moved
        self._response = wanted


def _flip(
    signs: FloatArray, gram: FloatArray, correlation: FloatArray, ridge: float
) -> FloatArray | None:
    """Signs (d,) after the best flips, or None when no single flip helps."""
    current = signs.copy()
    diagonal = 4 * np.diag(gram)
    squares = 4 * (correlation**2).sum(axis=1)
    pulled, projected = gram @ current, correlation.T @ current
    size = float(current @ pulled) + ridge
    match = float(projected @ projected)
    moved = False
    while True:
        sizes = size - 4 * current * pulled + diagonal
        matches = match - 4 * current * (correlation @ projected) + squares
        # Rounding may take a size below the ridge, which it cannot be.
        ratios = matches / np.maximum(sizes, ridge)
        place = int(ratios.argmax())
        if ratios[place] <= match / max(size, ridge) * (1 + GAIN) + np.finfo(np.float64).tiny:
            return current if moved else None
        size, match, moved = float(sizes[place]), float(matches[place]), True
        projected = projected - 2 * current[place] * correlation[place]
        pulled = pulled - 2 * current[place] * gram[:, place]
        current[place] = -current[place]
