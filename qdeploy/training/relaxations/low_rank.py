"""The relaxation by low-rank factors (Burer and Monteiro): what scales.

    P = ρAAᵀ, N = ρBBᵀ, unit rows of [A | B]:   f = ρq + b,  q_i = ‖Aᵀx̂ᵢ‖² - ‖Bᵀx̂ᵢ‖²

ρ and b are eliminated exactly at every step, rows are normalised inside the objective, and L-BFGS
does the rest. The optimum may need more columns than the search began with (small penalties do):
the dual bound tells, its own P and N are then a direction of descent, and the search goes on from
the best mixture with twice the columns. A large problem descends in single precision until rounding
hides the gap, in double precision after that.
"""

import math
import time
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.blocks import row_blocks
from qdeploy.training.bounds.interior_point import SemidefiniteNorm, semidefinite_norm
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.relaxations import Relaxation, RelaxedSolution, relaxations
from qdeploy.training.relaxations.descent import Function, descend
from qdeploy.training.relaxations.dual import bound_on_ray, dominating_multiple, dual_point
from qdeploy.training.relaxations.scale import ScaledPoint, best_scale

__all__ = ["LowRankRelaxation"]

LARGEST_ROUNDS = 40
ROUND_STEPS = 300
LARGE_ROUND_STEPS = 100
"""Steps a round of a large problem, where a step costs more than the dual bound after a few."""
SINGLE_GAP = 1e-4
"""Gap down to which single precision is good enough for the descent."""
MEMORY = 60
"""Pairs of steps and gradient changes that L-BFGS keeps."""
CHECKED_STEPS = 20
"""Steps after which a round looks whether its multipliers already show the gap."""
SLOW = 1e-2
"""A round that closes less than this share of the gap needs more columns."""
START_NOISE = 1e-2
SHORTEST_MIXTURE = 1e-6


class LowRankRelaxation:
    """L-BFGS on unit-row factors, with a dual bound after every round."""

    name = "low-rank"

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
        """Solve the relaxation; see `Relaxation.solve`. The rank is that of the beginning.

        The solution found is returned with its dual bound even where the gap exceeds the tolerance.
        """
        deadline = None if time_limit is None else time.monotonic() + time_limit
        dimension = problem.dimension
        columns = min(dimension, rank or max(8, math.ceil(2 * math.sqrt(dimension))))
        search = _Search(problem)
        factors = search.start(columns, np.random.default_rng(seed))
        bound, previous = -math.inf, math.inf
        for number in range(1, LARGEST_ROUNDS + 1):
            factors = search.descend(factors, tolerance, deadline, progress)
            point = search.at(factors)
            multipliers = search.multipliers(factors, point)
            bound = max(bound, bound_on_ray(problem, point.residual, multipliers.sum()))
            if _gap(point.value, bound) > tolerance:
                dual = dual_point(problem, point.residual, tolerance / 10)
                multipliers = dual.norm.multipliers
                bound = max(bound, dual.bound)
            gap = _gap(point.value, bound)
            search.single &= gap > SINGLE_GAP
            progress(ProgressEvent("relaxation", number, None, {"value": point.value, "gap": gap}))
            if gap <= tolerance or (deadline is not None and time.monotonic() > deadline):
                break
            if previous - point.value > SLOW * gap * point.value:
                previous = point.value
                continue
            if search.single:
                # What hides further descent may be rounding.
                search.single, previous = False, math.inf
                continue
            mixed = search.mix(factors, dual.norm)
            if mixed is None:
                break
            factors, previous = mixed, math.inf
        return RelaxedSolution(
            value=point.value,
            dual_bound=bound,
            predictions=point.predictions,
            intercept=point.intercept,
            residual=point.residual,
            rho=point.rho,
            left=factors,
            right=factors * _sides(factors),
            multipliers=multipliers,
        )


_SOLVER: Relaxation = LowRankRelaxation()
relaxations.register("low-rank")(_SOLVER)


class _Search:
    """The objective as a function of the factors [A | B], float64 (d, 2k)."""

    def __init__(self, problem: TrainingProblem) -> None:
        self._problem = problem
        self._rho = 0.0
        self.single = problem.is_large

    def start(self, columns: int, generator: np.random.Generator) -> FloatArray:
        """The vectors of the norm of the empty network's residual, a little disturbed."""
        empty = best_scale(self._problem, np.zeros(self._problem.samples))
        norm = semidefinite_norm(self._problem.matrix(empty.residual), tolerance=1e-3)
        factors = np.hstack([_factor(norm.positive, columns), _factor(norm.negative, columns)])
        return _unit_rows(factors + START_NOISE * generator.standard_normal(factors.shape))

    def at(self, factors: FloatArray) -> ScaledPoint:
        """The best point with these unit-row factors."""
        if not self._problem.is_large:
            images = self._problem.inputs @ factors
            return self._scaled((images * images) @ _sides(factors))
        shape = np.empty(self._problem.samples)
        for block in row_blocks(self._problem.samples):
            images = self._problem.single[block].astype(np.float64) @ factors
            shape[block] = (images * images) @ _sides(factors)
        return self._scaled(shape)

    def descend(
        self, factors: FloatArray, tolerance: float, deadline: float | None, progress: Progress
    ) -> FloatArray:
        """A round of L-BFGS, or less when the gap is seen to be closed; unit-row factors again."""
        problem, large = self._problem, self._problem.is_large
        steps = LARGE_ROUND_STEPS if large else ROUND_STEPS
        began = time.monotonic()
        count = 0

        def finished(flat: FloatArray, value: float) -> bool:
            nonlocal count
            count += 1
            if large:
                elapsed = time.monotonic() - began
                progress(ProgressEvent("relaxation (descent)", elapsed, None, {"value": value}))
            if deadline is not None and time.monotonic() > deadline:
                return True
            if count % CHECKED_STEPS:
                return False
            here = _unit_rows(flat.reshape(factors.shape))
            point = self.at(here)
            norm = self.multipliers(here, point).sum()
            return _gap(point.value, bound_on_ray(problem, point.residual, norm)) <= tolerance

        flat = descend(
            self._large_gradient(factors.shape) if large else self._gradient(factors.shape),
            factors.ravel(),
            steps=steps,
            memory=MEMORY,
            finished=finished,
        )
        return _unit_rows(flat.reshape(factors.shape))

    def multipliers(self, factors: FloatArray, point: ScaledPoint) -> FloatArray:
        """Those of the optimality conditions, scaled to be feasible: z, float64 (d,).

        At the optimum G·A = Diag(z)·A and -G·B = Diag(z)·B, where rows of [A | B] have length 1.
        Away from it the interior point finds better ones, in much more time.
        """
        matrix = self._problem.matrix(point.residual)
        diagonal = ((matrix @ factors) * _sides(factors) * factors).sum(axis=1)
        return dominating_multiple(matrix, diagonal)

    def mix(self, factors: FloatArray, norm: SemidefiniteNorm) -> FloatArray | None:
        """The best (1-t)·(P, N) + t·(those of the norm), with up to twice the columns.

        The objective falls along this direction as long as the relaxed norm of G(r) exceeds λ.

        Returns:
            Unit-row factors, or None when rounding hides any descent.
        """
        columns = factors.shape[1] // 2
        blocks = [half @ half.T for half in (factors[:, :columns], factors[:, columns:])]
        here = _quadratic(self._problem, blocks[0] - blocks[1])
        there = _quadratic(self._problem, norm.positive - norm.negative)

        def value(share: float) -> float:
            return self._scaled((1 - share) * here + share * there).value

        found = minimize_scalar(
            value, bounds=(0.0, 1.0), method="bounded", options={"xatol": SHORTEST_MIXTURE}
        )
        share = float(found.x)
        if not found.fun < value(0.0):
            return None
        wider = min(2 * columns, len(factors))
        return _unit_rows(
            np.hstack(
                [
                    _factor((1 - share) * own + share * other, wider)
                    for own, other in zip(blocks, (norm.positive, norm.negative), strict=True)
                ]
            )
        )

    def _scaled(self, shape: FloatArray) -> ScaledPoint:
        point = best_scale(self._problem, shape, self._rho)
        self._rho = point.rho
        return point

    def _gradient(self, form: tuple[int, ...]) -> Function:
        """The value and its gradient, for L-BFGS."""
        inputs = self._problem.inputs

        def evaluate(flat: FloatArray) -> tuple[float, FloatArray]:
            given = flat.reshape(form)
            norms = np.linalg.norm(given, axis=1, keepdims=True)
            factors = given / norms
            sides = _sides(factors)
            images = inputs @ factors
            point = self._scaled((images * images) @ sides)
            # ρ and b are optimal, so only the direct dependence counts (envelope theorem).
            slope = -2 * point.rho * (inputs.T @ (point.residual[:, None] * images)) * sides
            slope -= (slope * factors).sum(axis=1, keepdims=True) * factors
            return point.value, (slope / norms).ravel()

        return evaluate

    def _large_gradient(self, form: tuple[int, ...]) -> Function:
        """The same in blocks of rows; the images are kept, in the precision of the moment."""
        problem = self._problem
        kind: Any = np.float32 if self.single else np.float64
        images = np.empty((problem.samples, form[1]), dtype=kind)

        def evaluate(flat: FloatArray) -> tuple[float, FloatArray]:
            given = flat.reshape(form)
            norms = np.linalg.norm(given, axis=1, keepdims=True)
            factors = given / norms
            sides = _sides(factors)
            narrow, narrow_sides = factors.astype(kind), sides.astype(kind)
            shape = np.empty(problem.samples)
            for block in row_blocks(problem.samples):
                part = images[block]
                np.matmul(problem.single[block].astype(kind, copy=False), narrow, out=part)
                shape[block] = (part * part) @ narrow_sides
            point = self._scaled(shape)
            residual = point.residual.astype(kind)
            slope = np.zeros(form)
            for block in row_blocks(problem.samples):
                rows = problem.single[block].astype(kind, copy=False)
                slope += rows.T @ (residual[block, None] * images[block])
            slope *= -2 * point.rho * sides
            slope -= (slope * factors).sum(axis=1, keepdims=True) * factors
            return point.value, (slope / norms).ravel()

        return evaluate


def _gap(value: float, bound: float) -> float:
    return (value - bound) / value if value > 0 else 0.0


def _sides(factors: FloatArray) -> FloatArray:
    """+1 for the columns of A, -1 for those of B."""
    columns = factors.shape[1] // 2
    return np.repeat([1.0, -1.0], columns)


def _unit_rows(matrix: FloatArray) -> FloatArray:
    rows: FloatArray = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return rows


def _factor(matrix: FloatArray, columns: int) -> FloatArray:
    """The leading columns of a factor of a semidefinite matrix, float64 (d, columns)."""
    values, vectors = np.linalg.eigh(matrix)
    leading: FloatArray = vectors[:, -columns:] * np.sqrt(np.maximum(values[-columns:], 0.0))
    return leading


def _quadratic(problem: TrainingProblem, matrix: FloatArray) -> FloatArray:
    """x̂ᵢᵀ M x̂ᵢ, (n,)."""
    if not problem.is_large:
        inputs = problem.inputs
        forms: FloatArray = ((inputs @ matrix) * inputs).sum(axis=1)
        return forms
    forms = np.empty(problem.samples)
    for block in row_blocks(problem.samples):
        rows = problem.single[block].astype(np.float64)
        forms[block] = ((rows @ matrix) * rows).sum(axis=1)
    return forms
