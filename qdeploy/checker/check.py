"""Certify: prove again, from the model and the data alone, how far a network is from the best.

Follows docs/certificate.md step by step in exact arithmetic. Nothing is taken from the trainer but
its claims; the figures of the result are the checker's own.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import ProofMethod, loosest
from qdeploy.checker.claims import Claims, OutputClaims, read_claims
from qdeploy.checker.errors import RefutationError
from qdeploy.checker.exact import network_scores, round_down, round_up
from qdeploy.checker.losses import Targets, Weights
from qdeploy.checker.norms import gram_of, prove_norm
from qdeploy.checker.rows import TrainingRows, training_rows
from qdeploy.checker.shared_outputs import SharedClaims, price_shares, prove_shared_norm
from qdeploy.data.dataset import Dataset
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.progress import Progress, ProgressEvent, silent

__all__ = ["CheckResult", "OutputCheck", "certify"]


@dataclass(frozen=True)
class OutputCheck:
    """What was proven for one output.

    Attributes:
        objective: objective of the deployed integer network, rounded up.
        bound: lower bound on that of any network of the family, rounded down.
        norm: proven N ≥ max |uᵀGv| (the maximum itself by enumeration).
        method: how N was proven.
    """

    objective: float
    bound: float
    norm: int
    method: ProofMethod


@dataclass(frozen=True)
class CheckResult:
    """Whether a certificate holds, and what was proven.

    Attributes:
        holds: every claim is true.
        reason: one sentence: what was proven, or why the certificate does not hold.
        objective: proven objective of the network over all outputs, rounded up; None where the
            proof did not get so far. The same holds for the next three.
        bound: proven lower bound over all outputs, rounded down.
        gap: (objective - bound) / objective, rounded up.
        method: the loosest of the methods of the outputs.
        loss: loss of the network over all outputs, without the penalty, rounded up.
        loss_bound: proven lower bound on the loss of any network of the family whose penalty, Σ|α|
            times the neurons' sizes, is for every output no larger than this one's, rounded down;
            None for shared outputs.
        rows: training rows that the proof speaks of.
        outputs: what was proven for each output.
    """

    holds: bool
    reason: str
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None
    method: ProofMethod | None = None
    loss: float | None = None
    loss_bound: float | None = None
    rows: int | None = None
    outputs: tuple[OutputCheck, ...] = ()


def certify(model: Model, dataset: Dataset, *, progress: Progress = silent) -> CheckResult:
    """Prove the certificate of a model again.

    Args:
        model: network, quantiser, meaning of the scores, certificate, provenance.
        dataset: the training data, or the table that they were split from.
        progress: told of each output and of the enumeration.

    Returns:
        The outcome; a false or damaged certificate, or other data, is an outcome, not an error.

    Raises:
        QDeployError: the model carries no certificate, or an enumeration finds no C compiler.
    """
    if model.certificate is None:
        raise QDeployError(
            f"model {model.name!r} carries no certificate; train it with qdeploy to get one"
        )
    try:
        claims = read_claims(model, model.certificate)
        data = training_rows(model, dataset, claims.digest, claims.rows)
        proven = _prove_outputs(claims, data, progress)
    except RefutationError as refutation:
        return CheckResult(holds=False, reason=str(refutation))
    return _conclude(model, claims, proven)


@dataclass(frozen=True)
class _Proven:
    """Exact figures of one output."""

    objective: Fraction
    bound: Fraction
    loss: Fraction
    loss_bound: Fraction
    norm: int
    method: ProofMethod


def _prove_outputs(claims: Claims, data: TrainingRows, progress: Progress) -> list[_Proven]:
    scores = network_scores(data.inputs, claims.quadratic, claims.readout)
    ones = np.full((len(data.inputs), 1), claims.constant, dtype=np.int64)
    lifted = np.hstack([data.inputs.astype(np.int64), ones])
    sizes = claims.weights.sizes(claims.quadratic, claims.constant)
    outputs = len(claims.outputs)
    if claims.shared is not None:
        return _prove_shared(claims, claims.shared, data, scores, lifted, progress)
    proven = []
    for k, output in enumerate(claims.outputs):
        stage = f"checking output {k + 1} of {outputs}"
        progress(ProgressEvent(stage, float(k), float(outputs)))
        name = f"output {k + 1}"
        targets = Targets.of(data.targets[:, k])
        if claims.loss.needs_signs and not targets.are_signs:
            raise RefutationError(f"{name}: this loss is for classes, the targets are not ±1")
        amplitudes = claims.readout.weights[:, k].astype(object)
        size = (
            claims.scale
            * sum(abs(a) * s for a, s in zip(amplitudes, sizes, strict=True))
            / claims.unit
        )
        loss = claims.loss.value(scores[:, k], claims.scale, targets, data.weights)
        objective = loss + claims.penalty * size
        norm = prove_norm(claims, output, lifted, name, stage, progress)
        bound = _dual_bound(claims, output, targets, data.weights, norm, name)
        # Σ t·r_i f_i is at most t·N·Σ|α| for every t ≥ 0: of the loss alone λ says nothing.
        residual, price = output.residual.astype(object), norm * claims.norm_unit * size
        loss_bound = claims.loss.dual(targets, residual, data.weights, None, price)
        proven.append(_Proven(objective, bound, loss, loss_bound, norm, output.method))
    progress(ProgressEvent("checked", float(outputs), float(outputs)))
    return proven


def _prove_shared(
    claims: Claims,
    shared: SharedClaims,
    data: TrainingRows,
    scores: NDArray[np.object_],
    lifted: NDArray[np.int64],
    progress: Progress,
) -> list[_Proven]:
    """Outputs at one price λ Σ‖a_j‖: an output's objective is its loss and its share of the price.

    The bounds add up although each output takes its own multiple of its residual: multiples below
    the largest one only shorten (uᵀG_k v)_k. No bound is stated on the loss alone.
    """
    progress(ProgressEvent("checking the shared outputs", 0.0, 1.0))
    grams = [gram_of(lifted, o.residual, f"output {k}") for k, o in enumerate(claims.outputs, 1)]
    norm = prove_shared_norm(shared, grams, min(output.norm for output in claims.outputs))
    price = claims.penalty * claims.scale / claims.unit
    proven = []
    for k, share in enumerate(price_shares(claims.readout.weights)):
        output, name = claims.outputs[k], f"output {k + 1}"
        targets = Targets.of(data.targets[:, k])
        if claims.loss.needs_signs and not targets.are_signs:
            raise RefutationError(f"{name}: this loss is for classes, the targets are not ±1")
        loss = claims.loss.value(scores[:, k], claims.scale, targets, data.weights)
        bound = _dual_bound(claims, output, targets, data.weights, norm, name)
        proven.append(_Proven(loss + price * share, bound, loss, Fraction(0), norm, "sdp"))
    progress(ProgressEvent("checked", 1.0, 1.0))
    return proven


def _dual_bound(
    claims: Claims,
    output: OutputClaims,
    targets: Targets,
    weights: Weights,
    norm: int,
    name: str,
) -> Fraction:
    residual = output.residual.astype(object)
    if residual.sum() != 0:
        raise RefutationError(f"{name}: the residual does not sum to zero")
    if claims.loss.needs_signs and (targets.numerators * residual < 0).any():
        raise RefutationError(f"{name}: a residual has the wrong sign for its target")
    largest_step = claims.penalty / (norm * claims.norm_unit) if norm else None
    return claims.loss.dual(targets, residual, weights, largest_step)


def _conclude(model: Model, claims: Claims, proven: list[_Proven]) -> CheckResult:
    objective = sum((p.objective for p in proven), Fraction(0))
    bound = sum((p.bound for p in proven), Fraction(0))
    gap = round_up(1 - bound / objective) if objective else 0.0
    result = CheckResult(
        holds=True,
        reason=(
            "no network of this kind, of any width, has an objective more than "
            f"{_percent(gap)} % below this one's on the {claims.rows} training rows"
        ),
        objective=round_up(objective),
        bound=round_down(bound),
        gap=gap,
        method=loosest(p.method for p in proven),
        loss=round_up(sum((p.loss for p in proven), Fraction(0))),
        loss_bound=None
        if claims.shared is not None
        else round_down(sum((p.loss_bound for p in proven), Fraction(0))),
        rows=claims.rows,
        outputs=tuple(
            OutputCheck(round_up(p.objective), round_down(p.bound), p.norm, p.method)
            for p in proven
        ),
    )
    if false := _false_claim(model, claims, proven, objective, bound):
        return replace(result, holds=False, reason=false)
    return result


def _false_claim(
    model: Model, claims: Claims, proven: list[_Proven], objective: Fraction, bound: Fraction
) -> str | None:
    """The first claimed figure that is better than what was proven."""
    assert model.certificate is not None
    for number, (claim, truth) in enumerate(zip(claims.outputs, proven, strict=True), start=1):
        name = f"output {number}"
        if Fraction(claim.objective) < truth.objective:
            return (
                f"{name}: the claimed objective {claim.objective!r} is below that of the network, "
                f"{round_up(truth.objective)!r}"
            )
        if Fraction(claim.bound) > truth.bound:
            return (
                f"{name}: the claimed bound {claim.bound!r} is above the proven one, "
                f"{round_down(truth.bound)!r}"
            )
    total = model.certificate
    if Fraction(total.objective) < objective or Fraction(total.bound) > bound:
        return "the totals over the outputs are better than the proven ones"
    return None


def _percent(gap: float) -> str:
    """Four digits of a gap in percent, rounded up as the gap is."""
    return format(Context(prec=4, rounding=ROUND_CEILING).create_decimal_from_float(100 * gap), "g")
