"""Column generation: restricted master, pricing, new neurons, until none would help."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.losses import FloatArray
from qdeploy.training.master import MasterSolution, solve_master
from qdeploy.training.pricing import oracle_for
from qdeploy.training.problem import TrainingProblem

__all__ = ["ColumnGeneration", "Neurons"]

SignMatrix = NDArray[np.int8]

VIOLATION = 1e-6
"""A neuron helps when |uᵀGv| exceeds λ by this share."""

CONVERGED = 1e-4
"""More neurons that can lower the objective by no more than this share are not worth having."""

CONFIRMATION = 5
"""How much harder the oracle tries before it may say that nothing helps."""


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons in use with their readout and the residual that they leave.

    Attributes:
        left: u, int8 (m, d).
        right: v, int8 (m, d).
        solution: the master's solution for them.
        residual: -∇L at its predictions, float64 (n,).
    """

    left: SignMatrix
    right: SignMatrix
    solution: MasterSolution
    residual: FloatArray


class ColumnGeneration:
    """The pool of neurons of one problem, grown by pricing.

    Args:
        problem: the problem.
        generator: source of randomness.
        per_round: neurons added a round, at most.
        starts: sign patterns that the oracle tries a round.
    """

    def __init__(
        self,
        problem: TrainingProblem,
        generator: np.random.Generator,
        per_round: int = 30,
        starts: int = 192,
    ) -> None:
        dimension = problem.dimension
        self._problem = problem
        self._oracle = oracle_for(problem.family, dimension, generator, starts)
        self._per_round = per_round
        self._left = np.empty((0, dimension), dtype=np.int8)
        self._right = np.empty((0, dimension), dtype=np.int8)
        self._features = problem.features(self._left, self._right)
        self._known: set[bytes] = set()
        self._solution = solve_master(problem, self._features)

    def __getstate__(self) -> dict[str, Any]:
        """All but the problem and the features, which `attach` brings back."""
        state = self.__dict__.copy()
        del state["_problem"]
        features = state.pop("_features")
        state["_by_column"] = features.flags.f_contiguous and not features.flags.c_contiguous
        return state

    def attach(self, problem: TrainingProblem) -> None:
        """After unpickling: the problem again, and the features, to the bit and in their layout."""
        by_column = self.__dict__.pop("_by_column")
        self._problem = problem
        features = problem.features(self._left, self._right)
        self._features = np.asarray(features, order="F" if by_column else "C")

    def set_problem(self, problem: TrainingProblem) -> None:
        """Go on with another penalty on the same data; the pool is the warm start."""
        self._problem = problem

    @property
    def solution(self) -> MasterSolution:
        """The master's solution over the whole pool."""
        return self._solution

    @property
    def neurons(self) -> Neurons:
        """The neurons with a non-zero readout."""
        used = np.flatnonzero(self._solution.weights)
        solution = replace(self._solution, weights=self._solution.weights[used])
        return Neurons(self._left[used], self._right[used], solution, self.residual)

    @property
    def residual(self) -> FloatArray:
        """-∇L at the master's solution, (n,)."""
        return self._solution.residual

    def add(self, left: SignMatrix, right: SignMatrix, limit: int | None = None) -> int:
        """Add neurons (canonical, best first) that the pool lacks; returns how many were new."""
        keys = [u.tobytes() + v.tobytes() for u, v in zip(left, right, strict=True)]
        new = [i for i, key in enumerate(keys) if key not in self._known][:limit]
        if new:
            self._known.update(keys[i] for i in new)
            self._left = np.vstack([self._left, left[new]])
            self._right = np.vstack([self._right, right[new]])
            fresh = self._problem.features(left[new], right[new])
            self._features = np.hstack([self._features, fresh])
            padded = np.append(self._solution.weights, np.zeros(len(new)))
            self._solution = replace(self._solution, weights=padded)
        return len(new)

    def solve(self, tolerance: float = 1e-9) -> None:
        """Solve the master over the pool."""
        self._solution = solve_master(
            self._problem, self._features, self._solution.weights, tolerance
        )

    def forget_unused(self, keep_last: int = 0) -> None:
        """Drop neurons with a zero readout, except the newest `keep_last`."""
        used = self._solution.weights != 0
        if keep_last:
            used[-keep_last:] = True
        self._left, self._right = self._left[used], self._right[used]
        self._features = self._features[:, used]
        self._known = {
            u.tobytes() + v.tobytes() for u, v in zip(self._left, self._right, strict=True)
        }
        self._solution = replace(self._solution, weights=self._solution.weights[used])

    def run(
        self,
        rounds: int,
        deadline: float = np.inf,
        target: Callable[[float, float], bool] | None = None,
        tolerance: float = CONVERGED,
        first: int = 0,
        kept: Callable[[int], None] | None = None,
    ) -> bool:
        """Price and re-solve until the oracle finds nothing.

        Args:
            rounds: at most so many.
            deadline: `time.monotonic()` at which to stop.
            tolerance: share of the objective that more neurons could still take off, at the end.
            target: stops the loop early; called with the objective and with the bound that would
                hold if the oracle were exact (an estimate, for stopping only).
            first: rounds that an earlier process did.
            kept: called with the number of rounds done whenever the next one begins.

        Returns:
            Whether the oracle found nothing more that matters.
        """
        penalty = self._problem.penalty
        for number in range(first, rounds):
            self.solve(1e-7)
            residual = self.residual
            matrix = self._problem.matrix(residual)
            used = self._solution.weights != 0
            threshold = penalty * (1 + VIOLATION)
            found = self._oracle.price(matrix, self._left[used])
            if found.values[0] <= threshold:
                found = self._oracle.price(matrix, effort=CONFIRMATION)
            violated = found.values > threshold
            scale = min(1.0, penalty / max(float(found.values[0]), 1e-300))
            estimate = self._problem.loss.dual_value(scale * residual, self._problem.targets)
            left_to_gain = self._solution.objective - estimate
            done = left_to_gain <= tolerance * self._solution.objective or not self.add(
                found.left[violated], found.right[violated], self._per_round
            )
            reached = target is not None and target(self._solution.objective, estimate)
            if done or reached or time.monotonic() > deadline:
                self.solve()
                return done
            if number % 5 == 4:
                self.forget_unused(keep_last=self._per_round)
            if kept is not None:
                kept(number + 1)
        self.solve()
        return False
