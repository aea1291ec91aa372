"""Proven upper bounds on ‖G‖_{∞→1} = max |uᵀGv| over sign vectors, for an exact integer G.

One module a bound. A bound that comes out of here holds in exact arithmetic, whatever rounding
happened on the way: it is what makes a residual a certificate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import ProofMethod
from qdeploy.cut_proof import CutProof
from qdeploy.errors import QDeployError
from qdeploy.progress import Progress, silent
from qdeploy.registry import Registry

__all__ = [
    "BoundCapability",
    "IntegerMatrix",
    "NormBound",
    "NormProof",
    "Request",
    "SignMatrix",
    "SignPair",
    "TimeLimitReached",
    "best_pair",
    "checked_matrix",
    "exact_bound",
    "norm_bound",
    "norm_bounds",
]

IntegerMatrix = NDArray[np.int64]
SignMatrix = NDArray[np.int8]

LARGEST_SUM = 2**62
"""Σ|G_ij| stays below this, so that no integer sum over entries of G overflows."""


class TimeLimitReached(QDeployError):  # noqa: N818 (it is an outcome as much as an error)
    """The bound could not be proven within the time limit."""


@dataclass(frozen=True)
class BoundCapability:
    """What a bound can do.

    Attributes:
        largest_dimension: largest d, or None without a limit.
        exact: the bound is the norm itself, up to a relative slack of about 1e-6.
    """

    largest_dimension: int | None
    exact: bool

    def covers(self, dimension: int) -> bool:
        """Whether a (d, d) matrix is within reach."""
        return self.largest_dimension is None or dimension <= self.largest_dimension


@dataclass(frozen=True, eq=False)
class SignPair:
    """Signs and the value that they attain exactly.

    Attributes:
        left: u, int8 (d,).
        right: v, int8 (d,).
        value: uᵀGv ≥ 0, a lower bound on the norm.
    """

    left: SignMatrix
    right: SignMatrix
    value: int


@dataclass(frozen=True, eq=False)
class NormProof:
    """An upper bound on the norm, and the best signs that were met while proving it.

    Attributes:
        norm_bound: N with |uᵀGv| ≤ N for all signs.
        multipliers: z, int64 (d,), with Diag(z) ± G positive semidefinite and Σz = N, or None when
            the bound was found another way.
        method: how it was proven.
        attained: the best sign pair known.
        candidates: distinct good u, int8 (k, d), best first; v follows as sign(Gu).
        tree: the proof by cutting planes, on one leaf or several, where it is that.
    """

    norm_bound: int
    multipliers: IntegerMatrix | None
    method: ProofMethod
    attained: SignPair
    candidates: SignMatrix
    tree: CutProof | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked of a bound, besides the matrix.

    Attributes:
        progress: told of the work done.
        time_limit: seconds, or None.
        start: known good u, int8 (k, d); they can only improve `attained` and `candidates`.
        enough: a bound this small need not be made smaller, where that would take time.
    """

    progress: Progress = silent
    time_limit: float | None = None
    start: SignMatrix | None = None
    enough: int = 0

    def known(self, found: SignMatrix) -> SignMatrix:
        """Sign vectors that were found, and those known before."""
        return (
            found if self.start is None or not self.start.size else np.vstack([found, self.start])
        )


Proof = Callable[[IntegerMatrix, Request], NormProof]


@dataclass(frozen=True, eq=False)
class NormBound:
    """One way to prove a norm bound.

    Attributes:
        name: of it.
        capability: what it can do.
        proof: takes a checked matrix and the request.
    """

    name: str
    capability: BoundCapability
    proof: Proof

    def prove(
        self,
        matrix: IntegerMatrix,
        *,
        progress: Progress = silent,
        time_limit: float | None = None,
        start: SignMatrix | None = None,
        enough: int = 0,
    ) -> NormProof:
        """Prove an upper bound on ‖G‖_{∞→1}.

        Args:
            matrix: G, int64 (d, d), symmetric, Σ|G_ij| < 2^62.
            progress: told of the work done.
            time_limit: seconds, or None.
            start: known good u, int8 (k, d); they can only improve `attained` and `candidates`.
            enough: a bound this small need not be made smaller, where that would take time.

        Raises:
            QDeployError: G is not such a matrix, or too large for this bound.
            TimeLimitReached: nothing was proven in time.
        """
        return self.proof(
            checked_matrix(matrix, self), Request(progress, time_limit, start, enough)
        )


norm_bounds: Registry[NormBound] = Registry("norm bound", "qdeploy.training.bounds")


def norm_bound(name: str, capability: BoundCapability) -> Callable[[Proof], Proof]:
    """Decorator that registers a function of a checked matrix and a request as a norm bound."""

    def enter(proof: Proof) -> Proof:
        norm_bounds.register(name)(NormBound(name, capability, proof))
        return proof

    return enter


def exact_bound(dimension: int) -> str | None:
    """Name of a norm bound that is exact in this dimension, if there is one."""
    exact = (
        bound.name
        for bound in norm_bounds.values()
        if bound.capability.exact and bound.capability.covers(dimension)
    )
    return next(exact, None)


def checked_matrix(matrix: IntegerMatrix, bound: NormBound) -> IntegerMatrix:
    """The matrix, int64 (d, d), C-ordered, after the checks that every bound needs.

    Raises:
        QDeployError: wrong type or shape, not symmetric, too large in dimension or entries.
    """
    given = np.ascontiguousarray(matrix)
    if given.dtype != np.int64 or given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise QDeployError(
            f"a norm bound takes a square int64 matrix, not {given.dtype} of shape {given.shape}"
        )
    if not given.size or not np.array_equal(given, given.T):
        raise QDeployError("a norm bound takes a symmetric, non-empty matrix; symmetrise it first")
    if not bound.capability.covers(given.shape[0]):
        raise QDeployError(
            f"the {bound.name} bound reaches dimension {bound.capability.largest_dimension}, not "
            f"{given.shape[0]}; use another of {', '.join(norm_bounds.names())}"
        )
    # |-2^63| is not an int64: compare before taking magnitudes. The float sum errs by far less
    # than the factor of two that is left to int64.
    if np.abs(given.astype(np.float64)).sum() >= LARGEST_SUM:
        raise QDeployError(
            "the entries of the matrix are too large for exact 64-bit sums; scale the residual down"
        )
    return given


def best_pair(matrix: IntegerMatrix, candidates: SignMatrix) -> tuple[SignPair, SignMatrix]:
    """The best of some sign vectors, and all of them, distinct and best first.

    Args:
        matrix: G, int64 (d, d), as `checked_matrix` gives it.
        candidates: u, int8 (k, d), k ≥ 1.

    Returns:
        The pair (u, sign(Gu)) of largest ‖Gu‖₁, and u up to sign without repetition.
    """
    fixed = np.unique(candidates * candidates[:, :1], axis=0)
    images = fixed.astype(np.int64) @ matrix
    values = np.abs(images).sum(axis=1)
    order = np.argsort(-values, kind="stable")
    best = int(order[0])
    right = np.where(images[best] < 0, -1, 1).astype(np.int8)
    return SignPair(fixed[best], right, int(values[best])), fixed[order]
