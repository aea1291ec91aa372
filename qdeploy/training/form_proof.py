"""Proven bounds on max |qᵀMq| over sign vectors q: each side by the norm of a shifted matrix.

For any shift, qᵀMq = qᵀ(M + cI)q - cD ≤ N - cD with N ≥ max |uᵀ(M + cI)v|. Once M + cI is
semidefinite nothing is lost: |uᵀPv|² ≤ uᵀPu · vᵀPv, so that the norm of a semidefinite P is
attained at u = v. Every norm bound thereby bounds quadratic forms, the exact ones exactly.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

from qdeploy.certificate import ProofMethod, SideProof, loosest
from qdeploy.progress import Progress, silent
from qdeploy.training.bounds import IntegerMatrix, NormProof, SignMatrix, norm_bounds

__all__ = ["FormProof", "prove_form"]

MARGIN = 1e-9
"""Share of the spectral radius by which a shift exceeds what rounding says is needed."""


CLOSE = 1 + 1e-5
"""A bound within this factor of a value that is attained need not be made smaller."""


@dataclass(frozen=True, eq=False)
class FormProof:
    """An upper bound on |qᵀMq|, and good q that were met while proving it.

    Attributes:
        norm_bound: N with |qᵀMq| ≤ N for all signs q.
        sides: the proofs for M and for -M.
        method: of the side that decides.
        candidates: q of both sides, int8 (k, D), the last sign +1.
    """

    norm_bound: int
    sides: tuple[SideProof, SideProof]
    method: ProofMethod
    candidates: SignMatrix


def prove_form(
    matrix: IntegerMatrix,
    method: str,
    *,
    progress: Progress = silent,
    time_limit: float | None = None,
    start: SignMatrix | None = None,
    enough: int = 0,
) -> FormProof:
    """Prove an upper bound on |qᵀMq|.

    Both sides get the semidefinite bound; a slower method goes on where that may matter: on the
    sides whose bound exceeds the largest value that is known to be attained.

    Args:
        matrix: M, int64 (D, D), symmetric.
        method: name of the norm bound to use.
        progress: told of the work done.
        time_limit: seconds, or None.
        start: known good q, int8 (k, D).
        enough: a bound this small need not be made smaller.

    Raises:
        QDeployError: M is too large for this bound.
        TimeLimitReached: nothing was proven in time.
    """
    deadline = math.inf if time_limit is None else time.monotonic() + time_limit
    values = np.linalg.eigvalsh(matrix.astype(np.float64))
    margin = MARGIN * float(np.abs(values).max())
    shifts = [max(math.ceil(margin - least), 0) for least in (values[0], -values[-1])]
    identity = np.eye(len(matrix), dtype=np.int64)
    shifted = [
        sign * matrix + shift * identity for sign, shift in zip((1, -1), shifts, strict=True)
    ]
    proofs = [
        norm_bounds["sdp"].prove(side, time_limit=time_limit, start=start) for side in shifted
    ]
    found = np.vstack([proof.candidates for proof in proofs])
    attained = int(np.abs(np.einsum("kd,kd->k", found.astype(np.int64) @ matrix, found)).max())
    for place, side in enumerate(shifted):
        room = shifts[place] * len(matrix)
        wanted = max(round(attained * CLOSE), enough)
        if method == "sdp" or proofs[place].norm_bound - room <= wanted:
            continue
        remaining = None if math.isinf(deadline) else max(deadline - time.monotonic(), 0.0)
        proofs[place] = norm_bounds[method].prove(
            side, progress=progress, time_limit=remaining, start=found, enough=wanted + room
        )
    return _form_proof(proofs, shifts, len(matrix))


def _form_proof(proofs: list[NormProof], shifts: list[int], size: int) -> FormProof:
    above, below = (
        SideProof(
            shift=shift,
            largest=proof.norm_bound - shift * size,
            multipliers=proof.multipliers,
            tree=proof.tree,
        )
        for proof, shift in zip(proofs, shifts, strict=True)
    )
    most = max(above.largest, below.largest)
    return FormProof(
        norm_bound=max(most, 0),
        sides=(above, below),
        method=loosest(side.method for side in (above, below) if side.largest == most),
        candidates=_last_fixed(np.vstack([proof.candidates for proof in proofs])),
    )


def _last_fixed(found: SignMatrix) -> SignMatrix:
    """Of q and -q, which have the same value, the one whose last sign is +1."""
    return found * found[:, -1:]
