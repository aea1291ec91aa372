"""One part of the sign pairs in the relaxation with cuts: its state, and its smooth function.

A part has u_i = v_i at some places and u_i = -v_i at others, so that one row leaves one of the two
matrices at each. See `cut_relaxation` for the method.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.bounds.odd_cuts import Cuts, no_cuts, pair_operator

__all__ = ["Part", "SmoothPart"]

FloatArray = NDArray[np.float64]

SMOOTHING = 0.1
"""Curvature of the penalty, where Σz is d. A smaller one is nearer to the optimum after one solve,
a larger one is better conditioned; with the centre moved after each solve this one is fastest."""

VIOLATION = 0.03
"""Violation at which a cut counts in the first round."""


@dataclass(eq=False)
class Part:
    """State of the method on one part of the sign pairs.

    Attributes:
        fixed: -1, 0 or 1 for each index (see `qdeploy.cut_proof`), int8 (d,).
        diagonal: z, float64 (d,).
        blocks: P and N, float64 (d, d), scaled by the pressure.
        cuts: cuts (k, w).
        weights: y, float64 (k,).
        pressure: multiplier of the budget for the load.
        tolerance: violation below which a cut does not count.
    """

    fixed: NDArray[np.int8]
    diagonal: FloatArray
    blocks: tuple[FloatArray, FloatArray]
    cuts: Cuts = field(default_factory=no_cuts)
    weights: FloatArray = field(default_factory=lambda: np.empty(0))
    pressure: float = 1.0
    tolerance: float = VIOLATION

    @property
    def rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where p and where q can be other than zero."""
        return np.flatnonzero(self.fixed >= 0), np.flatnonzero(self.fixed <= 0)

    @property
    def undecided(self) -> int:
        """The free index at which u_i = v_i and u_i = -v_i are closest to even."""
        agreement = np.abs(np.diag(self.blocks[0] - self.blocks[1]))
        agreement = agreement / np.diag(self.blocks[0] + self.blocks[1]).clip(1e-12)
        return int(np.where(self.fixed == 0, agreement, np.inf).argmin())

    def child(self, index: int, side: int, pressure: float) -> "Part":
        """Where to start on the sign pairs of this part with u_i = side · v_i.

        Args:
            index: i, free here.
            side: 1 or -1.
            pressure: of the child.
        """
        fixed = self.fixed.copy()
        fixed[index] = side
        blocks = [block * (pressure / max(self.pressure, 1e-12)) for block in self.blocks]
        gone = blocks[1] if side > 0 else blocks[0]
        gone[index] = gone[:, index] = 0.0
        return replace(
            self,
            fixed=fixed,
            diagonal=self.diagonal.copy(),
            blocks=(blocks[0], blocks[1]),
            pressure=pressure,
        )


class SmoothPart:
    """The smooth function of z and y on one part, its centre fixed.

    Attributes:
        blocks: P and N at the latest evaluation.
        slope: derivative by the load there; of a load within a budget the next multiplier.
    """

    def __init__(self, part: Part, budgeted: bool) -> None:
        self._part = part
        self._budgeted = budgeted
        self._grids = [np.ix_(rows, rows) for rows in part.rows]
        self._centres = [
            SMOOTHING * centre[grid] for centre, grid in zip(part.blocks, self._grids, strict=True)
        ]
        operator, self._excess = pair_operator(part.cuts, len(part.diagonal))
        self._operator, self._turned = operator, operator.T.tocsr()
        self.blocks = part.blocks
        self.slope = part.pressure

    def evaluate(self, variables: FloatArray, matrix: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient.

        Args:
            variables: z and y, float64 (d + k,).
            matrix: G, float64 (d, d).
        """
        dimension = len(matrix)
        diagonal, weights = np.split(variables, [dimension])
        load = float(diagonal.sum() + self._excess @ weights)
        if self._budgeted:
            self.slope = max(self._part.pressure + (load - dimension) / SMOOTHING, 0.0)
            total = SMOOTHING * self.slope**2 / 2
        else:
            self.slope, total = 1.0, load
        pairs = (self._turned @ weights).reshape(2, dimension, dimension)
        inner, outer = (pairs + pairs.transpose(0, 2, 1)) / 2
        outer += matrix
        inner[np.diag_indices(dimension)] -= diagonal
        blocks = []
        for bounded, centre, grid in zip(
            (inner + outer, inner - outer), self._centres, self._grids, strict=True
        ):
            values, vectors = np.linalg.eigh(centre + bounded[grid])
            above = values > 0
            values, vectors = values[above], vectors[:, above]
            total += float(values @ values) / (2 * SMOOTHING)
            block = np.zeros((dimension, dimension))
            block[grid] = (vectors * values) @ vectors.T / SMOOTHING
            blocks.append(block)
        positive, negative = self.blocks = (blocks[0], blocks[1])
        together = positive + negative
        moments = np.concatenate([together.ravel(), (positive - negative).ravel()])
        by_weights = self.slope * self._excess + self._operator @ moments
        return total, np.concatenate([self.slope - np.diag(together), by_weights])
