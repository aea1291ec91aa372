"""Certified training with neurons that all outputs share, at the price λ Σ_j ‖a_j‖₂.

Column generation with a group lasso, a residual of which the relaxed norm proves most, an integer
readout solved for all outputs at once, and one certificate for their sum.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import Certificate
from qdeploy.data import InputQuantizer
from qdeploy.network import QuantizedNetwork
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.advice import CLOSED, ZERO_IS_OPTIMAL
from qdeploy.training.assembly import build_network, drop_silent, merge
from qdeploy.training.group.columns import GroupColumns
from qdeploy.training.group.problem import (
    GroupProblem,
    GroupSolution,
    check_provable,
    solve_group_master,
)
from qdeploy.training.group.proof import GroupDual, group_certificate, prove_group_dual
from qdeploy.training.group.readout import group_readout
from qdeploy.training.group.residual import relaxed_residual
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.options import Options
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.result import Fitted, HistoryPoint
from qdeploy.training.selection import Selection
from qdeploy.training.threads import single_threaded

__all__ = ["GroupTrained", "train_group"]

ROUNDS = 400
SHARE_DROPPED = 0.15
SHARE_OF_TIME = 0.7
"""Share of the time that column generation may take; the rest is for the proof."""


@dataclass(frozen=True, eq=False)
class GroupTrained:
    """A network whose outputs share their neurons.

    Attributes:
        network: the integer network.
        scale: real value of one unit of a score.
        certificate: the proof.
        history: objective and bound over time.
        advice: what would be needed to do better, one sentence each.
    """

    network: QuantizedNetwork
    scale: float
    certificate: Certificate
    history: tuple[HistoryPoint, ...]
    advice: tuple[str, ...]

    def fitted(self, quantizer: InputQuantizer, selection: Selection | None) -> Fitted:
        """What a mode of training gives, with what was chosen before."""
        return Fitted(
            quantizer=quantizer,
            network=self.network,
            scale=self.scale,
            certificate=self.certificate,
            history=self.history,
            advice=self.advice,
            selection=selection,
        )


def train_group(
    integers: NDArray[np.int16],
    targets: FloatArray,
    loss: Loss,
    beta: float,
    options: Options,
    progress: Progress,
    began: float,
) -> GroupTrained:
    """Train all outputs together, and prove how far they are from the best of any width.

    Args:
        integers: lifted inputs, int16 (n, d).
        targets: float64 (n, K).
        loss: the loss, without kinks.
        beta: λ = beta · d.
        options: of `train`; neurons, readout bits, time limit and seed count here.
        progress: told of the stages.
        began: `time.monotonic()` when training as a whole began.

    Raises:
        QDeployError: the proof would be too large, or the loss has kinks.
    """
    check_provable(integers, targets, loss)
    problem = GroupProblem.of(integers, targets, beta * integers.shape[1], loss)
    with single_threaded():
        return _train(problem, beta, options, progress, began)


def _train(
    problem: GroupProblem,
    beta: float,
    options: Options,
    progress: Progress,
    began: float,
) -> GroupTrained:
    neurons = options.neurons
    generator = np.random.default_rng([options.seed, 0])
    started = time.monotonic()
    limit = np.inf if options.time_limit is None else options.time_limit
    seconds = max(limit - (started - began), 0.0)
    columns = GroupColumns(problem, generator)
    history: list[HistoryPoint] = []

    def note(solution: GroupSolution, bound: float = 0.0) -> None:
        used = int(solution.weights.any(axis=1).sum())
        now = time.monotonic() - began
        history.append(HistoryPoint(now, solution.objective, bound, used))

    def watch(solution: GroupSolution, _: float) -> None:
        note(solution)
        detail = {"objective": f"{solution.objective:.5g}"}
        progress(ProgressEvent("column generation", time.monotonic() - began, None, detail))

    complete, interrupted = False, False
    dual: GroupDual | None = None
    try:
        complete = columns.run(ROUNDS, started + SHARE_OF_TIME * seconds, watch=watch)
        residual = relaxed_residual(
            problem,
            columns.solution.residual,
            generator,
            deadline=started + seconds,
            progress=progress,
        )
        dual = prove_group_dual(problem, residual, generator)
    except KeyboardInterrupt:
        interrupted = True
    solution = columns.solution
    if dual is None:
        dual = prove_group_dual(problem, solution.residual, generator)
    note(solution, float(dual.value))
    shared = merge(columns.neurons)
    found = len(shared.left)
    if neurons is not None and found > neurons:
        progress(ProgressEvent("reducing the neurons to the budget", 0, None))
        shared = merge(_reduce(problem, shared, neurons))
    progress(ProgressEvent("integer readout", 0, None))
    features = problem.first.features(shared.left, shared.right)
    bits = 8 if options.readout_bits == "auto" else options.readout_bits
    readout = group_readout(problem, features, shared.weights, bits)
    shared, readout = drop_silent(shared, readout)
    network = build_network(shared, readout)
    certificate = group_certificate(problem, dual, network, readout, beta)
    advice = []
    cost = certificate.objective / solution.objective - 1 if solution.objective > 0 else 0.0
    if neurons is not None and found > neurons:
        advice.append(
            f"the budget of {neurons} neurons and the integer readout raise the objective by "
            f"{cost:.1%}; without it {found} neurons were found"
        )
    if interrupted or not complete:
        advice.append("training stopped before it ran out of helpful neurons; give it more time")
    if certificate.gap <= CLOSED and not shared.weights.any():
        advice.append(ZERO_IS_OPTIMAL)
    advice.append(
        "the bound of shared outputs is that of a semidefinite relaxation, loose by ten per cent "
        "and more however good the network is; --outputs separate has tighter ones"
    )
    return GroupTrained(network, readout.scale, certificate, tuple(history), tuple(advice))


def _reduce(problem: GroupProblem, neurons: SharedNeurons, limit: int) -> SharedNeurons:
    """At most `limit` neurons: those whose share of the outputs is least go, a few at a time."""
    left, right, weights = neurons.left, neurons.right, neurons.weights
    while len(left) > limit:
        features = problem.centred(problem.first.features(left, right))
        share = np.linalg.norm(weights, axis=1) * np.linalg.norm(features, axis=0)
        dropped = max(1, int(SHARE_DROPPED * (len(left) - limit)))
        kept = np.sort(np.argsort(share, kind="stable")[dropped:])
        left, right = left[kept], right[kept]
        features = problem.first.features(left, right)
        weights = solve_group_master(problem, features, weights[kept]).weights
        used = weights.any(axis=1)
        left, right, weights = left[used], right[used], weights[used]
    return SharedNeurons(left, right, weights)
