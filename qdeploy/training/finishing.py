"""What follows a compact search: integers and proofs, within what is left of a time limit.

How long the proofs take is told by one of them, made before the search: the search ends where they
have to begin, and the readout in integers stops improving there.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.network import QuantizedNetwork
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.assembly import build_network, drop_silent, merge
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.penalised import own_proofs, prove_any_width, telling_penalty
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.proof import DualPoint, prove_dual
from qdeploy.training.readout import IntegerReadout, ReadoutWidth, choose_readout
from qdeploy.training.search import Candidate
from qdeploy.training.threads import single_threaded

__all__ = ["Finished", "Schedule", "finish", "plan_time"]

SEARCHING = 0.8
"""Share of a time limit after which searching ends at the latest."""
READOUT = 0.06
"""Share of the time before the proofs that the readout in integers may take."""
MARGIN = 1.3
"""By how much the proofs may take longer than the one that was measured."""
ENDING = 0.02
"""Share of a time limit that better proofs leave free: they look at the clock now and then only."""
LEAST = 0.3
"""Share of a time limit that is searched at least, whatever the proofs take."""
VALUES = 2
"""Exact losses that are added up for every output, as many as take the time of the measured one."""


@dataclass(frozen=True)
class Schedule:
    """Times of `time.monotonic()` at which to have ended; infinite without a limit.

    Attributes:
        search: the search.
        readout: the readout in integers.
        proofs: proofs beyond the quick ones.
    """

    search: float = math.inf
    readout: float = math.inf
    proofs: float = math.inf


@dataclass(frozen=True, eq=False)
class Finished:
    """An integer network and what is proven of it.

    Attributes:
        network: the integer network.
        readout: its readout.
        problems: one an output, at the penalty of the proofs.
        duals: what is proven, one an output.
        beta: the penalty as the user states it.
        widths: what each width of the readout costs.
    """

    network: QuantizedNetwork
    readout: IntegerReadout
    problems: Sequence[TrainingProblem]
    duals: Sequence[DualPoint]
    beta: float
    widths: tuple[ReadoutWidth, ...]


def plan_time(
    integers: NDArray[np.int16], targets: FloatArray, loss: Loss, began: float, limit: float
) -> Schedule:
    """Share a time limit between search, readout and proofs.

    Args:
        integers: lifted inputs, int16 (n, d).
        targets: float64 (n, K).
        loss: the loss.
        began: `time.monotonic()` when training as a whole began.
        limit: seconds.
    """
    column = targets[:, 0]
    problem = TrainingProblem(integers, column, 1.0, loss)
    with single_threaded():
        start = time.monotonic()
        constant = np.full(len(column), loss.best_intercept(np.zeros(len(column)), column))
        prove_dual(problem, loss.smoothed().residual(constant, column), "sdp")
        proven = time.monotonic()
        loss.exact_value(np.arange(len(column)), Fraction(0.1), column)
        valued = time.monotonic()
    outputs = targets.shape[1]
    norm = MARGIN * (proven - start)
    values = MARGIN * outputs * VALUES * (valued - proven)
    before = max(limit - outputs * norm - values, LEAST * limit)
    search = min(SEARCHING * limit, (1 - READOUT) * before)
    # The last of the better proofs may fall back on a quick one.
    better = (1 - ENDING) * limit - values - norm
    return Schedule(began + search, began + before, began + max(better, before))


def finish(
    best: Candidate,
    integers: NDArray[np.int16],
    targets: FloatArray,
    loss: Loss,
    *,
    bits: int | Literal["auto"],
    beta: float | Literal["auto"],
    seed: int,
    schedule: Schedule,
    progress: Progress,
) -> Finished:
    """Solve for the integers of the readout and prove what can be proven.

    Args:
        best: neurons, scales and real readout.
        integers: lifted inputs under the scales, int16 (n, d).
        targets: float64 (n, K).
        loss: the loss.
        bits: width of the readout.
        beta: of the proofs; "auto" for where the gap is smallest.
        seed: of the proofs.
        schedule: when to have ended.
        progress: told of the stages.
    """
    progress(ProgressEvent("integer readout", 0, None))
    dimension = integers.shape[1]
    problems = [TrainingProblem(integers, column, 0.0, loss) for column in targets.T]
    with single_threaded():
        network, readout, widths = _in_integers(problems, best, bits, schedule.readout)
        own = own_proofs(problems, network, readout)
        chosen = beta
        if chosen == "auto":
            chosen = telling_penalty(problems, network, readout, own) / dimension
        problems = [replace(problem, penalty=chosen * dimension) for problem in problems]
        # Where rows are many, a wider network near the optimum would take longer than the search.
        deadline = -math.inf if problems[0].is_large else schedule.proofs
        duals = prove_any_width(problems, own, seed, deadline, progress)
    return Finished(network, readout, problems, duals, chosen, widths)


def _in_integers(
    problems: Sequence[TrainingProblem],
    best: Candidate,
    bits: int | Literal["auto"],
    deadline: float,
) -> tuple[QuantizedNetwork, IntegerReadout, tuple[ReadoutWidth, ...]]:
    """The integer network: its readout is solved for, at several units, and the best is kept."""
    dimension = problems[0].dimension
    found = best.found
    shared = merge(SharedNeurons(found.left, found.right, found.readout.weights / dimension))
    features = problems[0].features(shared.left, shared.right)
    ridge = best.ridge * dimension**2
    readout, widths = choose_readout(
        problems, features, shared.weights, bits, ridge=ridge, deadline=deadline
    )
    shared, readout = drop_silent(shared, readout)
    return build_network(shared, readout), readout, widths
