"""Integers for one output's readout, at a given value of one unit.

The loss at the real optimum is nearly a quadratic form. Rounding weight by weight, each error
passed on to the weights that are still real (Babai's nearest plane, Combinatorica 1986; with the
hinge also its linear programme, solved anew after each share of the weights), starts a descent by
moves of one or two weights. All comparisons are of the exact objective.
"""

from dataclasses import replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from qdeploy.training.integer_moves import Lattice, descend, descend_with_kinks
from qdeploy.training.linear_programme import solve_linear
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["OutputSearch"]

IntegerArray = NDArray[np.int64]

JITTER = 1e-6
"""Share of the mean curvature added to it, so that dependent neurons leave it invertible."""
KINK_WIDTH = 0.5
"""Margins this close to a kink make the curvature that stands for it."""
PROGRAMMES = 4
"""Linear programmes solved in turn, each with another share of the weights fixed."""
NEWTON_STEPS = 10
SETTLED = 1e-9
"""Relative decrease of the objective below which Newton steps end."""
MODELS = 5
"""Quadratic models that a smooth loss is followed with."""
NOTICEABLE = 1e-12


class OutputSearch:
    """One output with its real readout, asked for integers at one unit after another.

    Args:
        problem: targets, loss and penalty.
        features: neuron outputs Φ, float64 (n, m).
        weights: the real α, float64 (m,); zeros stay zero.
        ridge: ρ of a further penalty ½ ρ Σ α².
    """

    def __init__(
        self, problem: TrainingProblem, features: FloatArray, weights: FloatArray, ridge: float
    ) -> None:
        self.used = np.flatnonzero(weights)
        self._problem, self._ridge = problem, ridge
        self._features = features[:, self.used]
        self._weights = weights[self.used]
        self._slope, self._curvature = self._model()
        if not problem.loss.kinked:
            self._settle()
        self._order, self._passed_on = self._elimination()

    def _model(self) -> tuple[FloatArray, FloatArray]:
        """Gradient (m,) and curvature (m, m) of loss and ridge at the real readout."""
        loss, targets = self._problem.loss, self._problem.targets
        linear = self._features @ self._weights
        predictions = linear + loss.best_intercept(linear, targets)
        if loss.kinked:
            # At the optimum penalty and loss balance; a gradient of the kinks would not say so.
            slope = -self._problem.penalty * np.sign(self._weights)
            near = predictions - 0.5 * KINK_WIDTH * targets
            bends = loss.smoothed(KINK_WIDTH).curvature(near, targets)
        else:
            slope = self._ridge * self._weights
            slope = slope - self._features.T @ loss.residual(predictions, targets)
            bends = loss.curvature(predictions, targets)
        centred = self._features
        if bends.any():
            centred = centred - np.average(centred, axis=0, weights=bends)
        gram = centred.T @ (bends[:, None] * centred)
        return slope, gram + self._ridge * np.eye(len(gram))

    def _settle(self) -> None:
        """Newton steps with the signs as they are, where the real readout was not quite solved."""
        value = self.objective(self._weights)
        for _ in range(NEWTON_STEPS):
            before = self._weights
            pull = self._slope + self._problem.penalty * np.sign(before)
            jittered = self._curvature + _jitter(self._curvature)
            if not len(before) or not jittered.any():
                break
            self._weights = before - np.linalg.solve(jittered, pull)
            trial = self.objective(self._weights)
            if not trial < value * (1 - SETTLED):
                self._weights = before
                break
            value = trial
            self._slope, self._curvature = self._model()

    def _elimination(self) -> tuple[NDArray[np.intp], FloatArray]:
        """Order of fixing, the stiffest first, and what an error in each adds to those after it."""
        stiffness = np.diag(self._curvature)
        order = np.argsort(-stiffness, kind="stable")
        jittered = self._curvature + _jitter(self._curvature)
        if not jittered.any():
            return order, np.zeros(self._curvature.shape)
        inverse = np.linalg.inv(jittered[np.ix_(order, order)])
        factor = scipy.linalg.cholesky((inverse + inverse.T) / 2, check_finite=False)
        return order, factor / np.diag(factor)[:, None]

    def objective(self, weights: NDArray[np.floating]) -> float:
        """Loss at α (of the used neurons) with its best intercept, plus penalty and ridge."""
        return self._total(self._features @ weights, weights)

    def objectives_along(self, integers: IntegerArray) -> "_Ray":
        """The objective as a function of the unit."""
        return _Ray(self, self._features @ integers, integers)

    def intercept(self, weights: NDArray[np.floating]) -> float:
        """The best intercept for α (of the used neurons)."""
        return self._problem.loss.best_intercept(self._features @ weights, self._problem.targets)

    @property
    def real_objective(self) -> float:
        """The objective of the real readout."""
        return self.objective(self._weights)

    @property
    def slow(self) -> bool:
        """Whether a descent is long: where there are kinks, no quadratic form tells of moves."""
        return self._problem.loss.kinked

    def start(self, lattice: Lattice) -> IntegerArray:
        """The best of the roundings, int64 (m,)."""
        starts = [lattice.nearest(self._weights / lattice.unit)]
        if len(self.used):
            starts.append(self._nearest_plane(lattice))
            if self._problem.loss.kinked and not self._ridge and self._problem.penalty:
                starts.append(self._programmes(lattice))
        return self._best(starts, lattice)

    def descended(self, start: IntegerArray, lattice: Lattice) -> IntegerArray:
        """A local minimum, or the start if that is better, int64 (m,)."""
        return self._best([start, self._descend(start, lattice)], lattice) if start.size else start

    def _best(self, candidates: list[IntegerArray], lattice: Lattice) -> IntegerArray:
        return min(candidates, key=lambda integers: self.objective(integers * lattice.unit))

    def _nearest_plane(self, lattice: Lattice) -> IntegerArray:
        left = self._weights[self._order] / lattice.unit
        for place in range(len(left)):
            error = left[place] - lattice.nearest(left[place])
            left[place:] -= error * self._passed_on[place, place:]
        integers = np.empty(len(left), dtype=np.int64)
        integers[self._order] = lattice.nearest(left)
        return integers

    def _programmes(self, lattice: Lattice) -> IntegerArray:
        """Of what is still real the share nearest to integers is fixed, the rest solved anew."""
        values = self._weights / lattice.unit
        free = np.ones(len(values), dtype=bool)
        problem = replace(self._problem, penalty=self._problem.penalty * lattice.unit)
        columns = self._features * lattice.unit
        for programme in range(PROGRAMMES):
            distance = np.abs(values - lattice.nearest(values))
            distance[~free] = np.inf
            count = -(-int(free.sum()) // (PROGRAMMES - programme))
            fixed = np.argsort(distance, kind="stable")[:count]
            values[fixed] = lattice.nearest(values[fixed])
            free[fixed] = False
            if not free.any():
                break
            values[free], _ = solve_linear(
                problem,
                columns[:, free],
                given=columns[:, ~free] @ values[~free],
                largest=lattice.largest,
            )
        return lattice.nearest(values)

    def _descend(self, start: IntegerArray, lattice: Lattice) -> IntegerArray:
        unit = lattice.unit
        loss, penalty = self._problem.loss, self._problem.penalty * unit
        if loss.kinked:
            priced = replace(self._problem, penalty=penalty)
            columns = self._features * unit
            return descend_with_kinks(priced, columns, start, self._ridge * unit**2, lattice)
        curvature = self._curvature * unit**2
        slope = (self._slope + self._curvature @ (start * unit - self._weights)) * unit
        point = descend(curvature, slope, start, penalty, lattice)
        value = self.objective(point * unit)
        for _ in range(MODELS):
            linear = self._features @ (point * unit)
            predictions = linear + loss.best_intercept(linear, self._problem.targets)
            pull = self._features.T @ loss.residual(predictions, self._problem.targets)
            slope = (self._ridge * unit * point - pull) * unit
            trial = descend(curvature, slope, point, penalty, lattice)
            trial_value = self.objective(trial * unit)
            if trial_value >= value * (1 - NOTICEABLE):
                break
            point, value = trial, trial_value
        return point

    def _total(self, linear: FloatArray, weights: NDArray[np.floating]) -> float:
        loss, targets = self._problem.loss, self._problem.targets
        value = loss.value(linear + loss.best_intercept(linear, targets), targets)
        size = self._problem.penalty * float(np.abs(weights).sum())
        return value + size + 0.5 * self._ridge * float(weights @ weights)


def _jitter(curvature: FloatArray) -> FloatArray:
    size = float(np.trace(curvature)) / max(len(curvature), 1)
    jitter: FloatArray = JITTER * size * np.eye(len(curvature))
    return jitter


class _Ray:
    """The objective of fixed integers by their unit."""

    def __init__(self, search: OutputSearch, linear: FloatArray, integers: IntegerArray) -> None:
        self._search, self._linear, self._integers = search, linear, integers

    def __call__(self, unit: float) -> float:
        return self._search._total(self._linear * unit, self._integers * unit)
