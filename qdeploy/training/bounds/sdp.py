"""The semidefinite bound Σz with Diag(z) ⪰ ±G, proven for integers z; any dimension."""

import time

import numpy as np

from qdeploy.training.bounds import (
    BoundCapability,
    IntegerMatrix,
    NormProof,
    Request,
    best_pair,
    norm_bound,
)
from qdeploy.training.bounds.definiteness import is_proven_semidefinite
from qdeploy.training.bounds.interior_point import semidefinite_norm
from qdeploy.training.rounding import hyperplane_signs, sign_ascent

__all__ = ["prove_by_sdp"]

GAP = 5e-7
"""Relative gap at which the relaxation counts as solved."""

SHARE_OF_MEAN = 2e-6
SHARE_OF_LARGEST = 2e-7
"""Every multiplier is raised by these shares of the mean and of the largest one: room for a checker
that proves definiteness by coarser means, such as a Cholesky factor rounded to integers."""

FIRST_LIFT = 1e-9
"""Share of the mean multiplier added where the proof fails, growing fourfold until it succeeds."""

SAMPLES = 256
CANDIDATES = 64


@norm_bound("sdp", BoundCapability(None, exact=False))
def prove_by_sdp(matrix: IntegerMatrix, request: Request) -> NormProof:
    """Solve the relaxation, then raise z until integers are proven; see `NormBound.prove`.

    At most π / (2 ln(1 + √2)) ≈ 1.783 times the norm; usually within a third of it. A time limit
    makes the bound looser, never unproven.
    """
    floating = matrix.astype(np.float64)
    began, limit = time.monotonic(), request.time_limit
    relaxed = semidefinite_norm(
        floating, tolerance=GAP, time_limit=limit, progress=request.progress
    )
    multipliers = _proven_multipliers(matrix, relaxed.multipliers)
    expired = limit is not None and time.monotonic() - began > limit
    generator = np.random.default_rng(0)
    left, _ = hyperplane_signs(*relaxed.vectors, CANDIDATES if expired else SAMPLES, generator)
    found = sign_ascent(floating, left, steps=1 if expired else 60)
    found = request.known(found)
    # Exact values cost an integer matrix product: only for those that look best.
    looks = np.abs(found.astype(np.float64) @ floating).sum(axis=1)
    found = found[np.argsort(-looks, kind="stable")[: 2 * CANDIDATES]]
    attained, candidates = best_pair(matrix, found)
    return NormProof(
        norm_bound=int(multipliers.sum()),
        multipliers=multipliers,
        method="sdp",
        attained=attained,
        candidates=candidates[:CANDIDATES],
    )


def _proven_multipliers(matrix: IntegerMatrix, approximate: np.ndarray) -> IntegerMatrix:
    """Integers z close above the approximate ones, with Diag(z) ± G proven semidefinite."""
    if not matrix.any():
        return np.zeros(matrix.shape[0], dtype=np.int64)
    mean = float(approximate.mean())
    # Proven as they are, without the room for the checker, which is added on top.
    room = SHARE_OF_MEAN * mean + SHARE_OF_LARGEST * float(approximate.max())
    dominant = np.abs(matrix).sum(axis=1)
    lift = 0.0
    while True:
        multipliers = np.ceil(approximate + lift).astype(np.int64)
        if is_proven_semidefinite(multipliers, matrix) and is_proven_semidefinite(
            multipliers, -matrix
        ):
            break
        lift = 4 * lift if lift else FIRST_LIFT * mean
        if lift * matrix.shape[0] > dominant.sum():
            # z_i = Σ_j |G_ij| needs no proof beyond Gershgorin's theorem.
            multipliers = dominant
            break
    return multipliers + int(np.ceil(room))
