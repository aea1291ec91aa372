"""What can be proven of a network of given width: its distance to the best of any width."""

import math
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qdeploy.network import QuantizedNetwork
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.bounds import NormProof, TimeLimitReached, norm_bounds
from qdeploy.training.losses import FloatArray
from qdeploy.training.output import exact_bound
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.proof import DualPoint, dual_point, prove_dual
from qdeploy.training.readout import IntegerReadout
from qdeploy.training.starts import penalised_neurons

__all__ = ["own_proofs", "prove_any_width", "telling_penalty"]

OwnProof = tuple[NDArray[np.int32], NormProof]
"""The residual of a network for one output, in integers, and a bound on the norm of its matrix."""

PENALTIES = np.logspace(-2, 1, 61)
"""Penalties tried, as shares of the one at which the network's own residual is feasible."""

EXACT_WORK = 2.0**33
"""Sign patterns that may be enumerated over all outputs; beyond, the bound is semidefinite."""


def own_proofs(
    problems: Sequence[TrainingProblem], network: QuantizedNetwork, readout: IntegerReadout
) -> list[OwnProof]:
    """For each output the residual of the network and a semidefinite bound, which no λ changes.

    Args:
        problems: one an output; their penalties do not matter.
        network: the deployed network.
        readout: its readout.
    """
    scores = _scores(problems, network, readout)
    proofs = []
    for k, problem in enumerate(problems):
        residual = problem.loss.smoothed().residual(scores[:, k], problem.targets)
        integers = problem.loss.round_residual(residual, problem.targets)
        proofs.append((integers, norm_bounds["sdp"].prove(problem.integer_matrix(integers))))
    return proofs


def prove_any_width(
    problems: Sequence[TrainingProblem],
    own: Sequence[OwnProof],
    seed: int,
    deadline: float,
    progress: Progress,
) -> list[DualPoint]:
    """The best bound for each output on networks of any width.

    Two residuals are tried, that of the network and that of a wider one near the optimum.

    Args:
        problems: one an output, with λ = beta · d.
        own: the proofs by the residual of the network, one an output.
        seed: of the wider network's random choices.
        deadline: `time.monotonic()` after which only the quick proof is made.
        progress: told of the outputs.
    """
    exact = exact_bound(problems[0].dimension)
    patterns = len(problems) * 2.0 ** (problems[0].dimension - 1)
    method = exact if exact is not None and patterns <= EXACT_WORK else "sdp"
    duals = [dual_point(problem, *proof) for problem, proof in zip(problems, own, strict=True)]
    for k, problem in enumerate(problems):
        progress(ProgressEvent("proof against any width", k, len(problems)))
        if time.monotonic() >= deadline:
            break
        generator = np.random.default_rng([seed, k])
        residuals = [penalised_neurons(problem, generator, deadline).residual]
        if method != "sdp":
            residuals.append(own[k][0] / max(float(np.abs(own[k][0]).max()), 1.0))
        for residual in residuals:
            if time.monotonic() < deadline:
                point = _prove(problem, residual, method, deadline)
                duals[k] = max(duals[k], point, key=lambda point: point.value)
    return duals


def telling_penalty(
    problems: Sequence[TrainingProblem],
    network: QuantizedNetwork,
    readout: IntegerReadout,
    own: Sequence[OwnProof],
) -> float:
    """The penalty λ at which the gap of a given network is smallest, by its own residual.

    Any λ gives a true statement: a large one is about small Σ|α|, a small one about the loss alone.
    Between them lies the one that says most. Only the choice is made in floating point.

    Args:
        problems: one an output; their penalties do not matter.
        network: the deployed network.
        readout: its readout.
        own: the proofs by its residual, one an output.
    """
    scores = _scores(problems, network, readout)
    step = problems[0].step
    size = float(np.abs(readout.weights).sum()) * readout.scale / step**2
    loss, rays = 0.0, []
    for k, (problem, (integers, proof)) in enumerate(zip(problems, own, strict=True)):
        targets = problem.targets
        loss += problem.loss.value(scores[:, k], targets)
        peak = max(float(np.abs(integers).max()), 1.0)
        residual = integers / peak
        norm = max(proof.norm_bound * step**2 / peak, np.finfo(np.float64).tiny)
        best = problem.loss.best_step(residual, targets)
        rays.append((problem, residual, norm, best if np.isfinite(best) else 0.0))
    # The residual itself is the multiple `best` of the direction, where that is its maximum.
    largest = max(norm * best for _, _, norm, best in rays) or max(ray[2] for ray in rays)
    penalties = PENALTIES * largest
    bounds = np.zeros(len(penalties))
    for problem, residual, norm, best in rays:
        bounds += [
            problem.loss.dual_value(min(penalty / norm, best) * residual, problem.targets)
            for penalty in penalties
        ]
    gaps = 1 - bounds / (loss + penalties * size)
    return float(penalties[int(gaps.argmin())])


def _scores(
    problems: Sequence[TrainingProblem], network: QuantizedNetwork, readout: IntegerReadout
) -> FloatArray:
    """Real scores of the deployed network on the training rows, (n, K)."""
    inputs = problems[0].integers[:, :-1].astype(np.int8)
    scores: FloatArray = network.forward(inputs).astype(np.float64) * readout.scale
    return scores


def _prove(
    problem: TrainingProblem, residual: FloatArray, method: str, deadline: float
) -> DualPoint:
    remaining = deadline - time.monotonic()
    if method != "sdp" and remaining > 0:
        try:
            limit = None if math.isinf(remaining) else remaining
            return prove_dual(problem, residual, method, time_limit=limit)
        except TimeLimitReached:
            pass
    return prove_dual(problem, residual, "sdp")
