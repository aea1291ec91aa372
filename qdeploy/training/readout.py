"""The readout in integers: chosen by solving, not by rounding at the end.

One scale c serves all outputs: f_k = c·(Σ_j A_jk p_j + B_k) with p_j the integer neurons. Scale and
integers are searched for together; the intercept is solved anew each time (its unit c is so fine
that rounding it costs nothing).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from qdeploy.training.integer_moves import Lattice
from qdeploy.training.integer_search import OutputSearch
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem

__all__ = ["WIDTHS", "IntegerReadout", "ReadoutWidth", "choose_readout", "integer_readout"]

WIDTHS = (4, 6, 8, 16)
"""Widths in bits that are compared, and that "auto" chooses from."""
ENOUGH = 1e-3
"""Share of the objective that the width chosen by "auto" may cost."""
SHARES = (1.0, 0.85, 0.7, 0.92, 0.78, 0.62, 0.55, 0.48, 0.42, 0.36)
"""Shares of the largest weight that the largest integer may stand for: less than one clips the few
largest and makes the steps of all others finer. Later ones pay at narrow widths only."""
TRIED = {4: 10, 6: 6, 8: 3, 10: 1}
"""How many shares are tried up to so many bits."""
ROUNDS = 4
NEAR = 0.05
"""Relative range of the unit that is searched for fixed integers."""
NOTICEABLE = 1e-6
COSTLIEST = 4
"""How often as long as the width asked for another one may take."""
SILENT_UNIT = 2.0**-10
"""Unit of the readout when every weight is zero, fine enough for the intercept."""


@dataclass(frozen=True, eq=False)
class IntegerReadout:
    """Integer readout of all outputs.

    Attributes:
        weights: A, int64 (m, K).
        intercepts: B, int64 (K,).
        scale: c, real value of one unit of a score.
    """

    weights: NDArray[np.int64]
    intercepts: NDArray[np.int64]
    scale: float


@dataclass(frozen=True)
class ReadoutWidth:
    """What one width of the readout's integers costs, its neurons as they are.

    Attributes:
        bits: width of each integer.
        objective: with the best integers found, summed over the outputs.
        increase: by which share of the real readout's objective it is above that.
        chosen: whether it is the network's.
    """

    bits: int
    objective: float
    increase: float
    chosen: bool


@dataclass(frozen=True, eq=False)
class _Found:
    """Integers of the neurons that each output uses, and the sum of their objectives."""

    objective: float
    unit: float
    integers: list[NDArray[np.int64]]

    @classmethod
    def of(
        cls,
        searches: Sequence[OutputSearch],
        lattice: Lattice,
        integers: list[NDArray[np.int64]],
    ) -> "_Found":
        pairs = zip(searches, integers, strict=True)
        objective = sum((search.objective(a * lattice.unit) for search, a in pairs), 0.0)
        return cls(objective, lattice.unit, integers)


def integer_readout(
    problems: Sequence[TrainingProblem],
    features: FloatArray,
    weights: FloatArray,
    bits: int,
    *,
    ridge: float = 0.0,
) -> IntegerReadout:
    """Best integers of a given width that are found near a real readout.

    Args:
        problems: one an output.
        features: neuron outputs Φ, float64 (n, m).
        weights: α, float64 (m, K); zeros stay zero.
        bits: width of A.
        ridge: ρ of a further penalty ½ ρ Σ α².
    """
    readout, _ = choose_readout(problems, features, weights, bits, ridge=ridge, compared=())
    return readout


def choose_readout(
    problems: Sequence[TrainingProblem],
    features: FloatArray,
    weights: FloatArray,
    bits: int | Literal["auto"],
    *,
    ridge: float = 0.0,
    compared: Sequence[int] | None = None,
    deadline: float = np.inf,
) -> tuple[IntegerReadout, tuple[ReadoutWidth, ...]]:
    """The integer readout of the width asked for, and what each of several widths costs.

    Args:
        problems: one an output.
        features: neuron outputs Φ, float64 (n, m).
        weights: α, float64 (m, K); zeros stay zero.
        bits: width of A; "auto" for the narrowest of `compared` whose objective is within 0.1 % of
            the real readout's, or the widest if none is.
        ridge: ρ of a further penalty ½ ρ Σ α².
        compared: widths of the comparison, ascending; by default `WIDTHS`, but of a large problem
            only where "auto" needs them.
        deadline: `time.monotonic()` at which integers no longer improve; other widths than the one
            asked for are left out where it would come too soon for them.

    Returns:
        The readout, and one entry for each width that was tried, ascending.
    """
    searches = [OutputSearch(p, features, weights[:, k], ridge) for k, p in enumerate(problems)]
    peak = float(np.abs(weights).max(initial=0.0))
    real = sum(search.real_objective for search in searches)
    if compared is None:
        compared = () if problems[0].is_large and bits != "auto" else WIDTHS
    asked = set(compared) if bits == "auto" else {bits}
    began = time.monotonic()
    found = {width: _search(searches, peak, width, deadline) for width in sorted(asked)}
    longest = COSTLIEST * (time.monotonic() - began)
    for width in set(compared) - asked:
        if time.monotonic() + longest < deadline:
            found[width] = _search(searches, peak, width, deadline)
    found = dict(sorted(found.items()))
    increases = {
        width: best.objective / real - 1 if real > 0 else 0.0 for width, best in found.items()
    }
    if bits == "auto":
        enough = (width for width, increase in increases.items() if increase <= ENOUGH)
        selected = next(enough, max(found))
    else:
        selected = bits
    widths = tuple(
        ReadoutWidth(width, best.objective, increases[width], width == selected)
        for width, best in found.items()
    )
    chosen = found[selected]
    scale = chosen.unit * problems[0].unit
    integers = np.zeros(weights.shape, dtype=np.int64)
    intercepts = np.zeros(len(problems), dtype=np.int64)
    for k, (search, column) in enumerate(zip(searches, chosen.integers, strict=True)):
        integers[search.used, k] = column
        intercepts[k] = round(search.intercept(column * chosen.unit) / scale)
    return IntegerReadout(integers, intercepts, scale), widths


def _search(searches: Sequence[OutputSearch], peak: float, bits: int, deadline: float) -> _Found:
    """The best of several units, then unit and integers in turn, as long as there is time."""
    largest = 2 ** (bits - 1) - 1
    if not peak:
        lattice = Lattice(SILENT_UNIT, largest)
        return _Found.of(searches, lattice, [search.start(lattice) for search in searches])
    tried = next((count for most, count in TRIED.items() if bits <= most), 1)
    lattices = [Lattice(share * peak / largest, largest) for share in SHARES[:tried]]
    begun = [
        _Found.of(searches, lattice, [search.start(lattice) for search in searches])
        for lattice in lattices
    ]
    slow = any(search.slow for search in searches)
    if slow or time.monotonic() > deadline:
        begun = [min(begun, key=lambda found: found.objective)]
    candidates = [_descended(searches, largest, found, deadline) for found in begun]
    best = min(candidates, key=lambda found: found.objective)
    for _ in range(1 if slow else ROUNDS):
        if time.monotonic() > deadline:
            break
        rays = [
            search.objectives_along(integers)
            for search, integers in zip(searches, best.integers, strict=True)
        ]
        nearby = minimize_scalar(
            lambda unit, rays=rays: sum(ray(unit) for ray in rays),
            bounds=(best.unit * (1 - NEAR), best.unit * (1 + NEAR)),
            method="bounded",
            options={"xatol": 1e-5 * best.unit},
        )
        moved = _Found.of(searches, Lattice(float(nearby.x), largest), best.integers)
        trial = _descended(searches, largest, moved, deadline)
        if trial.objective >= best.objective * (1 - NOTICEABLE):
            break
        best = trial
    return best


def _descended(
    searches: Sequence[OutputSearch], largest: int, start: _Found, deadline: float
) -> _Found:
    """Local minima, output after output; those for which there is no time stay as they are."""
    lattice = Lattice(start.unit, largest)
    columns = [
        column if time.monotonic() > deadline else search.descended(column, lattice)
        for search, column in zip(searches, start.integers, strict=True)
    ]
    return _Found.of(searches, lattice, columns)
