"""Branch and bound on u_i = v_i or u_i = -v_i, with cutting planes at the nodes.

On either side of a split p_i or q_i is zero (p = (u + v)/2, q = (u - v)/2), so one row leaves one
of the two matrices: nodes get smaller, and the exchange of u and v stays a symmetry. The leaf with
the largest bound is split next; at any time the leaves prove the largest of their bounds.
"""

import heapq
import math
import time
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from qdeploy.cut_proof import CutProof
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.bounds import (
    BoundCapability,
    IntegerMatrix,
    NormBound,
    NormProof,
    SignMatrix,
    best_pair,
    checked_matrix,
    norm_bounds,
)
from qdeploy.training.bounds.cut_relaxation import CutRelaxation, FixedMatrix
from qdeploy.training.bounds.cutting_planes import CANDIDATES, root_node, sign_candidates
from qdeploy.training.bounds.interior_point import unit_vectors
from qdeploy.training.bounds.leaf_proof import LeafProof, prove_leaf
from qdeploy.training.bounds.odd_cuts import Cuts, no_cuts, united
from qdeploy.training.threads import single_threaded

__all__ = ["BranchAndBound"]

FloatArray = NDArray[np.float64]

ENOUGH = 1e-4
"""The search ends when the bound exceeds the norm by less than this share."""
ROUNDING = 8
ROUNDS = 5
"""Rounds of cuts at a node; those of its parent are there from the start."""
LARGEST_TABLE = 2**22
"""Weights, leaves times cuts, that a proof may hold: more would not fit a model file well."""
LARGEST_LEAVES = 10_000
FULL = "branch and bound ends: a larger proof would not fit a model file"


@dataclass(order=True)
class _Leaf:
    """One leaf with its proof and the state from which its children start."""

    priority: tuple[int, int]
    fixed: NDArray[np.int8] = field(compare=False)
    proof: LeafProof = field(compare=False)
    cuts: Cuts = field(compare=False)
    relaxation: CutRelaxation = field(compare=False)


class BranchAndBound:
    """Exact where time allows; otherwise the best bound that was proven until then."""

    name = "branch-and-bound"
    capability = BoundCapability(None, exact=False)

    def prove(
        self,
        matrix: IntegerMatrix,
        *,
        progress: Progress = silent,
        time_limit: float | None = None,
        start: SignMatrix | None = None,
        enough: int = 0,
    ) -> NormProof:
        """Split leaves until the bound meets the norm; see `NormBound.prove`.

        A time limit, and a limit on the size of the proof, make the bound looser, never unproven.
        """
        matrix = checked_matrix(matrix, self)
        deadline = math.inf if time_limit is None else time.monotonic() + time_limit
        with single_threaded():
            return _Search(matrix, progress, deadline, enough).run(start)


_BOUND: NormBound = BranchAndBound()
norm_bounds.register("branch-and-bound")(_BOUND)


class _Search:
    """One run of the bound."""

    def __init__(
        self, matrix: IntegerMatrix, progress: Progress, deadline: float, enough: int
    ) -> None:
        self._matrix = matrix
        self._floating = matrix.astype(np.float64)
        self._progress = progress
        self._deadline = deadline
        self._enough = enough
        self._numbers = count()
        self._split = 0

    def run(self, start: SignMatrix | None) -> NormProof:
        root = root_node(self._matrix, start, self._deadline, self._progress)
        self._unit = root.unit
        self._found = root.found
        fixed = np.zeros(len(self._matrix), dtype=np.int8)
        if root.relaxation is None:
            return self._conclude([(fixed, root.proof, root.cuts)])
        leaves = [self._leaf(fixed, root.proof, root.cuts, root.relaxation)]
        done: list[_Leaf] = []
        while leaves and time.monotonic() < self._deadline:
            worst = leaves[0]
            if worst.proof.bound <= self._goal:
                break
            if not self._fits(leaves + done):
                self._tell(leaves, FULL)
                break
            heapq.heappop(leaves)
            if worst.fixed.all():
                # Nothing is left to split; no smaller bound can be had for the whole either.
                done.append(worst)
                break
            for child in self._children(worst):
                heapq.heappush(leaves, child)
            self._tell(leaves)
        return self._conclude([(leaf.fixed, leaf.proof, leaf.cuts) for leaf in leaves + done])

    @property
    def _goal(self) -> float:
        """A leaf whose bound is no larger need not be split."""
        # Rounding z and y up to integers costs a few units a row, whatever is split.
        rounding = ROUNDING * len(self._matrix)
        return max(self._attained * (1 + ENOUGH) + rounding, self._enough)

    @property
    def _attained(self) -> int:
        return int(np.abs(self._found[0].astype(np.int64) @ self._matrix).sum())

    def _leaf(
        self, fixed: NDArray[np.int8], proof: LeafProof, cuts: Cuts, relaxation: CutRelaxation
    ) -> _Leaf:
        return _Leaf((-proof.bound, next(self._numbers)), fixed, proof, cuts, relaxation)

    def _children(self, leaf: _Leaf) -> list[_Leaf]:
        positive, negative = leaf.relaxation.blocks
        # E u_i v_i, between -1 and 1: split where the relaxation is least decided.
        agreement = np.abs(np.diag(positive - negative))
        agreement[leaf.fixed != 0] = np.inf
        index = int(agreement.argmin())
        self._split += 1
        return [self._child(leaf, index, side) for side in (1, -1)]

    def _child(self, leaf: _Leaf, index: int, side: int) -> _Leaf:
        fixed = leaf.fixed.copy()
        fixed[index] = side
        parent = leaf.relaxation
        blocks = tuple(block.copy() for block in parent.blocks)
        gone = blocks[1] if side > 0 else blocks[0]
        gone[index] = gone[:, index] = 0.0
        relaxation = CutRelaxation(
            FixedMatrix(self._floating / self._unit),
            np.empty(0),
            parent.diagonal.copy(),
            (blocks[0], blocks[1]),
            fixed,
        )
        relaxation.adopt(parent.cuts, parent.weights)
        # What holds on the parent holds on each of its children.
        best, cuts = leaf.proof, leaf.cuts
        for _ in range(ROUNDS):
            if time.monotonic() > self._deadline:
                break
            relaxation.improve(largest=7, deadline=self._deadline)
            weights = relaxation.weights * self._unit / 2
            proof = prove_leaf(self._matrix, relaxation.cuts, weights, fixed)
            if proof.bound < best.bound:
                best, cuts = proof, relaxation.cuts
            if best.bound <= self._goal:
                break
        self._found = sign_candidates(self._floating, unit_vectors(*relaxation.blocks), self._found)
        return self._leaf(fixed, best, cuts, relaxation)

    def _fits(self, leaves: list[_Leaf]) -> bool:
        cuts = sum(int(np.count_nonzero(leaf.proof.weights)) for leaf in leaves)
        return len(leaves) < LARGEST_LEAVES and len(leaves) * cuts <= LARGEST_TABLE

    def _tell(self, leaves: list[_Leaf], stage: str = "branch and bound") -> None:
        above = leaves[0].proof.bound / self._attained - 1
        figures: dict[str, float | str] = {
            "leaves": len(leaves),
            "above the norm": f"{above:.3%}",
        }
        if math.isfinite(self._deadline):
            figures["seconds left"] = f"{max(self._deadline - time.monotonic(), 0.0):.0f}"
        self._progress(ProgressEvent(stage, self._split, None, figures))

    def _conclude(self, leaves: list[tuple[NDArray[np.int8], LeafProof, Cuts]]) -> NormProof:
        used = [cuts[proof.weights > 0] for _, proof, cuts in leaves]
        pool = no_cuts()
        for cuts in used:
            pool = united(pool, cuts)
        places = {row.tobytes(): place for place, row in enumerate(pool)}
        weights = np.zeros((len(leaves), len(pool)), dtype=np.int64)
        for number, ((_, proof, _), cuts) in enumerate(zip(leaves, used, strict=True)):
            padded = np.pad(cuts, ((0, 0), (0, pool.shape[1] - cuts.shape[1])))
            chosen = [places[row.tobytes()] for row in padded]
            weights[number, chosen] = proof.weights[proof.weights > 0]
        tree = CutProof(
            pool,
            weights,
            np.stack([fixed for fixed, _, _ in leaves]),
            np.stack([proof.diagonal for _, proof, _ in leaves]),
        )
        attained, candidates = best_pair(self._matrix, self._found)
        return NormProof(
            norm_bound=tree.norm_bound,
            multipliers=None,
            method=tree.method,
            attained=attained,
            candidates=candidates[:CANDIDATES],
            tree=tree,
        )
