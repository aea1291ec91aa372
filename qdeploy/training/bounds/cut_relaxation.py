"""The relaxation of the norm with cutting planes, by a proximal method of multipliers.

    max ⟨G, P - N⟩  over P, N ⪰ 0, diag(P + N) = 1, every cut      (E ppᵀ = P, p = (u + v)/2, …)

for one G or all that a source offers, on all sign pairs or on each of several parts of them.

Its dual in z (diagonal) and y ≥ 0 (cuts) has the constraint Diag(z) ⪰ B(y) ± (G + H(y)). The
projection of what violates it is smooth in z and y and adds to the blocks P, N, as in the
regularisation of Krislock, Malick and Roupin (Math. Program. 143, 2014) with the centre moved after
each solve (Rockafellar's proximal method of multipliers). L-BFGS does the inner minimisation: two
symmetric eigenvalue problems of size d a step and part. Nothing here is a proof.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from qdeploy.training.bounds.cut_search import violated_cuts
from qdeploy.training.bounds.odd_cuts import triangles, united
from qdeploy.training.bounds.parts import Part, SmoothPart

__all__ = ["CutRelaxation", "FixedMatrix", "Source"]

FloatArray = NDArray[np.float64]

STEPS = 150
MEMORY = 15

ACTIVE = 1e-6
"""Cuts with smaller weights are forgotten."""

FINEST = 0.002
"""Violation below which a cut never counts."""
PER_ROUND = 6
"""Cuts added a round, at most, for each of the 2d signs, over all parts."""
MOST_CUTS = 60
"""Cuts held, at most, for each of the 2d signs: what bounds the memory."""
STARTS = 300
"""Cuts in use, and as many new triangles, from which longer ones are looked for."""
SPLIT = 4
"""One part and a quarter of all are split at a time."""
SMALLEST_SHARE = 0.05
"""Share of its parent's pressure that a child starts with, at least."""


class Source(Protocol):
    """Where G comes from: given, or to be chosen within a budget for the loads.

    Attributes:
        size: numbers that can be chosen.
        budgeted: whether the load of every part (Σz and what the cuts add) is held to d; otherwise
            the load is the cost.
    """

    size: int
    budgeted: bool

    def matrix(self, point: FloatArray) -> FloatArray:
        """G, float64 (d, d)."""

    def cost(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Value of a choice and its gradient, (size,)."""

    def pull(self, across: FloatArray) -> FloatArray:
        """Derivative of ⟨G, P - N⟩ by the point, (size,)."""


class FixedMatrix:
    """A given G; its whole load is the cost."""

    size = 0
    budgeted = False

    def __init__(self, matrix: FloatArray) -> None:
        self._matrix = matrix

    def matrix(self, point: FloatArray) -> FloatArray:
        """G itself."""
        return self._matrix

    def cost(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Nothing was chosen."""
        return 0.0, point

    def pull(self, across: FloatArray) -> FloatArray:
        """Nothing can move."""
        return np.empty(0)


class CutRelaxation:
    """The method for one source.

    Args:
        source: G, in units in which Σz is about d.
        point: where the source starts, float64 (size,).
        parts: where each part starts.
        threads: parts that are evaluated at once.
        generator: of the search for cuts.
    """

    def __init__(
        self,
        source: Source,
        point: FloatArray,
        parts: list[Part],
        threads: int = 1,
        generator: np.random.Generator | None = None,
    ) -> None:
        self._source = source
        self._dimension = len(parts[0].diagonal)
        self.point = point
        self.parts = parts
        self._threads = threads
        self._generator = np.random.default_rng(0) if generator is None else generator

    def improve(self, *, largest: int = 3, deadline: float = np.inf) -> None:
        """One round: forget idle cuts, add violated ones, solve.

        Args:
            largest: entries of a cut, at most: 3, 5 or 7.
            deadline: `time.monotonic()` at which to stop.
        """
        for part in self.parts:
            kept = part.weights > ACTIVE
            part.cuts, part.weights = part.cuts[kept], part.weights[kept]
            self._add_cuts(part, largest)
        if time.monotonic() <= deadline:
            self._solve(deadline)
        for part in self.parts:
            part.tolerance = max(part.tolerance / 2, FINEST)

    def split(self) -> bool:
        """Two children for each of the parts of largest pressure; False if none can be split."""
        free = [part for part in self.parts if not part.fixed.all()]
        free.sort(key=lambda part: -part.pressure)
        for part in free[: 1 + len(self.parts) // SPLIT]:
            index = part.undecided
            shares = np.array([block[index, index] for block in part.blocks])
            shares = np.maximum(shares / max(shares.sum(), 1e-12), SMALLEST_SHARE)
            place = self.parts.index(part)
            self.parts[place : place + 1] = [
                part.child(index, side, part.pressure * float(share))
                for side, share in zip((1, -1), shares, strict=True)
            ]
        return bool(free)

    def _add_cuts(self, part: Part, largest: int) -> None:
        together, across = _correlations(part.blocks)
        count = len(part.weights)
        # The work of a step grows with all cuts together, those in use and those that are tried.
        room = PER_ROUND * 2 * self._dimension // len(self.parts)
        room = max(min(room, MOST_CUTS * 2 * self._dimension - len(part.cuts)), 0)
        found = triangles(together, across, room, part.tolerance)
        cuts = united(part.cuts, found)
        if largest > 3 and room > 0:
            heaviest = np.argsort(-part.weights, kind="stable")[:STARTS]
            starts = united(part.cuts[heaviest], found[:STARTS])
            new = violated_cuts(
                starts,
                together,
                across,
                room,
                part.tolerance,
                largest=largest,
                generator=self._generator,
            )
            cuts = united(cuts, new)
        part.cuts = cuts
        part.weights = np.append(part.weights, np.zeros(len(cuts) - count))

    def _solve(self, deadline: float) -> None:
        size, dimension = self._source.size, self._dimension
        forms = [SmoothPart(part, self._source.budgeted) for part in self.parts]
        counts = [len(part.weights) for part in self.parts]
        ends = np.cumsum([size, *(dimension + count for count in counts)])[:-1]
        start = [self.point]
        bounds: list[tuple[float | None, None]] = [(None, None)] * size
        for part in self.parts:
            start += [part.diagonal, part.weights]
            bounds += [(None, None)] * dimension + [(0.0, None)] * len(part.weights)
        with _mapping(min(self._threads, len(forms))) as each:

            def value(variables: FloatArray) -> tuple[float, FloatArray]:
                point, *own = np.split(variables, ends)
                total, by_point = self._source.cost(point)
                matrix = self._source.matrix(point)
                across = np.zeros_like(matrix)
                gradients = []
                for cost, gradient, form in each(
                    lambda form, mine: (*form.evaluate(mine, matrix), form), forms, own
                ):
                    total += cost
                    gradients.append(gradient)
                    across += form.blocks[0] - form.blocks[1]
                by_point = by_point + self._source.pull(across)
                return total, np.concatenate([by_point, *gradients])

            def in_time(_: FloatArray) -> None:
                if time.monotonic() > deadline:
                    raise StopIteration

            solved = scipy.optimize.minimize(
                value,
                np.concatenate(start),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                callback=in_time,
                options={"maxiter": STEPS, "maxcor": MEMORY, "ftol": 1e-13, "gtol": 1e-7},
            )
            value(solved.x)
        self.point, *own = np.split(solved.x, ends)
        for part, form, mine in zip(self.parts, forms, own, strict=True):
            part.diagonal, part.weights = np.split(mine, [dimension])
            part.blocks, part.pressure = form.blocks, form.slope


@contextmanager
def _mapping(threads: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """`map` in so many threads; eigenvalue problems leave the interpreter to the others."""
    if threads < 2:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


def _correlations(blocks: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """E uuᵀ and E uvᵀ, scaled to unit diagonals."""
    together = blocks[0] + blocks[1]
    sizes = np.sqrt(np.maximum(np.diag(together), 1e-12))
    scale = np.outer(sizes, sizes)
    return together / scale, (blocks[0] - blocks[1]) / scale
