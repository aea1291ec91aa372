"""The proofs of one output: the quick bound first, and slower ones where a gap is asked for.

Up to the reach of enumeration the bound is exact. Beyond, where the semidefinite bound does not
show the gap that is wanted, a residual is looked for of which cutting planes on a tree prove more;
for a loss without a dual gradient the residual of training is branched on.
"""

import math
import time
from collections.abc import Callable

import numpy as np

from qdeploy.progress import Progress
from qdeploy.training.bounds import Request, SignMatrix, TimeLimitReached, exact_bound
from qdeploy.training.bounds.branch_and_bound import branch_and_bound
from qdeploy.training.checkpoint import Slot
from qdeploy.training.columns import VIOLATION
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.proof import DualPoint, dual_point, norm_for, prove_dual
from qdeploy.training.rounding import distinct, signs
from qdeploy.training.tightened import tightened_residual

__all__ = ["Prover"]

EXACT_SHARE = 1e-4
"""Enumeration stops adding neurons once the norm exceeds λ by less than this share."""
GOOD_ENOUGH = 0.9
"""Share of the wanted gap at which training ends: the rest is for the integer readout."""
LARGEST_CUT = 160
"""Up to this dimension cutting planes take seconds to minutes an output."""
LARGEST_TREE = 256
"""Leaves of a tree over which one residual is optimised, at most."""

Tell = Callable[[str], None]


class Prover:
    """The best proven bound of one output.

    Args:
        problem: the problem.
        gap: proven gap that is good enough, or None for all that is quick.
        cores: of which proofs make use.
        progress: told of the work done.
        tell: told of the stages.
        slot: of the output; long proofs keep their state beside it.
    """

    def __init__(
        self,
        problem: TrainingProblem,
        gap: float | None,
        cores: int,
        progress: Progress,
        tell: Tell,
        slot: Slot,
    ) -> None:
        self.exact = exact_bound(problem.form_size)
        self.best: DualPoint | None = None
        self._problem = problem
        self._gap = gap
        self._cores = cores
        self._progress = progress
        self._tell = tell
        self._slot = slot

    @property
    def bound(self) -> float:
        """Value of the best bound; 0 before there is one."""
        return float(self.best.value) if self.best else 0.0

    def good_enough(self, objective: float) -> bool:
        """Whether the gap that is wanted is shown, with room for the integer readout."""
        return self._gap is not None and self.bound >= self._wanted(objective)

    def by(
        self, method: str, residual: FloatArray, seconds: float = math.inf, wanted: float = math.inf
    ) -> DualPoint:
        """Prove what a residual, float64 (n,), shows by one norm bound; the best point is kept.

        Raises:
            TimeLimitReached: nothing was proven in time.
        """
        self._tell(f"proof by {method}")
        limit = None if math.isinf(seconds) else seconds
        return self._keep(
            prove_dual(
                self._problem,
                residual,
                method,
                progress=self._progress,
                time_limit=limit,
                wanted=wanted,
            )
        )

    def prove(
        self, residual: FloatArray, objective: float, deadline: float, step: str
    ) -> DualPoint | None:
        """Prove the bound of training's residual, and better ones where a gap is asked for.

        Args:
            residual: -∇L at the optimum of training so far, float64 (n,).
            objective: there.
            deadline: `time.monotonic()` at which to stop.
            step: name of this proof among those of the output, for what is kept.

        Returns:
            What the residual itself proves, exactly or quickly; None when time ran out over it.
        """
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            return None
        try:
            point = self.by(self.exact or "sdp", residual, seconds)
            slower = self.exact is None and self._problem.dimension <= LARGEST_CUT
            if slower and self._gap is not None and not self.good_enough(objective):
                self._cut(residual, objective, deadline, step)
        except TimeLimitReached:
            return None
        return point

    def violated(
        self, proven: DualPoint, residual: FloatArray
    ) -> tuple[SignMatrix, SignMatrix] | None:
        """Signs of neurons, (k, d) each, that an exact proof met and that still help, or None."""
        if self.exact is None or not proven.candidates.size:
            return None
        problem = self._problem
        matrix = problem.matrix(residual)
        left = proven.candidates
        if problem.activation is None:
            left, right, _ = distinct(left, signs(left.astype(np.float64) @ matrix))
        else:
            right = left
        values = np.abs(np.einsum("kd,kd->k", left @ matrix, right.astype(np.float64)))
        if values.max() <= problem.penalty * (1 + EXACT_SHARE):
            return None
        useful = values > problem.penalty * (1 + VIOLATION)
        inputs = slice(problem.dimension)
        return left[useful, inputs], right[useful, inputs]

    def _wanted(self, objective: float) -> float:
        assert self._gap is not None
        return (1 - GOOD_ENOUGH * self._gap) * objective

    def _keep(self, point: DualPoint) -> DualPoint:
        if self.best is None or point.value > self.best.value:
            self.best = point
        return point

    def _cut(self, residual: FloatArray, objective: float, deadline: float, step: str) -> None:
        """Cutting planes and branching, towards the gap that is wanted or until time is up."""
        problem, wanted = self._problem, self._wanted(objective)
        if problem.activation is not None:
            # The forms of both signs, each by itself: no state is kept of them.
            for method in ("cutting-planes", "branch-and-bound"):
                if not self.good_enough(objective):
                    self.by(method, residual, deadline - time.monotonic(), wanted)
            return
        tightened = tightened_residual(
            problem,
            residual,
            objective,
            wanted=wanted,
            deadline=deadline,
            leaves=LARGEST_TREE,
            threads=self._cores,
            slot=self._slot.within(f"tree-{step}"),
            keep=self._keep,
            progress=self._progress,
        )
        if tightened is not None:
            return
        self._tell("proof by branch-and-bound")
        integers = problem.loss.round_residual(residual, problem.targets)
        seconds = deadline - time.monotonic()
        proof = branch_and_bound(
            problem.integer_matrix(integers),
            Request(
                self._progress,
                None if math.isinf(seconds) else seconds,
                enough=norm_for(problem, integers, wanted),
            ),
            self._cores,
            self._slot.within(f"branches-{step}"),
        )
        self._keep(dual_point(problem, integers, proof))
