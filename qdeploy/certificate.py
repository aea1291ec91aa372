"""What a trained model claims, and all that is needed to prove it again from the data.

For output k with integer inputs X (n, d) (the constant input last), targets y and loss L:

    objective = L(f(X), y) + λ Σ|α|        of the deployed integer network
    bound     ≤ min over every width, every ±1 u, v, real α and b of the same expression

The bound is the dual value at t·r, where r are the stored integers, N ≥ max |uᵀ Xᵀdiag(r)X v| is
the proven norm bound and t any number with t·N·step² ≤ λ (weak duality; docs/certificate.md).
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qdeploy.activation import Activation
from qdeploy.cut_proof import CutProof

__all__ = [
    "Certificate",
    "OutputCertificate",
    "ProofMethod",
    "SharedProof",
    "SideProof",
    "dataset_digest",
    "loosest",
]

ProofMethod = Literal["sdp", "cutting-planes", "branch-and-bound", "enumeration"]
"""From the loosest to the tightest."""


@dataclass(frozen=True, eq=False)
class SideProof:
    """An upper bound on qᵀMq over signs q, by a norm bound of P = M + shift·I.

    Attributes:
        shift: integer added to the diagonal.
        largest: the bound; |uᵀPv| ≤ largest + shift·D for all signs u, v.
        multipliers: as in `OutputCertificate`, for P.
        tree: likewise.
    """

    shift: int
    largest: int
    multipliers: NDArray[np.int64] | None
    tree: CutProof | None = None

    @property
    def method(self) -> ProofMethod:
        """How the norm of P was bounded."""
        return _method(self.multipliers, self.tree)


@dataclass(frozen=True, eq=False)
class OutputCertificate:
    """The proof for one output.

    Attributes:
        objective: objective of the deployed network for this output, rounded up.
        bound: proven lower bound on the optimum of any width, rounded down.
        norm_bound: integer N with |uᵀGv| ≤ N for all u, v in {±1}^d, G = Xᵀdiag(r)X.
        residual: r, int32 (n,).
        multipliers: z, int64 (d,), with Diag(z) ± G positive semidefinite and Σz = N; None when N
            was proven another way.
        tree: the proof of N by cutting planes, on one leaf or several; None when N was proven
            another way. With neither, N was found by enumeration.
        sides: of neurons of one sum: proofs of qᵀMq ≤ N and of -qᵀMq ≤ N, M twice the form that
            the activation makes of G; None where multipliers, tree or enumeration prove both.
    """

    objective: float
    bound: float
    norm_bound: int
    residual: NDArray[np.int32]
    multipliers: NDArray[np.int64] | None
    tree: CutProof | None = None
    sides: tuple[SideProof, SideProof] | None = None

    @property
    def method(self) -> ProofMethod:
        """How N was proven; of two sides the one whose bound decides."""
        if self.sides is not None:
            most = max(side.largest for side in self.sides)
            return loosest(side.method for side in self.sides if side.largest == most)
        return _method(self.multipliers, self.tree)


@dataclass(frozen=True, eq=False)
class SharedProof:
    """The proof for outputs whose neurons are shared, at the price λ Σ_j ‖a_j‖₂.

    The norm bound N of every output is then one of all of them, ‖(uᵀG_k v)_k‖₂ ≤ N, and an
    output's objective is its loss and its share λ Σ_j a_jk²/‖a_j‖₂ of the price.

    Attributes:
        left: z, int64 (d,).
        right: Z, int64 (d, K, K), symmetric; [[Diag(z), G], [Gᵀ, B]] with G = [G_1 … G_K] and
            B_(k,i)(l,i) = (Z_i)_kl is positive semidefinite, and Σz + Σ_i wᵀZ_i w ≤ 2N for every
            unit vector w.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Certificate:
    """The proof for a whole model: sums over the outputs.

    Attributes:
        method: how every norm bound was proven; the loosest method of the outputs.
        loss: name of the loss.
        beta: penalty as the user states it.
        penalty: λ = beta · d with d the inputs including the constant one.
        input_step: value of one integer input step in the units of the objective, a power of two.
        constant: κ, the integer appended to every input as the constant one.
        data_digest: SHA-256 of the quantised training inputs, targets and weights
            (`dataset_digest`).
        outputs: one proof an output.
        activation: of neurons of one sum, as deployed; None for products of two sums.
        weights: name of the alphabet of u and v.
        penalty_kind: what |α| of a neuron is multiplied with in the penalty: "count", the square of
            the largest weight of the alphabet; "size", ‖u‖₂‖v‖₂/d.
        shared: the norm's proof where the outputs share their neurons at one price; None where the
            price is λ Σ|α| and every output has its own proof.
    """

    method: ProofMethod
    loss: str
    beta: float
    penalty: float
    input_step: float
    constant: int
    data_digest: str
    outputs: tuple[OutputCertificate, ...]
    activation: Activation | None = None
    weights: str = "binary"
    penalty_kind: Literal["count", "size"] = "count"
    shared: SharedProof | None = None

    @property
    def objective(self) -> float:
        """Objective of the deployed network, rounded up."""
        return math.nextafter(math.fsum(o.objective for o in self.outputs), math.inf)

    @property
    def bound(self) -> float:
        """Proven lower bound on the objective of any network of this kind, rounded down."""
        return math.nextafter(math.fsum(o.bound for o in self.outputs), -math.inf)

    @property
    def gap(self) -> float:
        """(objective - bound) / objective, rounded up; 0 for an objective of 0."""
        if self.objective <= 0:
            return 0.0
        gap = 1 - Fraction(self.bound) / Fraction(self.objective)
        return math.nextafter(float(gap), math.inf)


def _method(multipliers: NDArray[np.int64] | None, tree: CutProof | None) -> ProofMethod:
    if multipliers is not None:
        return "sdp"
    return "enumeration" if tree is None else tree.method


def loosest(methods: Iterable[ProofMethod]) -> ProofMethod:
    """The method that stands for several outputs."""
    order: tuple[ProofMethod, ...] = get_args(ProofMethod)
    return min(methods, key=order.index)


def dataset_digest(
    inputs: NDArray[np.int8],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> str:
    """SHA-256 that ties a certificate to its training data.

    Args:
        inputs: quantised inputs, int8 (n, d), without the constant one.
        targets: training targets, float64 (n, K): ±1 for classes, standardised values otherwise.
        weights: of the rows, float64 (n,), or None.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{inputs.shape} {targets.shape}".encode())
    digest.update(np.ascontiguousarray(inputs, dtype="i1").tobytes())
    digest.update(np.ascontiguousarray(targets, dtype="<f8").tobytes())
    if weights is not None:
        digest.update(b"weights")
        digest.update(np.ascontiguousarray(weights, dtype="<f8").tobytes())
    return digest.hexdigest()
