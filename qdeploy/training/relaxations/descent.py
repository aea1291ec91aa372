"""Limited-memory BFGS in its compact form (Byrd, Nocedal and Schnabel, Math. Programming 63, 1994).

    H = γI + [S, γY] · [[R⁻ᵀ(D + γYᵀY)R⁻¹, -R⁻ᵀ], [-R⁻¹, 0]] · [S, γY]ᵀ

with R the upper triangle and D the diagonal of SᵀY. The inner products of the pairs are kept, so
that a step costs few products of a matrix (m, N) with a vector, and many pairs are cheap: bounds on
the variables, which the routine in scipy has and pays for, are not needed here.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import solve_triangular

from qdeploy.training.losses import FloatArray

__all__ = ["Function", "descend"]

Function = Callable[[FloatArray], tuple[float, FloatArray]]
"""From a point (N,) to the value and the gradient (N,)."""

SUFFICIENT = 1e-4
"""Share of the fall promised by the slope that a step must have (Armijo)."""
CURVED = 1e-10
"""A pair is kept where sᵀy exceeds this share of ‖s‖‖y‖."""
TRIES = 20
SHORTENING = 0.1, 0.5
"""Bounds on the factor between a step that was too long and the next try."""
ROUNDING = 1e-15
"""Relative fall of the value that rounding hides."""


def descend(
    function: Function,
    start: FloatArray,
    *,
    steps: int,
    memory: int,
    finished: Callable[[FloatArray, float], bool],
) -> FloatArray:
    """Minimise a smooth function.

    Args:
        function: the function.
        start: where to begin, float64 (N,).
        steps: at most so many.
        memory: pairs of steps and changes of the gradient that are kept.
        finished: told of the point and value after each step; true ends the descent.

    Returns:
        The last point, float64 (N,); its value is the smallest that was met.
    """
    point = start
    value, slope = function(point)
    pairs = _Pairs(memory, len(point))
    for _ in range(steps):
        found = _step(function, point, value, slope, pairs)
        if found is None and len(pairs):
            # The model of the curvature may be what is wrong.
            pairs = _Pairs(memory, len(point))
            found = _step(function, point, value, slope, pairs)
        if found is None:
            break
        following, its_value, its_slope = found
        pairs.add(following - point, its_slope - slope)
        fall = value - its_value
        point, value, slope = following, its_value, its_slope
        if fall <= ROUNDING * abs(value) or finished(point, value):
            break
    return point


def _step(
    function: Function, point: FloatArray, value: float, slope: FloatArray, pairs: "_Pairs"
) -> tuple[FloatArray, float, FloatArray] | None:
    """Next point, its value and gradient, by a backtracking search; None where nothing falls."""
    direction = pairs.direction(slope)
    fall = float(direction @ slope)
    if not fall < 0:
        return None
    length = 1.0 if len(pairs) else min(1.0, 1.0 / math.sqrt(-fall))
    for _ in range(TRIES):
        following = point + length * direction
        its_value, its_slope = function(following)
        if its_value <= value + SUFFICIENT * length * fall:
            return following, its_value, its_slope
        # Where the parabola through both values and the slope is smallest.
        excess = its_value - value - length * fall
        share = -length * fall / (2 * excess) if math.isfinite(excess) else 0.0
        length *= min(max(share, SHORTENING[0]), SHORTENING[1])
    return None


class _Pairs:
    """The latest steps s and changes of the gradient y, and their inner products."""

    def __init__(self, memory: int, size: int) -> None:
        self._steps = np.empty((memory, size))
        self._changes = np.empty((memory, size))
        self._mixed = np.zeros((memory, memory))
        self._squares = np.zeros((memory, memory))
        self._scale = 1.0
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._order)

    def add(self, step: FloatArray, change: FloatArray) -> None:
        """Keep a pair, in place of the oldest if there are as many as fit."""
        product, square = float(step @ change), float(change @ change)
        if not product > CURVED * math.sqrt(float(step @ step) * square):
            return
        full = len(self._order) == len(self._steps)
        place = self._order.pop(0) if full else len(self._order)
        self._order.append(place)
        self._steps[place], self._changes[place] = step, change
        count = len(self._order)
        steps, changes = self._steps[:count], self._changes[:count]
        # Of SᵀY only the upper triangle counts, in the order of the pairs: the new one is last.
        self._mixed[:count, place] = steps @ change
        self._squares[:count, place] = self._squares[place, :count] = changes @ change
        self._scale = product / square

    def direction(self, slope: FloatArray) -> FloatArray:
        """-H·gradient, float64 (N,)."""
        count, order, scale = len(self._order), self._order, self._scale
        if not count:
            return -slope
        steps, changes = self._steps[:count], self._changes[:count]
        triangle = np.triu(self._mixed[np.ix_(order, order)])
        squares = self._squares[np.ix_(order, order)]
        along, across = (steps @ slope)[order], (changes @ slope)[order]
        lower = solve_triangular(triangle, along, check_finite=False)
        rest = triangle.diagonal() * lower + scale * (squares @ lower - across)
        upper = solve_triangular(triangle, rest, trans=1, check_finite=False)
        first, second = np.empty(count), np.empty(count)
        first[order], second[order] = upper, lower
        step: FloatArray = scale * (second @ changes) - first @ steps - scale * slope
        return step
