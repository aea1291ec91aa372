"""How much a compact search may do: from sizes alone, so that the same data give the same model."""

from dataclasses import dataclass

from qdeploy.training.bit_flips import sweep_work
from qdeploy.training.search import PATH_SWEEPS, Effort
from qdeploy.training.straight_through import step_work

__all__ = ["Plan", "plan_search"]

WORK = 1e12
"""Floating-point operations that are worth spending: under a minute on two busy cores."""
WORTH_PROCESSES = 3e9
"""Operations below which starting processes costs more than it gives."""
FOLDS, TRIAL_STARTS, STARTS = 4, 3, 12
EFFORT = Effort(steps=300, sweeps=4, rounds=3)
HURRIED = Effort(steps=200, sweeps=2, rounds=1)
SCALING_STEPS = 25
"""Evaluations of the loss that learning the scales takes a round."""


@dataclass(frozen=True)
class Plan:
    """What a search will do.

    Attributes:
        folds: parts of the rows that are held out in turn, of `FOLDS`.
        trial_starts: straight-through starts for each of them.
        starts: straight-through starts on all rows.
        effort: for each start.
        worth_processes: whether there is enough to do for several processes.
    """

    folds: int
    trial_starts: int
    starts: int
    effort: Effort
    worth_processes: bool


def plan_search(rows: int, dimension: int, width: int, choices: int) -> Plan:
    """Share the work between choosing and searching.

    Args:
        rows: training rows n.
        dimension: d, the constant input included.
        width: neurons m.
        choices: how many are compared on held-out rows.
    """
    effort = EFFORT
    trial = _work(rows, dimension, width, choices, effort)
    if 2 * trial > WORK / 2:
        effort = HURRIED
        trial = _work(rows, dimension, width, choices, effort)
    final = _work(rows, dimension, width, 1, effort)
    affordable = int(WORK / 2 / trial)
    # Every fold has the certified start beside the trained ones.
    trial_starts = min(max(affordable // FOLDS - 1, 1), TRIAL_STARTS)
    return Plan(
        folds=min(max(affordable // (trial_starts + 1), 1), FOLDS),
        trial_starts=trial_starts,
        starts=min(max(int(WORK / 2 / final), 2), STARTS),
        effort=effort,
        worth_processes=trial > WORTH_PROCESSES,
    )


def _work(rows: int, dimension: int, width: int, choices: int, effort: Effort) -> float:
    sweeps = effort.sweeps * (1 + effort.rounds) + PATH_SWEEPS * choices
    scaling = effort.rounds * SCALING_STEPS * 2 * step_work(rows, dimension, width)
    trained = effort.steps * step_work(rows, dimension, width)
    return trained + scaling + sweeps * sweep_work(rows, dimension, width)
