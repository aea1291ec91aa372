"""The semidefinite bound with cutting planes (triangle, pentagonal, heptagonal inequalities).

Violated ones are added in rounds. What is left above the norm is a tenth to a half of what the
semidefinite bound alone leaves.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.progress import ProgressEvent
from qdeploy.training.bounds import (
    BoundCapability,
    IntegerMatrix,
    NormProof,
    Request,
    SignMatrix,
    best_pair,
    norm_bound,
)
from qdeploy.training.bounds.cut_relaxation import CutRelaxation, FixedMatrix
from qdeploy.training.bounds.interior_point import semidefinite_norm, unit_vectors
from qdeploy.training.bounds.leaf_proof import Leaf, prove_leaf, tree_of
from qdeploy.training.bounds.odd_cuts import no_cuts
from qdeploy.training.bounds.parts import Part
from qdeploy.training.rounding import hyperplane_signs, sign_ascent
from qdeploy.training.threads import single_threaded

__all__ = [
    "RootNode",
    "proof_by_leaves",
    "prove_by_cutting_planes",
    "ranked",
    "root_node",
    "sign_candidates",
]

FloatArray = NDArray[np.float64]

ROUNDS = 100
TRIANGLES_ONLY = 4
"""Rounds before larger cuts are looked for."""
STALLED = 2e-4
PATIENCE = 6
"""Rounds in which the bound falls by less than this share together end the search."""
ENOUGH = 1e-6
"""A bound this close to the norm, as a share, is as good as exact."""
SAMPLES = 256
CANDIDATES = 64


@norm_bound("cutting-planes", BoundCapability(None, exact=False))
def prove_by_cutting_planes(matrix: IntegerMatrix, request: Request) -> NormProof:
    """Add cuts in rounds until they gain nothing; see `NormBound.prove`.

    Usually a tenth above the norm at d = 60, and exact for many small matrices. A time limit makes
    the bound looser, never unproven.
    """
    with single_threaded():
        node = root_node(matrix, request)
        return proof_by_leaves(matrix, [node.leaf], node.found)


@dataclass(frozen=True, eq=False)
class RootNode:
    """What the search without branching found.

    Attributes:
        leaf: the best proof.
        found: good u, int8 (·, d), best first.
        unit: what one unit of the relaxation is, in units of G.
        part: the last state of the relaxation; None for G = 0.
    """

    leaf: Leaf
    found: SignMatrix
    unit: float
    part: Part | None


def root_node(matrix: IntegerMatrix, request: Request) -> RootNode:
    """Rounds of cuts on all sign pairs until they gain nothing.

    Args:
        matrix: G, int64 (d, d), as `checked_matrix` gives it.
        request: what is asked of the bound.
    """
    floating = matrix.astype(np.float64)
    fixed = np.zeros(len(matrix), dtype=np.int8)
    limit = request.time_limit
    deadline = math.inf if limit is None else time.monotonic() + limit
    relaxed = semidefinite_norm(floating, time_limit=limit)
    found = sign_candidates(floating, relaxed.vectors, request.start)
    best, cuts = prove_leaf(matrix, no_cuts(), np.empty(0), fixed), no_cuts()
    unit = relaxed.bound / len(matrix)
    if not unit > 0:
        return RootNode(Leaf(fixed, best, cuts), found, 1.0, None)
    relaxation = CutRelaxation(
        FixedMatrix(floating / unit),
        np.empty(0),
        [Part(fixed, relaxed.multipliers / unit, (relaxed.positive, relaxed.negative))],
    )
    (part,) = relaxation.parts
    bounds = [best.bound]
    for number in range(ROUNDS):
        if time.monotonic() > deadline:
            break
        largest = 3 if number < TRIANGLES_ONLY else 7
        relaxation.improve(largest=largest, deadline=deadline)
        # A cut of the relaxation counts pairs once, a square counts them twice.
        proof = prove_leaf(matrix, part.cuts, part.weights * unit / 2, fixed)
        if proof.bound < best.bound:
            best, cuts = proof, part.cuts
        bounds.append(best.bound)
        found = sign_candidates(floating, unit_vectors(*part.blocks), found)
        attained = int(np.abs(found[0].astype(np.int64) @ matrix).sum())
        above = f"{best.bound / attained - 1:.3%}"
        figures: dict[str, float | str] = {"cuts": len(part.cuts), "above the norm": above}
        request.progress(ProgressEvent("cutting planes", number, None, figures))
        if best.bound <= attained * (1 + ENOUGH):
            break
        stalled = bounds[-1 - PATIENCE :][0] - best.bound <= STALLED * best.bound
        if stalled and number > TRIANGLES_ONLY + PATIENCE:
            break
    return RootNode(Leaf(fixed, best, cuts), found, unit, part)


def proof_by_leaves(matrix: IntegerMatrix, leaves: Sequence[Leaf], known: SignMatrix) -> NormProof:
    """What leaves that are disjoint and together everything prove of the norm.

    Args:
        matrix: G, int64 (d, d).
        leaves: the leaves.
        known: good u, int8 (k, d), k ≥ 1.
    """
    tree = tree_of(leaves)
    attained, candidates = best_pair(matrix, known)
    return NormProof(
        norm_bound=tree.norm_bound,
        multipliers=None,
        method=tree.method,
        attained=attained,
        candidates=candidates[:CANDIDATES],
        tree=tree,
    )


def sign_candidates(
    matrix: FloatArray, vectors: tuple[FloatArray, FloatArray], known: SignMatrix | None
) -> SignMatrix:
    """Good sign vectors from the vectors of a relaxation and those known, best first."""
    left, _ = hyperplane_signs(*vectors, SAMPLES, np.random.default_rng(0))
    found = sign_ascent(matrix, left)
    if known is not None and known.size:
        found = np.vstack([found, known])
    return ranked(matrix, found)


def ranked(matrix: FloatArray | IntegerMatrix, found: SignMatrix) -> SignMatrix:
    """The best of some u, (k, d), distinct up to sign and best first."""
    found = np.unique(found * found[:, :1], axis=0)
    values = np.abs(found.astype(np.float64) @ matrix).sum(axis=1)
    return found[np.argsort(-values, kind="stable")[: 2 * CANDIDATES]]
