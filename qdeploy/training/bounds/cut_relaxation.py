"""The relaxation of the norm with cutting planes, by a proximal method of multipliers.

    max ⟨G, P - N⟩  over P, N ⪰ 0, diag(P + N) = 1, every cut      (E ppᵀ = P, p = (u + v)/2, …)

Its dual in z (diagonal) and y ≥ 0 (cuts) has the constraint Diag(z) ⪰ B(y) ± (G + H(y)). The
projection of what violates it is smooth in z and y and adds to the blocks P, N, as in the
regularisation of Krislock, Malick and Roupin (Math. Program. 143, 2014) with the centre moved after
each solve (Rockafellar's proximal method of multipliers). L-BFGS does the inner minimisation: two
symmetric eigenvalue problems of size d a step. Nothing here is a proof.
"""

import time
from typing import Any, Protocol

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from qdeploy.training.bounds.cut_search import violated_cuts
from qdeploy.training.bounds.odd_cuts import Cuts, no_cuts, pair_operator, triangles, united

__all__ = ["CutRelaxation", "FixedMatrix", "Source"]

FloatArray = NDArray[np.float64]

SMOOTHING = 0.1
"""Curvature of the penalty, where Σz is d. A smaller one is nearer to the optimum after one solve,
a larger one is better conditioned; with the centre moved after each solve this one is fastest."""

STEPS = 150
MEMORY = 15

ACTIVE = 1e-6
"""Cuts with smaller weights are forgotten."""

VIOLATION = 0.03
FINEST = 0.002
PER_ROUND = 6
"""Cuts added a round, at most, for each of the 2d signs."""
MOST_CUTS = 60
"""Cuts held, at most, for each of the 2d signs: what bounds the memory."""
STARTS = 300
"""Cuts in use, and as many new triangles, from which longer ones are looked for."""


class Source(Protocol):
    """Where G comes from: given, or to be chosen within a budget for Σz."""

    size: int

    def matrix(self, point: FloatArray) -> FloatArray:
        """G, float64 (d, d)."""

    def cost(
        self, point: FloatArray, load: float, smoothing: float
    ) -> tuple[float, float, FloatArray]:
        """Value, its derivative by the load Σz + (cuts), and by the point, (size,)."""

    def pull(self, across: FloatArray) -> FloatArray:
        """Derivative of ⟨G, P - N⟩ by the point, (size,)."""

    def settle(self, point: FloatArray, load: float, smoothing: float) -> float:
        """Move the centre to this point; returns the pressure ρ on the load."""


class FixedMatrix:
    """A given G; its whole load is the cost."""

    size = 0

    def __init__(self, matrix: FloatArray) -> None:
        self._matrix = matrix

    def matrix(self, point: FloatArray) -> FloatArray:
        """G itself."""
        return self._matrix

    def cost(
        self, point: FloatArray, load: float, smoothing: float
    ) -> tuple[float, float, FloatArray]:
        """The load."""
        return load, 1.0, point

    def pull(self, across: FloatArray) -> FloatArray:
        """Nothing can move."""
        return np.empty(0)

    def settle(self, point: FloatArray, load: float, smoothing: float) -> float:
        """Nothing to move; the pressure is one."""
        return 1.0


class CutRelaxation:
    """State of the method for one G (or one family of them) and one part of the sign pairs.

    Args:
        source: G, in units in which Σz is about d.
        point: where the source starts, float64 (size,).
        diagonal: z to start from, float64 (d,).
        blocks: P and N to start from, float64 (d, d).
        fixed: -1, 0 or 1 for each index (see `qdeploy.cut_proof`), int8 (d,).
    """

    def __init__(
        self,
        source: Source,
        point: FloatArray,
        diagonal: FloatArray,
        blocks: tuple[FloatArray, FloatArray],
        fixed: NDArray[np.int8] | None = None,
    ) -> None:
        dimension = len(diagonal)
        self._source = source
        self._dimension = dimension
        self.point = point
        self.diagonal = diagonal
        self.blocks = blocks
        self.cuts: Cuts = no_cuts()
        self.weights = np.empty(0)
        self.pressure = 1.0
        fixed = np.zeros(dimension, np.int8) if fixed is None else fixed
        self.rows = (np.flatnonzero(fixed >= 0), np.flatnonzero(fixed <= 0))
        self._tolerance = VIOLATION
        self._generator = np.random.default_rng(0)

    def adopt(self, cuts: Cuts, weights: FloatArray) -> None:
        """Start from cuts (k, w) and weights (k,) that another relaxation found."""
        self.cuts, self.weights = cuts, weights

    def improve(self, *, largest: int = 3, deadline: float = np.inf) -> float:
        """One round: forget idle cuts, add violated ones, solve.

        Args:
            largest: entries of a cut, at most: 3, 5 or 7.
            deadline: `time.monotonic()` at which to stop.

        Returns:
            The largest violation of a triangle inequality that was met.
        """
        kept = self.weights > ACTIVE
        self.cuts, self.weights = self.cuts[kept], self.weights[kept]
        violation = self._add_cuts(largest)
        operator, excess = pair_operator(self.cuts, self._dimension)
        turned = operator.T.tocsr()
        if time.monotonic() <= deadline:
            self._solve(operator, turned, excess)
        self._tolerance = max(self._tolerance / 2, FINEST)
        return violation

    def _add_cuts(self, largest: int) -> float:
        together, across = _correlations(self.blocks)
        count = len(self.weights)
        room = min(
            PER_ROUND * 2 * self._dimension, MOST_CUTS * 2 * self._dimension - len(self.cuts)
        )
        found = triangles(together, across, max(room, 0), self._tolerance)
        violation = 0.0
        if len(found):
            operator, excess = pair_operator(found[:1], self._dimension)
            moments = np.concatenate([together.ravel(), across.ravel()])
            violation = -float((operator @ moments + excess)[0])
        cuts = united(self.cuts, found)
        if largest > 3 and room > 0:
            heaviest = np.argsort(-self.weights, kind="stable")[:STARTS]
            starts = united(self.cuts[heaviest], found[:STARTS])
            new = violated_cuts(
                starts,
                together,
                across,
                room,
                self._tolerance,
                largest=largest,
                generator=self._generator,
            )
            cuts = united(cuts, new)
        self.cuts = cuts
        self.weights = np.append(self.weights, np.zeros(len(cuts) - count))
        return violation

    def _solve(self, operator: Any, turned: Any, excess: FloatArray) -> None:
        size, dimension = self._source.size, self._dimension
        free = [(None, None)] * (size + dimension)
        bounds = free + [(0.0, None)] * len(self.weights)
        latest: list[tuple[FloatArray, FloatArray]] = [self.blocks]

        def value(variables: FloatArray) -> tuple[float, FloatArray]:
            total, gradient, blocks = self._value(variables, operator, turned, excess)
            latest[0] = blocks
            return total, gradient

        solved = scipy.optimize.minimize(
            value,
            np.concatenate([self.point, self.diagonal, self.weights]),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": STEPS, "maxcor": MEMORY, "ftol": 1e-13, "gtol": 1e-7},
        )
        value(solved.x)
        self.blocks = latest[0]
        self.point, self.diagonal, self.weights = np.split(solved.x, [size, size + dimension])
        load = self.diagonal.sum() + excess @ self.weights
        self.pressure = self._source.settle(self.point, float(load), SMOOTHING)

    def _value(
        self, variables: FloatArray, operator: Any, turned: Any, excess: FloatArray
    ) -> tuple[float, FloatArray, tuple[FloatArray, FloatArray]]:
        size, dimension = self._source.size, self._dimension
        point, diagonal, weights = np.split(variables, [size, size + dimension])
        load = float(diagonal.sum() + excess @ weights)
        total, slope, by_point = self._source.cost(point, load, SMOOTHING)
        pairs = (turned @ weights).reshape(2, dimension, dimension)
        inner, outer = (pairs + pairs.transpose(0, 2, 1)) / 2
        outer = outer + self._source.matrix(point)
        blocks = []
        for matrix, centre, rows in zip(
            (inner + outer, inner - outer), self.blocks, self.rows, strict=True
        ):
            grid = np.ix_(rows, rows)
            values, vectors = np.linalg.eigh(
                SMOOTHING * centre[grid] + matrix[grid] - np.diag(diagonal[rows])
            )
            above = values > 0
            values, vectors = values[above], vectors[:, above]
            total += float(values @ values) / (2 * SMOOTHING)
            block = np.zeros((dimension, dimension))
            block[grid] = (vectors * values) @ vectors.T / SMOOTHING
            blocks.append(block)
        positive, negative = blocks
        across = positive - negative
        moments = np.concatenate([(positive + negative).ravel(), across.ravel()])
        gradient = np.concatenate(
            [
                by_point + self._source.pull(across),
                slope - np.diag(positive) - np.diag(negative),
                slope * excess + operator @ moments,
            ]
        )
        return total, gradient, (positive, negative)


def _correlations(blocks: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """E uuᵀ and E uvᵀ, scaled to unit diagonals."""
    together = blocks[0] + blocks[1]
    sizes = np.sqrt(np.maximum(np.diag(together), 1e-12))
    scale = np.outer(sizes, sizes)
    return together / scale, (blocks[0] - blocks[1]) / scale
