"""The bound d·ν with ν·I ⪰ ±G: the largest |eigenvalue|, proven for an integer ν; any dimension.

It holds for all real weights, |uᵀGv| ≤ ν‖u‖‖v‖, and is the semidefinite bound with equal
multipliers: as loose over ±1 as that allows, but tight over the real weights.
"""

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
from qdeploy.training.rounding import sign_ascent, signs

__all__ = ["prove_by_spectral"]

ROOM = 1e-6
"""Share by which the proven ν is raised, for a checker that proves definiteness more coarsely."""

FIRST_LIFT = 1e-9
CANDIDATES = 16


@norm_bound("spectral", BoundCapability(None, exact=False))
def prove_by_spectral(matrix: IntegerMatrix, request: Request) -> NormProof:
    """Eigenvalues, then ν is raised until it is proven; see `NormBound.prove`.

    At most d times the largest eigenvalue; what the penalty on sizes is proven with.
    """
    floating = matrix.astype(np.float64)
    values, vectors = np.linalg.eigh(floating)
    order = np.argsort(-np.abs(values), kind="stable")[:CANDIDATES]
    radius = _proven_radius(matrix, float(np.abs(values).max()))
    found = sign_ascent(floating, signs(vectors[:, order].T))
    attained, candidates = best_pair(matrix, request.known(found))
    multipliers = np.full(len(matrix), radius, dtype=np.int64)
    return NormProof(
        norm_bound=int(multipliers.sum()),
        multipliers=multipliers,
        method="sdp",
        attained=attained,
        candidates=candidates,
    )


def _proven_radius(matrix: IntegerMatrix, approximate: float) -> int:
    """An integer ν close above the largest |eigenvalue|, with ν·I ± G proven semidefinite."""
    if not matrix.any():
        return 0
    dominant = int(np.abs(matrix).sum(axis=1).max())
    lift = 0.0
    while True:
        radius = int(np.ceil(approximate * (1 + lift)))
        if radius >= dominant:
            # max_i Σ_j |G_ij| needs no proof beyond Gershgorin's theorem.
            radius = dominant
            break
        equal = np.full(len(matrix), radius, dtype=np.int64)
        if is_proven_semidefinite(equal, matrix) and is_proven_semidefinite(equal, -matrix):
            break
        lift = 4 * lift if lift else FIRST_LIFT
    return radius + int(np.ceil(ROOM * radius))
