"""The norm bound of one output, proven by the means that its certificate names."""

import numpy as np
from numpy.typing import NDArray

from qdeploy.checker.activation import SideClaims, form_matrix, shifted
from qdeploy.checker.claims import Claims, OutputClaims
from qdeploy.checker.cutting_planes import TreeClaims, covers_everything, leaf_bound
from qdeploy.checker.definiteness import is_certainly_semidefinite, required_margin
from qdeploy.checker.enumeration import LARGEST_DIMENSION, fits_walk, largest_bilinear_value
from qdeploy.checker.errors import RefutationError
from qdeploy.checker.exact import residual_gram
from qdeploy.progress import Progress, ProgressEvent

__all__ = ["gram_of", "prove_norm"]


def prove_norm(
    claims: Claims,
    output: OutputClaims,
    lifted: NDArray[np.int64],
    name: str,
    stage: str,
    progress: Progress,
) -> int:
    """A proven N, no larger than the claimed one."""
    gram = gram_of(lifted, output.residual, name)
    if claims.activation is None:
        return _prove_bilinear(output, gram, name, stage, progress)
    # The form is that of the activation only for a residual that sums to zero.
    if output.residual.astype(object).sum() != 0:
        raise RefutationError(f"{name}: the residual does not sum to zero")
    form = form_matrix(gram, lifted, output.residual, claims.activation)
    if output.sides is None:
        return _prove_bilinear(output, form, name, stage, progress)
    largest = 0
    for number, (sign, side) in enumerate(zip((1, -1), output.sides, strict=True), start=1):
        matrix, where = shifted(form, sign, side.shift), f"{name}, side {number}"
        norm = _prove_bilinear(side, matrix, where, stage, progress)
        largest = max(largest, norm - side.shift * len(form))
    if largest > output.norm:
        raise RefutationError(
            f"{name}: the two sides prove {largest}, above the norm bound {output.norm}"
        )
    return largest


def gram_of(lifted: NDArray[np.int64], residual: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """G of a residual, exactly."""
    try:
        return residual_gram(lifted, residual)
    except ValueError as error:
        raise RefutationError(f"{name}: too many rows to be checked, {error}") from error


def _prove_bilinear(
    output: OutputClaims | SideClaims,
    gram: NDArray[np.int64],
    name: str,
    stage: str,
    progress: Progress,
) -> int:
    """A proven N ≥ |uᵀGv| for all signs, no larger than the claimed one."""
    if output.tree is not None:
        return _prove_tree(output.tree, gram, output.norm, name, stage, progress)
    if output.multipliers is None:
        if len(gram) > LARGEST_DIMENSION or not fits_walk(gram):
            raise RefutationError(
                f"{name}: a proof by enumeration is for at most {LARGEST_DIMENSION} inputs and for "
                f"sums within 64 bits; there are {len(gram)} inputs"
            )
        norm = largest_bilinear_value(
            gram, ceiling=output.norm, stage=f"{stage} by enumeration", progress=progress
        )
        if norm > output.norm:
            raise RefutationError(
                f"{name}: the norm bound {output.norm} is false, some signs u, v give {norm}"
            )
        return norm
    norm = sum(output.multipliers)
    if norm > output.norm:
        raise RefutationError(
            f"{name}: the multipliers sum to {norm}, above the norm bound {output.norm}"
        )
    for sign in (1, -1):
        if not is_certainly_semidefinite(output.multipliers, gram, sign):
            margin = required_margin(output.multipliers)
            raise RefutationError(
                f"{name}: Diag(z) {'+' if sign > 0 else '-'} G is not positive semidefinite, or "
                f"its smallest eigenvalue is below the {margin:.3g} that the proof needs"
            )
    return norm


def _prove_tree(
    tree: TreeClaims,
    gram: NDArray[np.int64],
    claimed: int,
    name: str,
    stage: str,
    progress: Progress,
) -> int:
    """The largest bound of the leaves, no larger than the claimed one."""
    if not covers_everything(tree.fixed):
        raise RefutationError(f"{name}: the leaves of the tree leave signs out or overlap")
    norm, leaves = 0, len(tree.fixed)
    for leaf in range(leaves):
        progress(ProgressEvent(f"{stage} by cutting planes", float(leaf), float(leaves)))
        norm = max(norm, leaf_bound(tree, leaf, gram, name))
        if norm > claimed:
            raise RefutationError(
                f"{name}: leaf {leaf + 1} proves only {norm}, above the norm bound {claimed}"
            )
    return norm
