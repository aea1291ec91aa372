"""Column generation with neurons that all outputs share: a group lasso, priced by several matrices.

A neuron helps when ‖(uᵀG_k v)_k‖₂ > λ. The oracle is heuristic, as `oracle.py` is: what it cannot
find is the business of the norm's bound.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.columns import CONVERGED, VIOLATION
from qdeploy.training.group.norm import relax_group_norm
from qdeploy.training.group.problem import GroupProblem, GroupSolution, solve_group_master
from qdeploy.training.losses import FloatArray
from qdeploy.training.oracle import Columns
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.rounding import distinct, signs

__all__ = ["GroupColumns", "price"]

SignMatrix = NDArray[np.int8]

RELAXED = 15
"""Iterations of the relaxation from which the oracle rounds."""
ASCENT = 60
EFFORT = 4
"""How much harder the oracle tries before it may say that nothing helps."""


def price(
    matrices: FloatArray,
    generator: np.random.Generator,
    starts: int,
    patterns: tuple[SignMatrix, SignMatrix] | None = None,
) -> Columns:
    """Good neurons for several matrices with their ‖(uᵀG_k v)_k‖, distinct, best first.

    Args:
        matrices: G, float64 (K, d, d), symmetric.
        generator: source of randomness.
        starts: sign pairs tried.
        patterns: further pairs to start from, int8 (k, d) each.
    """
    count, dimension, _ = matrices.shape
    rank = count + int(np.ceil(2 * np.sqrt(dimension)))
    relaxed = relax_group_norm(matrices, generator, RELAXED, rank=rank)
    half = starts // 2
    normals = generator.standard_normal((half, relaxed.first.shape[1]))
    mixed = generator.standard_normal((half, count))
    across = np.einsum("br,ikr,bk->bi", normals, relaxed.second, mixed, optimize=True)
    left = signs(
        np.vstack([normals @ relaxed.first.T, generator.standard_normal((half, dimension))])
    )
    weights = generator.standard_normal((half, count))
    image = np.einsum("bk,kij,bj->bi", weights, matrices, left[half:].astype(float), optimize=True)
    right = signs(np.vstack([across, image]))
    if patterns is not None:
        left, right = np.vstack([left, patterns[0]]), np.vstack([right, patterns[1]])
    left, right = _ascend(matrices, left.astype(np.float64), right.astype(np.float64))
    left, right, _ = distinct(left, right)
    values = _values(matrices, left.astype(np.float64), right.astype(np.float64))
    order = np.argsort(-values, kind="stable")
    return Columns(left[order], right[order], values[order])


def _images(matrices: FloatArray, side: FloatArray) -> FloatArray:
    """G_k v for each v, float64 (b, K, d)."""
    count, dimension, _ = matrices.shape
    wide = side @ matrices.transpose(1, 0, 2).reshape(dimension, -1)
    return wide.reshape(-1, count, dimension)


def _values(matrices: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    images = np.einsum("bkj,bj->bk", _images(matrices, right), left)
    norms: FloatArray = np.linalg.norm(images, axis=1)
    return norms


def _ascend(
    matrices: FloatArray, left: FloatArray, right: FloatArray
) -> tuple[SignMatrix, SignMatrix]:
    """Alternate w = (uᵀG_k v)_k, u = sign(Σ w_k G_k v), and u with v, until nothing moves."""
    still = 0
    for _ in range(ASCENT):
        images = _images(matrices, right)
        weights = np.einsum("bkj,bj->bk", images, left)
        moved = signs(np.einsum("bk,bkj->bj", weights, images)).astype(np.float64)
        still = still + 1 if np.array_equal(moved, left) else 0
        left, right = right, moved
        if still == 2:
            break
    return left.astype(np.int8), right.astype(np.int8)


class GroupColumns:
    """The pool of shared neurons, grown by pricing.

    Args:
        problem: the problem.
        generator: source of randomness.
        per_round: neurons added a round, at most.
        starts: sign pairs that the oracle tries a round.
    """

    def __init__(
        self,
        problem: GroupProblem,
        generator: np.random.Generator,
        per_round: int = 40,
        starts: int = 192,
    ) -> None:
        self._problem = problem
        self._generator = generator
        self._per_round = per_round
        self._starts = starts
        dimension, outputs = problem.first.dimension, len(problem.outputs)
        self._left = np.empty((0, dimension), dtype=np.int8)
        self._right = np.empty((0, dimension), dtype=np.int8)
        self._features = np.empty((problem.first.samples, 0))
        self.solution = solve_group_master(problem, self._features, np.empty((0, outputs)))

    def set_problem(self, problem: GroupProblem) -> None:
        """Go on with another penalty on the same data; the pool is the warm start."""
        self._problem = problem

    @property
    def neurons(self) -> SharedNeurons:
        """The neurons with a readout that is not zero."""
        used = self.solution.weights.any(axis=1)
        return SharedNeurons(self._left[used], self._right[used], self.solution.weights[used])

    def run(
        self,
        rounds: int,
        deadline: float = np.inf,
        tolerance: float = CONVERGED,
        watch: Callable[[GroupSolution, float], None] | None = None,
    ) -> bool:
        """Price and re-solve until the oracle finds nothing.

        Args:
            rounds: at most so many.
            deadline: `time.monotonic()` at which to stop.
            tolerance: share of the objective that more neurons could still take off, at the end.
            watch: told, each round, of the solution and of the bound that would hold if the oracle
                were exact.

        Returns:
            Whether the oracle found nothing more that matters.
        """
        for number in range(rounds):
            self._solve(1e-7)
            penalty = self._problem.first.penalty
            threshold = penalty * (1 + VIOLATION)
            residual = self.solution.residual
            matrices = self._problem.matrices(residual)
            used = self.solution.weights.any(axis=1)
            patterns = self._left[used], self._right[used]
            found = price(matrices, self._generator, self._starts, patterns)
            if found.values[0] <= threshold:
                found = price(matrices, self._generator, EFFORT * self._starts)
            scale = min(1.0, penalty / max(float(found.values[0]), 1e-300))
            estimate = self._problem.dual_value(scale * residual)
            if watch is not None:
                watch(self.solution, estimate)
            left_to_gain = self.solution.objective - estimate
            helps = found.values > threshold
            done = left_to_gain <= tolerance * self.solution.objective or not self._add(
                found.left[helps], found.right[helps]
            )
            if done or time.monotonic() > deadline:
                self._solve()
                return done
            if number % 3 == 2:
                self._forget_unused()
        self._solve()
        return False

    def _solve(self, tolerance: float = 1e-10) -> None:
        self.solution = solve_group_master(
            self._problem, self._features, self.solution.weights, tolerance
        )

    def _add(self, left: SignMatrix, right: SignMatrix) -> int:
        """Add the first new ones of some neurons; returns how many."""
        every, other, first = distinct(
            np.vstack([self._left, left]), np.vstack([self._right, right])
        )
        new = np.flatnonzero(first >= len(self._left))[: self._per_round]
        left, right = every[new], other[new]
        self._left, self._right = np.vstack([self._left, left]), np.vstack([self._right, right])
        fresh = self._problem.first.features(left, right)
        self._features = np.hstack([self._features, fresh])
        weights = self.solution.weights
        padded = np.vstack([weights, np.zeros((len(new), weights.shape[1]))])
        self.solution = replace(self.solution, weights=padded)
        return len(new)

    def _forget_unused(self) -> None:
        """Drop neurons with a zero readout, except the newest."""
        used = (self.solution.weights != 0).any(axis=1)
        used[-self._per_round :] = True
        self._left, self._right = self._left[used], self._right[used]
        self._features = self._features[:, used]
        self.solution = replace(self.solution, weights=self.solution.weights[used])
