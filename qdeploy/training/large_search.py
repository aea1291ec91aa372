"""The compact search where rows are many: one long training on batches, the readout solved at last.

Held-out rows, further starts and polish would take longer than the training itself.
"""

import time

import numpy as np

from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.bit_flips import Polished
from qdeploy.training.joint_training import Joint, train_jointly
from qdeploy.training.search import Candidate, Choice, Rows
from qdeploy.training.shared import solve_readout

__all__ = ["LARGE_RIDGE", "search_large"]

LARGE_RIDGE = 1e-3
"""Rows are many against the neurons: next to nothing."""
BATCH = 2048
EPOCHS = 40
RATE, SCALE_RATE = 0.1, 0.05
PROBE = 5
"""Steps by which the time of a step is told where there is a limit."""
TRAINING = 0.9
"""Share of the time for training; the rest solves the readout on all rows."""


def search_large(
    rows: Rows,
    width: int,
    ridge: float,
    seed: int,
    progress: Progress,
    deadline: float = np.inf,
) -> tuple[Candidate, bool]:
    """Neurons, scales and readout, and whether training was as long as it should be.

    An interruption (Ctrl-C) ends training with the signs of that moment.

    Args:
        rows: the training rows.
        width: number of neurons m.
        ridge: of the readout, relative to the size of neuron outputs.
        seed: of everything random.
        progress: told of the steps.
        deadline: `time.monotonic()` at which to have ended.
    """
    inputs = rows.steps()

    def train(steps: int, until: float) -> Joint:
        def late(step: int) -> bool:
            progress(ProgressEvent("training on batches of rows", step, steps))
            return time.monotonic() > until

        return train_jointly(
            inputs,
            rows.targets,
            rows.loss.smoothed(),
            width,
            np.random.default_rng((seed, 0)),
            rate=RATE,
            steps=steps,
            ridge=ridge,
            scale_rate=SCALE_RATE,
            batch=BATCH,
            stop=late,
        )

    planned = steps = max(1, EPOCHS * len(inputs) // BATCH)
    until = np.inf
    if np.isfinite(deadline):
        began = time.monotonic()
        until = began + TRAINING * (deadline - began)
        train(PROBE, until)
        a_step = (time.monotonic() - began) / PROBE
        steps = min(max(int((until - time.monotonic()) / a_step), 1), planned)
    found = train(steps, until)
    problem = rows.problem(found.scales, ridge)
    readout = solve_readout(problem, problem.features(found.left, found.right))
    polished = Polished(found.left, found.right, readout)
    choice = Choice(scaled=True, ridge=ridge)
    candidate = Candidate(choice, rows.quantizer, found.scales, polished, problem.ridge)
    return candidate, found.steps == planned
