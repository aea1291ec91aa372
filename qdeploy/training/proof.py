"""Certificates of trained outputs: dual points in integers, values in exact rationals.

Nothing here is rounded but the last step, which rounds objectives up and bounds down.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import (
    Certificate,
    OutputCertificate,
    ProofMethod,
    SideProof,
    dataset_digest,
    loosest,
)
from qdeploy.cut_proof import CutProof
from qdeploy.network import QuadraticLayer, QuantizedNetwork
from qdeploy.progress import Progress, silent
from qdeploy.training.bounds import NormProof, SignMatrix, norm_bounds
from qdeploy.training.form_proof import FormProof, prove_form
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import CONSTANT, TrainingProblem
from qdeploy.training.readout import IntegerReadout

__all__ = [
    "DualPoint",
    "certificate_for",
    "certificate_of",
    "dual_point",
    "exact_objective",
    "norm_for",
    "prove_dual",
]


@dataclass(frozen=True, eq=False)
class DualPoint:
    """A proven lower bound on the optimum of any width.

    Attributes:
        value: the bound, exact.
        residual: r, int32 (n,).
        norm_bound: N, proven for G = Xᵀdiag(r)X.
        multipliers: proof of N where it is semidefinite, int64 (d,).
        method: how N was proven.
        candidates: u of neurons that nearly attain the norm, int8 (k, d).
        tree: proof of N where it is by cutting planes.
        sides: proofs of N where neurons are of one sum; the candidates are then q = (u, 1).
    """

    value: Fraction
    residual: NDArray[np.int32]
    norm_bound: int
    multipliers: NDArray[np.int64] | None
    method: ProofMethod
    candidates: SignMatrix
    tree: CutProof | None = None
    sides: tuple[SideProof, SideProof] | None = None


def prove_dual(
    problem: TrainingProblem,
    residual: FloatArray,
    method: str,
    *,
    progress: Progress = silent,
    time_limit: float | None = None,
    wanted: float = math.inf,
) -> DualPoint:
    """The bound that a residual proves.

    Args:
        problem: the problem.
        residual: -∇L somewhere, float64 (n,); rounded to integers in the dual domain first.
        method: name of the norm bound to use.
        progress: told of the work done.
        time_limit: seconds for the norm bound.
        wanted: a dual value that is good enough.

    Raises:
        TimeLimitReached: the norm bound was not proven in time.
    """
    integers = problem.loss.round_residual(residual, problem.targets)
    matrix = problem.integer_matrix(integers)
    enough = norm_for(problem, integers, wanted)
    proof: NormProof | FormProof
    if problem.activation is not None and problem.activation.square:
        proof = prove_form(matrix, method, progress=progress, time_limit=time_limit, enough=enough)
    else:
        # A form without squares changes its sign with its last sign, and its largest value is
        # that of the semidefinite bound: a sum of magnitudes.
        method = method if problem.activation is None else "sdp"
        proof = norm_bounds[method].prove(
            matrix, progress=progress, time_limit=time_limit, enough=enough
        )
    return dual_point(problem, integers, proof)


def dual_point(
    problem: TrainingProblem, integers: NDArray[np.int32], proof: NormProof | FormProof
) -> DualPoint:
    """What a residual proves by a norm bound for its matrix.

    Args:
        problem: the problem.
        integers: r, int32 (n,), in the dual domain.
        proof: N for G = Xᵀdiag(r)X.
    """
    # With N = 0 every step is feasible; the dual is then bounded by its own maximiser.
    reach = Fraction(problem.penalty) / (max(proof.norm_bound, 1) * Fraction(problem.norm_unit))
    return DualPoint(
        value=max(problem.loss.exact_dual(integers, problem.targets, reach), Fraction(0)),
        residual=integers,
        norm_bound=proof.norm_bound,
        multipliers=proof.multipliers if isinstance(proof, NormProof) else None,
        method=proof.method,
        candidates=proof.candidates,
        tree=proof.tree if isinstance(proof, NormProof) else None,
        sides=proof.sides if isinstance(proof, FormProof) else None,
    )


def norm_for(problem: TrainingProblem, residual: NDArray[np.int32], wanted: float) -> int:
    """The largest norm, nearly, with which a residual still proves the wanted value; 0 if none.

    An estimate, for stopping only.

    Args:
        problem: the problem.
        residual: r, int32 (n,), in the dual domain.
        wanted: a dual value, or infinity.
    """
    if not math.isfinite(wanted):
        return 0
    direction = residual.astype(np.float64)
    low, high = 0.0, float(problem.loss.best_step(direction, problem.targets))
    if not problem.loss.dual_value(high * direction, problem.targets) > wanted:
        return 0
    for _ in range(50):
        middle = (low + high) / 2
        enough = problem.loss.dual_value(middle * direction, problem.targets) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return int(problem.penalty / (high * problem.norm_unit))


def exact_objective(
    problem: TrainingProblem,
    scores: NDArray[np.int64],
    readout: NDArray[np.int64],
    scale: float,
    sizes: Sequence[Fraction] | None = None,
) -> Fraction:
    """Objective of the deployed network for one output.

    Args:
        problem: the problem.
        scores: integer scores, (n,).
        readout: integer readout weights A, (m,); α = scale·A / unit.
        scale: real value of one unit of a score.
        sizes: what each |α| is multiplied with in the penalty, (m,); ones by default.
    """
    unit = Fraction(scale)
    counts = [abs(weight) for weight in readout.tolist()]
    if sizes is None:
        size = Fraction(sum(counts))
    else:
        size = sum((a * s for a, s in zip(counts, sizes, strict=True)), Fraction(0))
    value = problem.loss.exact_value(scores, unit, problem.targets)
    return value + Fraction(problem.penalty) * unit * size / Fraction(problem.unit)


def certificate_of(dual: DualPoint, objective: Fraction) -> OutputCertificate:
    """The claim for one output, rounded outward to floating point."""
    return OutputCertificate(
        objective=_round_up(objective),
        bound=-_round_up(-dual.value),
        norm_bound=dual.norm_bound,
        residual=dual.residual,
        multipliers=dual.multipliers,
        tree=dual.tree,
        sides=dual.sides,
    )


def certificate_for(
    problems: Sequence[TrainingProblem],
    duals: Sequence[DualPoint],
    network: QuantizedNetwork,
    readout: IntegerReadout,
    beta: float,
) -> Certificate:
    """The claim for a whole network, whichever way it was trained.

    Args:
        problems: one an output, on the same inputs, with λ = beta · d.
        duals: the best proven bound of each.
        network: the deployed network.
        readout: its readout, with its scale.
        beta: penalty as the user states it.
    """
    inputs = problems[0].integers[:, :-1].astype(np.int8)
    scores = network.forward(inputs).astype(np.int64)
    family, activation = problems[0].family, problems[0].activation
    sizes = None if activation else family.exact_sizes(*lifted_weights(network))
    return Certificate(
        method=loosest(dual.method for dual in duals),
        loss=problems[0].loss.name,
        beta=beta,
        penalty=problems[0].penalty,
        input_step=problems[0].step,
        constant=CONSTANT,
        data_digest=dataset_digest(
            inputs, np.stack([p.targets for p in problems], axis=1), problems[0].loss.weights
        ),
        outputs=tuple(
            certificate_of(
                dual,
                exact_objective(problem, scores[:, k], readout.weights[:, k], readout.scale, sizes),
            )
            for k, (problem, dual) in enumerate(zip(problems, duals, strict=True))
        ),
        activation=activation,
        weights=family.name,
        penalty_kind=family.penalty,
    )


def lifted_weights(network: QuantizedNetwork) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """The u and v of a deployed network, int8 (m, d) each, with those of the constant input."""
    layer = network.layers[0]
    assert isinstance(layer, QuadraticLayer)
    left, right = (
        np.hstack([weights, (bias // CONSTANT).astype(np.int8)[:, None]])
        for weights, bias in ((layer.left, layer.left_bias), (layer.right, layer.right_bias))
    )
    return left, right


def _round_up(exact: Fraction) -> float:
    nearest = float(exact)
    return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)
