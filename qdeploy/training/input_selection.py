"""Fewer inputs: backward elimination, since each one costs additions in every neuron.

The inputs whose absence the readout makes up for best go first, a few at a time; polish and new
scales let the rest take over what they did.
"""

import time

import numpy as np

from qdeploy.training.bit_flips import ROWS, polish_flips
from qdeploy.training.losses import FloatArray
from qdeploy.training.search import FIRST_RIDGE, Candidate, Effort, Rows, scale_in_turn
from qdeploy.training.shared import SharedProblem, inverse_gram
from qdeploy.training.threads import single_threaded

__all__ = ["select_inputs"]

SHARE_DROPPED = 0.2
"""Share of the inputs in excess that go at once."""
SWEEPS_BETWEEN = 2
"""Sweeps of polish after each of these steps."""


def select_inputs(
    rows: Rows,
    candidate: Candidate,
    limit: int,
    effort: Effort,
    seed: tuple[int, ...],
    deadline: float = np.inf,
) -> Candidate:
    """The candidate on at most `limit` inputs beside the constant one.

    Args:
        rows: the training rows, with all inputs.
        candidate: neurons on all of them.
        limit: most inputs, at least 1.
        effort: for the last improvement.
        seed: of the random choices.
        deadline: `time.monotonic()` after which the rest goes at once.
    """
    generator = np.random.default_rng(seed)
    ridge = candidate.choice.ridge
    with single_threaded():
        while (excess := candidate.quantizer.kept.size - limit) > 0:
            late = time.monotonic() > deadline
            dropped = excess if late else max(1, int(SHARE_DROPPED * excess))
            costs = _costs(rows.seen_by(candidate.quantizer), candidate)
            stay = np.ones(len(costs) + 1, dtype=bool)
            stay[np.argsort(costs, kind="stable")[:dropped]] = False
            fewer = rows.seen_by(candidate.quantizer.only(stay[:-1]))
            scales, found = candidate.scales[stay], candidate.found
            left, right = found.left[:, stay], found.right[:, stay]
            if dropped == excess and candidate.choice.scaled:
                problem = fewer.problem(scales, FIRST_RIDGE)
                found = polish_flips(
                    problem, left, right, generator, sweeps=SWEEPS_BETWEEN, deadline=deadline
                )
                scales, found = scale_in_turn(fewer, scales, found, effort, generator, deadline)
                left, right = found.left, found.right
            problem = fewer.problem(scales, ridge)
            sweeps = effort.sweeps if dropped == excess else SWEEPS_BETWEEN
            found = polish_flips(problem, left, right, generator, sweeps=sweeps, deadline=deadline)
            candidate = Candidate(candidate.choice, fewer.quantizer, scales, found, problem.ridge)
    return candidate


def _costs(rows: Rows, candidate: Candidate) -> FloatArray:
    """Squared distance to the working response, (d - 1,), without each input in turn."""
    whole = rows.problem(candidate.scales, candidate.choice.ridge)
    stride = -(-len(whole.inputs) // ROWS)
    shown, ridge = slice(None, None, stride), whole.ridge / stride
    problem = SharedProblem(
        whole.inputs[shown], whole.targets[shown], whole.loss.part(shown), ridge
    )
    response = candidate.found.readout.response[shown]
    wanted = problem.centred(response)
    left, right = (
        side.T.astype(np.float64) for side in (candidate.found.left, candidate.found.right)
    )
    one, two = problem.inputs @ left, problem.inputs @ right
    costs = np.empty(problem.inputs.shape[1] - 1)
    for i in range(len(costs)):
        column = problem.inputs[:, i, None]
        features = (one - column * left[i]) * (two - column * right[i])
        centred = problem.centred(features)
        matched = centred.T @ wanted
        weights = inverse_gram(centred, problem.ridge) @ matched
        costs[i] = -0.5 * float((weights * matched).sum())
    return costs
