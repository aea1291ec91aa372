"""Outputs that share their neurons at the price λ Σ_j ‖a_j‖₂: shares of the price, one norm bound.

Σ_k r_k·f_k sums a_jᵀ(u_jᵀG_k v_j)_k over the neurons, at most N Σ_j ‖a_j‖ if ‖(uᵀG_k v)_k‖ ≤ N for
all signs. For a unit vector w, with G = [G_1 … G_K],

    2 uᵀG(w⊗v) ≤ uᵀDiag(z)u + (w⊗v)ᵀB(w⊗v) = Σz + wᵀTw,   T = Σ_i Z_i,  B_(k,i)(l,i) = (Z_i)_kl

if [[Diag(z), G], [Gᵀ, B]] is positive semidefinite (taken at (u, -w⊗v)); the largest eigenvalue of
T is at most the largest sum of magnitudes in a row (Gershgorin).
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.checker.definiteness import is_certainly_semidefinite
from qdeploy.checker.errors import RefutationError

__all__ = ["SharedClaims", "price_shares", "prove_shared_norm", "read_shared"]

LARGEST_MULTIPLIER = 2**62
LARGEST_PROOF = 6000
"""Rows of the block matrix up to which the check is made."""
ROOT_BITS = 128


@dataclass(frozen=True, eq=False)
class SharedClaims:
    """Multipliers of checked types, shapes and ranges.

    Attributes:
        left: z, int64 (d,), not negative.
        right: Z, int64 (d, K, K), each symmetric.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]


def read_shared(proof: Any, size: int, outputs: int) -> SharedClaims:
    """Check the proof of a certificate whose outputs share their neurons.

    Args:
        proof: whatever the certificate holds.
        size: d, the constant input included.
        outputs: K.

    Raises:
        RefutationError: it is not such a proof.
    """
    left, right = getattr(proof, "left", None), getattr(proof, "right", None)
    for value, shape in ((left, (size,)), (right, (size, outputs, outputs))):
        if (
            not isinstance(value, np.ndarray)
            or value.dtype.kind not in "iu"
            or value.shape != shape
            or not -LARGEST_MULTIPLIER < int(value.min()) <= int(value.max()) < LARGEST_MULTIPLIER
        ):
            raise RefutationError("the multipliers of the shared outputs are not such integers")
    assert isinstance(left, np.ndarray)
    assert isinstance(right, np.ndarray)
    if left.min() < 0 or not np.array_equal(right, right.transpose(0, 2, 1)):
        raise RefutationError("the multipliers of the shared outputs are negative or not symmetric")
    if (outputs + 1) * size > LARGEST_PROOF:
        raise RefutationError(
            f"the proof of {outputs} shared outputs on {size} inputs is too large to be checked"
        )
    return SharedClaims(left.astype(np.int64), right.astype(np.int64))


def prove_shared_norm(claims: SharedClaims, grams: list[NDArray[np.int64]], claimed: int) -> int:
    """A proven N ≥ ‖(uᵀG_k v)_k‖₂ for all signs, no larger than the claimed one.

    Raises:
        RefutationError: the proof does not hold, or shows less than is claimed.
    """
    size, outputs = len(claims.left), len(grams)
    total = np.zeros((outputs, outputs), dtype=object)
    for block in claims.right:
        total = total + block.astype(object)
    rows = [
        total[k, k] + sum(abs(total[k, m]) for m in range(outputs) if m != k)
        for k in range(outputs)
    ]
    twice = sum(claims.left.tolist()) + max(rows)
    norm = int(-(-twice // 2))
    if norm > claimed:
        raise RefutationError(
            f"the multipliers of the shared outputs prove {norm}, above the norm bound {claimed}"
        )
    whole = np.zeros(((outputs + 1) * size, (outputs + 1) * size), dtype=np.int64)
    for k, gram in enumerate(grams, start=1):
        whole[:size, k * size : (k + 1) * size] = gram
        whole[k * size : (k + 1) * size, :size] = gram.T
        for m in range(1, outputs + 1):
            place = np.arange(size)
            whole[k * size + place, m * size + place] = claims.right[:, k - 1, m - 1]
    diagonal = claims.left.tolist() + [0] * (outputs * size)
    if not is_certainly_semidefinite(diagonal, whole, 1):
        raise RefutationError(
            "the block matrix of the shared outputs is not positive semidefinite, or too close to "
            "the boundary for a proof"
        )
    return norm


def price_shares(amplitudes: NDArray[np.integer]) -> list[Fraction]:
    """Σ_j A_jk²/‖A_j‖₂ of every output k of integers (m, K), at most 2⁻¹²⁷ a neuron above.

    The shares add up to Σ_j ‖A_j‖₂.
    """
    shares = [0] * amplitudes.shape[1]
    for row in amplitudes.tolist():
        square = sum(a * a for a in row)
        if square:
            root = math.isqrt(square << 2 * ROOT_BITS)
            for k, a in enumerate(row):
                shares[k] -= -(a * a << 2 * ROOT_BITS) // root
    return [Fraction(share, 1 << ROOT_BITS) for share in shares]
