"""What can be proven of a network of given width: its distance to the best of any width."""

import math
import time
from collections.abc import Sequence

import numpy as np

from qdeploy.network import QuantizedNetwork
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.bounds import TimeLimitReached
from qdeploy.training.losses import FloatArray
from qdeploy.training.output import exact_bound
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.proof import DualPoint, prove_dual
from qdeploy.training.readout import IntegerReadout
from qdeploy.training.starts import penalised_neurons

__all__ = ["prove_any_width"]

EXACT_WORK = 2.0**33
"""Sign patterns that may be enumerated over all outputs; beyond, the bound is semidefinite."""


def prove_any_width(
    problems: Sequence[TrainingProblem],
    network: QuantizedNetwork,
    readout: IntegerReadout,
    seed: int,
    deadline: float,
    progress: Progress,
) -> list[DualPoint]:
    """The best bound for each output on networks of any width.

    Two residuals are tried, that of the network and that of a wider one near the optimum.

    Args:
        problems: one an output, with λ = beta · d.
        network: the deployed network.
        readout: its readout.
        seed: of the wider network's random choices.
        deadline: `time.monotonic()` after which only the quick proof is made.
        progress: told of the outputs.
    """
    inputs = problems[0].integers[:, :-1].astype(np.int8)
    scores = network.forward(inputs).astype(np.float64) * readout.scale
    exact = exact_bound(problems[0].dimension)
    patterns = len(problems) * 2.0 ** (problems[0].dimension - 1)
    method = exact if exact is not None and patterns <= EXACT_WORK else "sdp"
    duals = []
    for k, problem in enumerate(problems):
        progress(ProgressEvent("proof against any width", k, len(problems)))
        residuals = [problem.loss.residual(scores[:, k], problem.targets)]
        if time.monotonic() < deadline:
            generator = np.random.default_rng([seed, k])
            residuals.append(penalised_neurons(problem, generator, deadline).residual)
        points = [_prove(problem, residual, method, deadline) for residual in residuals]
        duals.append(max(points, key=lambda point: point.value))
    return duals


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
