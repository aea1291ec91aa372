"""What a certificate claims, read with suspicion: every field may be missing, wrong or hostile."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import Certificate, ProofMethod, loosest
from qdeploy.checker.activation import (
    ActivationClaims,
    SideClaims,
    check_neurons,
    read_activation,
)
from qdeploy.checker.alphabets import WeightClaims, check_equal, read_weights
from qdeploy.checker.cutting_planes import TreeClaims, read_tree
from qdeploy.checker.errors import RefutationError
from qdeploy.checker.losses import LOSSES, ExactLoss
from qdeploy.checker.shared_outputs import SharedClaims, read_shared
from qdeploy.model import Model
from qdeploy.network import QuadraticLayer, ReadoutLayer

__all__ = ["Claims", "OutputClaims", "read_claims"]

LARGEST_FIGURE = 2.0**900
"""Larger objectives and bounds are refused, so that sums of them stay finite."""

LARGEST_NORM = 2**63 - 1
LARGEST_CONSTANT = 2**15 - 1
LARGEST_SHIFT = 2**61


@dataclass(frozen=True, eq=False)
class OutputClaims:
    """The claims for one output, of checked types and ranges (not yet of checked truth).

    Attributes:
        objective: claimed objective, finite.
        bound: claimed bound, finite.
        norm: claimed N ≥ 0.
        residual: r, int64 (n,), within int32.
        multipliers: z, d Python integers ≥ 0, or None for a proof without them.
        tree: a proof by cutting planes, or None. With neither, the proof is by enumeration.
        sides: of neurons of one sum, a proof for each sign of their form; None where the fields
            above prove both.
    """

    objective: float
    bound: float
    norm: int
    residual: NDArray[np.int64]
    multipliers: list[int] | None
    tree: TreeClaims | None
    sides: tuple[SideClaims, ...] | None

    @property
    def method(self) -> ProofMethod:
        """How N is to be proven; of two sides the one whose bound decides."""
        if self.sides is None:
            return _method(self.multipliers, self.tree)
        most = max(side.largest for side in self.sides)
        return loosest(
            _method(side.multipliers, side.tree) for side in self.sides if side.largest == most
        )


@dataclass(frozen=True, eq=False)
class Claims:
    """The claims of a whole certificate and the network they are about.

    Attributes:
        quadratic: neurons with weights of the alphabet and biases κ times those, or with such on
            the left side and the activation's factor of it on the right.
        readout: integer amplitudes and biases.
        scale: c > 0, exactly.
        penalty: λ ≥ 0, exactly.
        step: value of one integer input step, exactly.
        constant: κ.
        loss: the loss.
        digest: that of the training data.
        rows: number n of training rows.
        outputs: one for each output.
        activation: of neurons of one sum; None for products of two.
        weights: alphabet and penalty.
        shared: proof of the norm of outputs that share their neurons; None where each has its own.
    """

    quadratic: QuadraticLayer
    readout: ReadoutLayer
    scale: Fraction
    penalty: Fraction
    step: Fraction
    constant: int
    loss: ExactLoss
    digest: str
    rows: int
    outputs: tuple[OutputClaims, ...]
    activation: ActivationClaims | None
    weights: WeightClaims
    shared: SharedClaims | None = None

    @property
    def unit(self) -> Fraction:
        """Value of one unit of an integer neuron."""
        return self.step**2 if self.activation is None else self.activation.unit

    @property
    def norm_unit(self) -> Fraction:
        """Value of one unit of N: the form of an activation is doubled to be an integer one."""
        return self.step**2 if self.activation is None else self.activation.unit / 2


def read_claims(model: Model, certificate: object) -> Claims:
    """Check types, ranges and shapes, and that the network is of the certified family.

    Raises:
        RefutationError: something is not as a certificate has it.
    """
    if not isinstance(certificate, Certificate):
        raise RefutationError("it is not a certificate at all")
    constant = _integer(certificate.constant, "the constant input", 1, LARGEST_CONSTANT)
    activation = read_activation(certificate.activation)
    weights = read_weights(certificate.weights, certificate.penalty_kind)
    if activation is not None and weights != WeightClaims("binary", by_size=False):
        raise RefutationError("neurons of one sum have weights +1 and -1 and are counted")
    quadratic, readout = _family(model, constant, activation, weights)
    step = _number(certificate.input_step, "the input step")
    penalty = _number(certificate.penalty, "the penalty")
    beta = _number(certificate.beta, "beta")
    scale = _number(model.scale, "the scale of the scores")
    if min(step, scale) <= 0 or min(penalty, beta) < 0:
        raise RefutationError("the input step, the penalty, beta or the scale is negative or zero")
    if math.frexp(step)[0] != 0.5:
        raise RefutationError(f"the input step {step!r} is not a power of two")
    if constant * step != 1:
        raise RefutationError(f"the constant input, {constant} steps of {step!r}, is not one")
    lifted = quadratic.inputs + 1
    if not math.isclose(penalty, beta * lifted, rel_tol=1e-12):
        raise RefutationError(
            f"the penalty {penalty!r} is not beta times the number of inputs, {beta!r} · {lifted}"
        )
    loss = certificate.loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise RefutationError(f"the loss {_show(loss)} is not one of {', '.join(LOSSES)}")
    if not isinstance(certificate.data_digest, str):
        raise RefutationError("the digest of the training data is not a text")
    given = certificate.outputs
    if not isinstance(given, tuple | list) or len(given) != readout.width:
        raise RefutationError(f"there is not one proof for each of the {readout.width} outputs")
    size = lifted if activation is None else activation.size(lifted)
    outputs = tuple(
        _output(proof, f"output {number}", size) for number, proof in enumerate(given, start=1)
    )
    if activation is None and any(output.sides is not None for output in outputs):
        raise RefutationError("a proof of two sides is for neurons of one sum, not for products")
    if weights.needs_spectrum:
        for number, output in enumerate(outputs, start=1):
            check_equal(output.multipliers, f"output {number}")
    rows = len(outputs[0].residual)
    if any(len(output.residual) != rows for output in outputs):
        raise RefutationError("the residuals of the outputs differ in length")
    method = loosest(output.method for output in outputs)
    shared = None
    if certificate.shared is not None:
        shared, method = read_shared(certificate.shared, lifted, len(outputs)), "sdp"
        if activation is not None or weights != WeightClaims("binary", by_size=False):
            raise RefutationError("outputs share products of two sums, of weights +1 and -1, only")
        if any(output.method != "enumeration" for output in outputs):
            raise RefutationError("outputs that share their neurons have further proofs of a norm")
    if not isinstance(certificate.method, str) or certificate.method != method:
        raise RefutationError(
            f"the method is given as {_show(certificate.method)} but is {method!r}"
        )
    return Claims(
        quadratic=quadratic,
        readout=readout,
        scale=Fraction(scale),
        penalty=Fraction(penalty),
        step=Fraction(step),
        constant=constant,
        loss=LOSSES[loss],
        digest=certificate.data_digest,
        rows=rows,
        outputs=outputs,
        activation=activation,
        weights=weights,
        shared=shared,
    )


def _family(
    model: Model, constant: int, activation: ActivationClaims | None, alphabet: WeightClaims
) -> tuple[QuadraticLayer, ReadoutLayer]:
    layers = model.network.layers
    if len(layers) != 2:
        raise RefutationError(
            "the certificate is for one quadratic layer and a readout; "
            f"the model has {len(layers)} layers"
        )
    quadratic, readout = layers
    if not (isinstance(quadratic, QuadraticLayer) and isinstance(readout, ReadoutLayer)):
        raise RefutationError("the certificate is for a quadratic layer followed by a readout")
    sides = [
        ("left", quadratic.left, quadratic.left_bias),
        ("right", quadratic.right, quadratic.right_bias),
    ]
    if activation is not None:
        check_neurons(quadratic, activation)
        del sides[1]
    for side, weights, bias in sides:
        alphabet.check(side, weights, bias, constant)
    return quadratic, readout


def _output(proof: Any, name: str, lifted: int) -> OutputClaims:
    fields = ("objective", "bound", "norm_bound", "residual", "multipliers", "tree")
    if not all(hasattr(proof, field) for field in fields):
        raise RefutationError(f"{name}: the proof is incomplete")
    objective = _number(proof.objective, f"{name}: the objective")
    bound = _number(proof.bound, f"{name}: the bound")
    if max(abs(objective), abs(bound)) > LARGEST_FIGURE:
        raise RefutationError(f"{name}: objective or bound is beyond all reason")
    residual = _integers(proof.residual, f"{name}: the residual", -(2**31), 2**31 - 1)
    if not len(residual):
        raise RefutationError(f"{name}: the residual is empty")
    multipliers, tree = _norm_proof(proof, lifted, name)
    sides = _sides(getattr(proof, "sides", None), lifted, name)
    if sides is not None and (multipliers is not None or tree is not None):
        raise RefutationError(f"{name}: there are two proofs of the norm bound")
    return OutputClaims(
        objective=objective,
        bound=bound,
        norm=_integer(proof.norm_bound, f"{name}: the norm bound", 0, LARGEST_NORM),
        residual=residual,
        multipliers=multipliers,
        tree=tree,
        sides=sides,
    )


def _norm_proof(proof: Any, size: int, name: str) -> tuple[list[int] | None, TreeClaims | None]:
    """Multipliers or tree of a norm bound, of checked types and ranges."""
    multipliers = None
    if proof.multipliers is not None:
        multipliers = _integers(proof.multipliers, f"{name}: the multipliers", 0, LARGEST_NORM)
        if len(multipliers) != size:
            raise RefutationError(f"{name}: {len(multipliers)} multipliers for {size} inputs")
    if proof.tree is not None and multipliers is not None:
        raise RefutationError(f"{name}: there are two proofs of the norm bound")
    return (
        None if multipliers is None else multipliers.tolist(),
        None if proof.tree is None else read_tree(proof.tree, size, name),
    )


def _sides(sides: Any, size: int, name: str) -> tuple[SideClaims, ...] | None:
    if sides is None:
        return None
    fields = ("shift", "largest", "multipliers", "tree")
    if (
        not isinstance(sides, tuple | list)
        or len(sides) != 2
        or not all(hasattr(side, field) for side in sides for field in fields)
    ):
        raise RefutationError(f"{name}: there is not one proof for each of the two sides")
    read = []
    for number, side in enumerate(sides, start=1):
        where = f"{name}, side {number}"
        shift = _integer(side.shift, f"{where}: the shift", 0, LARGEST_SHIFT)
        largest = _integer(side.largest, f"{where}: the bound", -LARGEST_NORM, LARGEST_NORM)
        multipliers, tree = _norm_proof(side, size, where)
        read.append(SideClaims(shift, largest, largest + shift * size, multipliers, tree))
    return tuple(read)


def _method(multipliers: list[int] | None, tree: TreeClaims | None) -> ProofMethod:
    if multipliers is not None:
        return "sdp"
    if tree is None:
        return "enumeration"
    return "cutting-planes" if len(tree.fixed) == 1 else "branch-and-bound"


def _number(value: Any, name: str) -> float:
    if not isinstance(value, int | float | np.floating | np.integer) or isinstance(value, bool):
        raise RefutationError(f"{name} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RefutationError(f"{name} is not a finite number")
    return number


def _integer(value: Any, name: str, lowest: int, largest: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise RefutationError(f"{name} is not an integer")
    if not lowest <= int(value) <= largest:
        raise RefutationError(f"{name} is outside {lowest} to {largest}")
    return int(value)


def _integers(value: Any, name: str, lowest: int, largest: int) -> NDArray[np.int64]:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.ndim != 1:
        raise RefutationError(f"{name} is not a row of integers")
    if value.size and not lowest <= int(value.min()) <= int(value.max()) <= largest:
        raise RefutationError(f"{name} leaves the range {lowest} to {largest}")
    return value.astype(np.int64)


def _show(value: Any) -> str:
    """A short quotation of a value that may be anything."""
    return repr(value)[:40] if isinstance(value, str) else f"of type {type(value).__name__}"
