"""The relaxation in split form (two d×d cones) through cvxpy and Clarabel: accurate, for small d.

Time and memory grow like d⁶ and d⁴: seconds at d = 32, out of reach near d = 100.
"""

import warnings

import numpy as np

from qdeploy.errors import QDeployError
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.bounds.interior_point import unit_vectors
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.relaxations import Relaxation, RelaxedSolution, relaxations
from qdeploy.training.relaxations.dual import dual_point
from qdeploy.training.relaxations.scale import best_scale

__all__ = ["ClarabelRelaxation"]

TIGHT = 1e-10
"""Tolerances of the solver, for an objective of at most 1: a gap of ε leaves an error of √ε in the
residual, and with it in the dual bound."""

EMPTY = 1e-12
"""A mean diagonal of P + N below this, in units of the problem, is the empty network."""


class ClarabelRelaxation:
    """The reference that other solvers are compared with."""

    name = "clarabel"

    def solve(
        self,
        problem: TrainingProblem,
        *,
        rank: int | None = None,
        tolerance: float = 1e-6,
        seed: int = 0,
        time_limit: float | None = None,
        progress: Progress = silent,
    ) -> RelaxedSolution:
        """Solve the relaxation; see `Relaxation.solve`. Rank and seed have no meaning here.

        Raises:
            QDeployError: the solver stopped without a solution.
        """
        del rank, seed
        # cvxpy takes a second to import.
        import cvxpy as cp

        dimension = problem.dimension
        positive = cp.Variable((dimension, dimension), PSD=True)
        negative = cp.Variable((dimension, dimension), PSD=True)
        rho, intercept = cp.Variable(), cp.Variable()
        products = (problem.inputs[:, :, None] * problem.inputs[:, None, :]).reshape(
            problem.samples, -1
        )
        # λρ never exceeds the loss of the empty network: in that unit everything is near 1.
        empty = best_scale(problem, np.zeros(problem.samples))
        worst = empty.value or 1.0
        unit = worst / problem.penalty
        predictions = (unit * products) @ cp.vec(positive - negative, order="C") + intercept
        objective = problem.loss.expression(predictions, problem.targets) / worst
        task = cp.Problem(
            cp.Minimize(objective + rho), [cp.diag(positive) + cp.diag(negative) == rho]
        )
        progress(ProgressEvent("relaxation (clarabel)", 0, 1))
        limits = {} if time_limit is None else {"time_limit": time_limit}
        try:
            with warnings.catch_warnings():
                # cvxpy warns where the last digits are missing; the dual bound says how many are.
                warnings.filterwarnings("ignore", "Solution may be inaccurate")
                task.solve(
                    solver=cp.CLARABEL,
                    tol_gap_rel=TIGHT,
                    tol_gap_abs=TIGHT,
                    tol_feas=TIGHT,
                    **limits,
                )
        except cp.SolverError as error:
            raise QDeployError(
                f"Clarabel could not solve the relaxation ({error}); use the low-rank solver"
            ) from error
        if positive.value is None:
            raise QDeployError(
                f"Clarabel gave no solution of the relaxation (status {task.status}); raise the "
                "time limit or use the low-rank solver"
            )
        progress(ProgressEvent("relaxation (clarabel)", 1, 1))
        # The solution meets the constraints to rounding only: its directions are kept, with unit
        # rows, and the scale and intercept are solved for again.
        half = np.eye(dimension) / 2
        nothing = float(np.trace(positive.value) + np.trace(negative.value)) <= EMPTY * dimension
        blocks = (half, half) if nothing else (positive.value, negative.value)
        left, right = unit_vectors(*blocks)
        point = best_scale(
            problem, ((problem.inputs @ left) * (problem.inputs @ right)).sum(axis=1)
        )
        dual = dual_point(problem, point.residual, tolerance / 10)
        return RelaxedSolution(
            value=point.value,
            dual_bound=dual.bound,
            predictions=point.predictions,
            intercept=point.intercept,
            residual=point.residual,
            rho=point.rho,
            left=left,
            right=right,
            multipliers=dual.norm.multipliers,
        )


_SOLVER: Relaxation = ClarabelRelaxation()
relaxations.register("clarabel")(_SOLVER)
