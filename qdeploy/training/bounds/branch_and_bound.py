"""Branch and bound on u_i = v_i or u_i = -v_i, with cutting planes at the nodes.

On either side of a split p_i or q_i is zero (p = (u + v)/2, q = (u - v)/2), so one row leaves one
of the two matrices: nodes get smaller, and the exchange of u and v stays a symmetry. The leaf with
the largest bound is split next; at any time the leaves prove the largest of their bounds.
"""

import heapq
import math
import time
from dataclasses import dataclass, field

import joblib
import numpy as np

from qdeploy.progress import ProgressEvent
from qdeploy.training.bounds import (
    BoundCapability,
    IntegerMatrix,
    NormProof,
    Request,
    SignMatrix,
    norm_bound,
)
from qdeploy.training.bounds.cut_relaxation import CutRelaxation, FixedMatrix
from qdeploy.training.bounds.cutting_planes import (
    proof_by_leaves,
    ranked,
    root_node,
    sign_candidates,
)
from qdeploy.training.bounds.interior_point import unit_vectors
from qdeploy.training.bounds.leaf_proof import Leaf, fits, prove_leaf, tree_of
from qdeploy.training.bounds.parts import Part
from qdeploy.training.checkpoint import Slot
from qdeploy.training.threads import single_threaded

__all__ = ["branch_and_bound", "prove_by_branch_and_bound"]

ENOUGH = 1e-4
"""The search ends when the bound exceeds the norm by less than this share."""
ROUNDING = 8
ROUNDS = 5
"""Rounds of cuts at a node; those of its parent are there from the start."""
FULL = "branch and bound ends: a larger proof would not fit a model file"


@dataclass(order=True)
class _Node:
    """A leaf that may be split, with the state from which its children start."""

    priority: tuple[int, int]
    leaf: Leaf = field(compare=False)
    part: Part = field(compare=False)


@dataclass
class _State:
    """All that the search goes on from.

    Attributes:
        unit: what one unit of the relaxation is, in units of G.
        found: good u, int8 (·, d), best first.
        nodes: a heap, the largest bound first.
        split: how often a leaf was split.
        made: how many nodes there ever were.
    """

    unit: float
    found: SignMatrix
    nodes: list[_Node]
    split: int = 0
    made: int = 0

    def add(self, leaf: Leaf, part: Part) -> None:
        """Put a leaf on the heap; of equal bounds the older comes first."""
        heapq.heappush(self.nodes, _Node((-leaf.proof.bound, self.made), leaf, part))
        self.made += 1

    @property
    def leaves(self) -> list[Leaf]:
        """All of them."""
        return [node.leaf for node in self.nodes]


@norm_bound("branch-and-bound", BoundCapability(None, exact=False))
def prove_by_branch_and_bound(matrix: IntegerMatrix, request: Request) -> NormProof:
    """Split leaves until the bound meets the norm; see `NormBound.prove`.

    Exact where time allows. A time limit, and a limit on the size of the proof, make the bound
    looser, never unproven.
    """
    return branch_and_bound(matrix, request)


def branch_and_bound(
    matrix: IntegerMatrix, request: Request, jobs: int = 1, slot: Slot | None = None
) -> NormProof:
    """`prove_by_branch_and_bound` on several cores, and from where an earlier process was.

    Args:
        matrix: G, int64 (d, d), as `checked_matrix` gives it.
        request: what is asked of the bound.
        jobs: processes, which split as many leaves at a time. The tree depends on it.
        slot: where the state is kept after each step, and taken up from.
    """
    with single_threaded():
        return _Search(matrix, request, jobs, Slot() if slot is None else slot).run()


class _Search:
    """One run of the bound."""

    def __init__(self, matrix: IntegerMatrix, request: Request, jobs: int, slot: Slot) -> None:
        limit = request.time_limit
        self._matrix = matrix
        self._request = request
        self._deadline = math.inf if limit is None else time.monotonic() + limit
        self._jobs = jobs
        self._slot = slot

    def run(self) -> NormProof:
        kept = self._slot.load()
        if kept is None:
            root = root_node(self._matrix, self._request)
            if root.part is None:
                return proof_by_leaves(self._matrix, [root.leaf], root.found)
            kept = _State(root.unit, root.found, [])
            kept.add(root.leaf, root.part)
        self._state: _State = kept
        self._search()
        return proof_by_leaves(self._matrix, self._state.leaves, self._state.found)

    def _search(self) -> None:
        state = self._state
        while state.nodes and time.monotonic() < self._deadline:
            goal = self._goal
            if state.nodes[0].leaf.proof.bound <= goal:
                break
            if not fits(tree_of(state.leaves)):
                self._tell(FULL)
                break
            if state.nodes[0].leaf.fixed.all():
                # Nothing is left to split; no smaller bound can be had for the whole either.
                break
            above = [node for node in state.nodes if node.leaf.proof.bound > goal]
            free = [node for node in above if not node.leaf.fixed.all()]
            self._split(heapq.nsmallest(self._jobs, free), goal)
            self._tell()
            self._slot.save(state)

    def _split(self, chosen: list[_Node], goal: float) -> None:
        """Put the children of some nodes in their place."""
        state = self._state
        state.nodes = [node for node in state.nodes if node not in chosen]
        heapq.heapify(state.nodes)
        work = [
            joblib.delayed(_child)(
                self._matrix, node, side, state.unit, state.found, goal, self._deadline
            )
            for node in chosen
            for side in (1, -1)
        ]
        for leaf, part, found in joblib.Parallel(n_jobs=self._jobs)(work):
            state.add(leaf, part)
            state.found = ranked(self._matrix, np.vstack([state.found, found]))
        state.split += len(chosen)

    @property
    def _goal(self) -> float:
        """A leaf whose bound is no larger need not be split."""
        # Rounding z and y up to integers costs a few units a row, whatever is split.
        rounding = ROUNDING * len(self._matrix)
        return max(self._attained * (1 + ENOUGH) + rounding, self._request.enough)

    @property
    def _attained(self) -> int:
        return int(np.abs(self._state.found[0].astype(np.int64) @ self._matrix).sum())

    def _tell(self, stage: str = "branch and bound") -> None:
        leaves = self._state.leaves
        above = max(leaf.proof.bound for leaf in leaves) / self._attained - 1
        figures: dict[str, float | str] = {
            "leaves": len(leaves),
            "above the norm": f"{above:.3%}",
        }
        if math.isfinite(self._deadline):
            figures["seconds left"] = f"{max(self._deadline - time.monotonic(), 0.0):.0f}"
        self._request.progress(ProgressEvent(stage, self._state.split, None, figures))


def _child(
    matrix: IntegerMatrix,
    node: _Node,
    side: int,
    unit: float,
    found: SignMatrix,
    goal: float,
    deadline: float,
) -> tuple[Leaf, Part, SignMatrix]:
    """The child of a leaf on one side of its split, the state after it, and good u met there."""
    floating = matrix.astype(np.float64)
    part = node.part.child(node.part.undecided, side, 1.0)
    with single_threaded():
        relaxation = CutRelaxation(FixedMatrix(floating / unit), np.empty(0), [part])
        # What holds on the parent holds on each of its children.
        best = Leaf(part.fixed, node.leaf.proof, node.leaf.cuts)
        for _ in range(ROUNDS):
            if time.monotonic() > deadline:
                break
            relaxation.improve(largest=7, deadline=deadline)
            proof = prove_leaf(matrix, part.cuts, part.weights * unit / 2, part.fixed)
            if proof.bound < best.proof.bound:
                best = Leaf(part.fixed, proof, part.cuts)
            if best.proof.bound <= goal:
                break
        return best, part, sign_candidates(floating, unit_vectors(*part.blocks), found)
