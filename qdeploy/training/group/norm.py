"""The norm of several matrices at once: max ‖(uᵀG_k v)_k‖₂ over signs, relaxed, and its proof.

It is the maximum of uᵀG(w⊗v) over unit vectors w, G = [G_1 … G_K]. If

    [[Diag(z), G], [Gᵀ, B]]  is positive semidefinite,   B_(k,i)(l,i) = (Z_i)_kl, zero elsewhere,

then 2 uᵀG(w⊗v) ≤ Σz + Σ_i wᵀZ_i w ≤ Σz + τ with τ the largest eigenvalue of Σ_i Z_i. The smallest
such bound is the dual of  max Σ_i ⟨B_i, P_i⟩  over unit vectors A_i and B_i = W·O_i with
orthonormal rows O_i and ‖W‖_F = 1, P_i = ((G_kA)_i)_k; every block is solved exactly in turn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.training.bounds.definiteness import is_proven_semidefinite
from qdeploy.training.losses import FloatArray

__all__ = [
    "GroupNorm",
    "GroupProof",
    "block_matrix",
    "norm_bound_of",
    "prove_group_norm",
    "relax_group_norm",
]

ITERATIONS = 300
TOLERANCE = 1e-8
"""Relative growth an iteration at which the relaxation counts as solved."""
NULL = 1e-9
"""Outputs' directions in which G is below this share of the largest are left out (one-hot targets
leave residuals that sum to zero over the outputs)."""
BARRIER = 1e-6
"""μ in units of ‖S‖_F: small against what a bound loses by it, large against rounding."""
SHIFTS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)
"""Shares of the mean added to z and Z, of which the best bound decides; cheap for a flat row."""
LIFTS = (2e-6, 1e-5, 1e-4, 1e-3)
"""Shares by which the multipliers exceed those needed; room for rounding and for a checker."""


@dataclass(frozen=True, eq=False)
class GroupNorm:
    """The relaxation solved.

    Attributes:
        bound: ½(Σz + τ), valid to floating-point accuracy.
        left: z, float64 (d,).
        right: Z, float64 (d, K, K).
        first: A, unit rows, float64 (d, r).
        second: B, float64 (d, K, r).
    """

    bound: float
    left: FloatArray
    right: FloatArray
    first: FloatArray
    second: FloatArray


@dataclass(frozen=True, eq=False)
class GroupProof:
    """A proven bound for integer matrices.

    Attributes:
        norm_bound: N ≥ ‖(uᵀG_k v)_k‖ for all signs.
        left: z, int64 (d,).
        right: Z, int64 (d, K, K), symmetric.
    """

    norm_bound: int
    left: NDArray[np.int64]
    right: NDArray[np.int64]


def relax_group_norm(
    matrices: FloatArray,
    generator: np.random.Generator,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
    rank: int | None = None,
) -> GroupNorm:
    """Solve the relaxation.

    Args:
        matrices: G, float64 (K, d, d), symmetric.
        generator: of the starting point.
        iterations: at most so many.
        tolerance: relative growth at which to stop.
        rank: length r of the vectors; by default one at which a solution exists, below which the
            ascent may end in a worse point.
    """
    count, dimension, _ = matrices.shape
    size = float(np.abs(matrices).max())
    spread = np.einsum("kij,lij->kl", matrices / (size or 1), matrices / (size or 1))
    values, basis = np.linalg.eigh(spread)
    basis = basis[:, values > NULL * values[-1]]
    width = basis.shape[1]
    if not width:
        zero = np.zeros((dimension, count, count))
        return GroupNorm(0.0, np.zeros(dimension), zero, zero[:, 0, :1], zero[:, :, :1])
    turned = np.einsum("kl,kij->lij", basis, matrices / size)
    first, second, left, right = _ascend(turned, generator, iterations, tolerance, rank)
    bound, left, right = _feasible(turned, left, right)
    # What exceeds Σ Z_i up to τ, the left-out directions included, is free.
    whole = np.einsum("kl,ilm,nm->ikn", basis, right, basis)
    total = whole.sum(axis=0)
    whole += (float(np.linalg.eigvalsh(total)[-1]) * np.eye(count) - total) / dimension
    return GroupNorm(
        bound * size, left * size, whole * size, first, np.einsum("kl,ilr->ikr", basis, second)
    )


def _ascend(
    matrices: FloatArray,
    generator: np.random.Generator,
    iterations: int,
    tolerance: float,
    rank: int | None,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """A, B, and the multipliers z, Z that their optimality conditions give."""
    count, dimension, _ = matrices.shape
    # The square root of twice the number of constraints: a solution of this rank exists.
    rank = rank or int(np.sqrt(dimension * (count * (count + 1) + 2))) + 1
    first = generator.standard_normal((dimension, max(rank, count)))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    weight = np.eye(count) / np.sqrt(count)
    tiny = np.finfo(np.float64).tiny
    before = 0.0
    for _ in range(iterations):
        pull = np.matmul(matrices, first).transpose(1, 0, 2)
        turned = np.matmul(weight.T, pull)
        values, vectors = np.linalg.eigh(np.matmul(turned, turned.transpose(0, 2, 1)))
        roots = np.sqrt(np.maximum(values, 0.0))
        inverse = np.where(roots > 1e-10 * roots.max(), 1 / np.maximum(roots, tiny), 0.0)
        polar = np.matmul((vectors * inverse[:, None, :]) @ vectors.transpose(0, 2, 1), turned)
        stretch = (vectors * roots[:, None, :]) @ vectors.transpose(0, 2, 1)
        weight = _weight(np.einsum("ikr,ilr->kl", pull, polar))
        second = np.matmul(weight, polar)
        image = np.matmul(matrices, second.transpose(1, 0, 2)).sum(axis=0)
        left = np.linalg.norm(image, axis=1)
        first = image / np.maximum(left, tiny)[:, None]
        value = float(left.sum())
        if value - before <= tolerance * value:
            break
        before = value
    back = np.linalg.inv(weight)
    return first, second, left, np.matmul(np.matmul(back.T, stretch), back)


def _weight(pull: FloatArray) -> FloatArray:
    """W that maximises ⟨W, S⟩ + μ log det W at ‖W‖_F = 1, for S = Σ_i P_iO_iᵀ.

    Where few directions of the outputs attain the norm, S is singular; the multipliers of the
    others would be undetermined without the barrier.
    """
    outer, sizes, inner = np.linalg.svd(pull)
    # σ = (s + √(s² + 4τμ))/2τ, and Σσ² = 1 at a τ a little above ‖s‖.
    top = max(float(np.linalg.norm(sizes)), np.finfo(np.float64).tiny)
    barrier = BARRIER * top
    for _ in range(4):
        stretched = (sizes + np.sqrt(sizes**2 + 4 * barrier * top)) / 2
        top = float(np.linalg.norm(stretched))
    weight: FloatArray = (outer * (stretched / top)) @ inner
    return weight


def _feasible(
    matrices: FloatArray, left: FloatArray, right: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """The best bound of multiples of z and Z, raised a little, and these."""
    count, dimension, _ = matrices.shape
    across = matrices.transpose(1, 0, 2)
    level = float(np.trace(right, axis1=1, axis2=2).mean()) / count
    found = []
    for shift in SHIFTS:
        diagonal = left + shift * float(left.mean())
        values, vectors = np.linalg.eigh(right + shift * level * np.eye(count))
        if values.min() <= 0 or diagonal.min() <= 0:
            continue
        blocks = (vectors * values[:, None, :]) @ vectors.transpose(0, 2, 1)
        roots = (vectors / np.sqrt(values)[:, None, :]) @ vectors.transpose(0, 2, 1)
        scaled = np.einsum("ikj,jkl->ijl", across, roots).reshape(dimension, -1)
        scaled /= np.sqrt(diagonal)[:, None]
        factor = float(np.sqrt(np.linalg.eigvalsh(scaled @ scaled.T)[-1]))
        size, top = float(diagonal.sum()), float(np.linalg.eigvalsh(blocks.sum(axis=0))[-1])
        balance = np.sqrt(top / size)
        bound = factor * np.sqrt(size * top)
        found.append((bound, factor * balance * diagonal, factor / balance * blocks))
    return min(found, key=lambda entry: entry[0])


def prove_group_norm(matrices: NDArray[np.int64], generator: np.random.Generator) -> GroupProof:
    """An upper bound that holds exactly.

    Args:
        matrices: G, int64 (K, d, d), symmetric, below 2^52 in magnitude.
        generator: of the relaxation's starting point.
    """
    count, dimension, _ = matrices.shape
    if not matrices.any():
        zeros = np.zeros((dimension, count, count), dtype=np.int64)
        return GroupProof(0, np.zeros(dimension, dtype=np.int64), zeros)
    relaxed = relax_group_norm(matrices.astype(np.float64), generator)
    eye = np.eye(count)
    mean = float(relaxed.left.mean())
    for lift in LIFTS:
        left = np.ceil(relaxed.left * (1 + lift) + lift * mean).astype(np.int64)
        raised = relaxed.right * (1 + lift) + lift * mean * eye + count * eye
        upper = np.triu(np.rint(raised)).astype(np.int64)
        right = upper + np.triu(upper, 1).transpose(0, 2, 1)
        whole = block_matrix(matrices, right)
        diagonal = np.concatenate([left, np.zeros(count * dimension, dtype=np.int64)])
        if is_proven_semidefinite(diagonal, whole):
            return GroupProof(norm_bound_of(left, right), left, right)
    # Gershgorin: sums of magnitudes along the rows of the block matrix.
    left = np.abs(matrices).sum(axis=(0, 2))
    rows = np.abs(matrices).sum(axis=2).T
    right = (rows[:, :, None] * np.eye(count, dtype=np.int64)).astype(np.int64)
    return GroupProof(norm_bound_of(left, right), left, right)


def norm_bound_of(left: NDArray[np.int64], right: NDArray[np.int64]) -> int:
    """N = ⌈½(Σz + τ)⌉, τ by Gershgorin's theorem on Σ_i Z_i."""
    total = [[sum(entry) for entry in row] for row in right.transpose(1, 2, 0).tolist()]
    top = max(row[k] + sum(map(abs, row)) - abs(row[k]) for k, row in enumerate(total))
    return -(-(sum(left.tolist()) + top) // 2)


def block_matrix(matrices: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """[[0, G], [Gᵀ, B]], int64 ((K + 1)d, (K + 1)d)."""
    count, dimension, _ = matrices.shape
    whole = np.zeros((count + 1, dimension, count + 1, dimension), dtype=np.int64)
    whole[0, :, 1:] = matrices.transpose(1, 0, 2)
    whole[1:, :, 0] = matrices
    every = np.arange(dimension)
    whole[1:, every, 1:, every] = right
    return whole.reshape((count + 1) * dimension, -1)
