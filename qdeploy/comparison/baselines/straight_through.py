"""Straight-through training of ±1 weights, as binary networks are trained today.

Signs forward, Adam on the latent weights behind them (Courbariaux et al., 2016), and nothing else:
no bit flips, no learned scales. Several rates and lengths are tried for as long as there is time.
"""

import itertools
import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.integers import in_integers
from qdeploy.comparison.searching import solved, within_time
from qdeploy.training.shared import SharedProblem
from qdeploy.training.straight_through import straight_through

Signs = tuple[NDArray[np.int8], NDArray[np.int8]]

PROBE = 10
"""Steps by which the time of a step is told."""
SCHEDULES = ((0.2, 300), (0.05, 300), (0.1, 1000), (0.03, 1000))
"""Rates and numbers of steps, in turn."""
FEWEST = 40
"""A start shorter than this is not worth beginning."""


class StraightThrough(Baseline):
    """The best of many starts, each with its cosine of rates run to its end."""

    name: ClassVar[str] = "straight-through"
    label: ClassVar[str] = "straight-through"
    about: ClassVar[str] = (
        "Adam on latent weights behind the signs, the readout solved at every step, the best of "
        "as many starts, rates and lengths as the time allows"
    )
    family: ClassVar[Family] = "network"
    width_bound: ClassVar[bool] = True

    def fit(self, setting: Setting) -> Fitted:
        """Train in the given time."""
        found = within_time(setting, _starts, lambda problem, signs: solved(problem, *signs))
        return Fitted.of(in_integers(setting, found.network, "solved", found.ridge))


def _starts(
    problem: SharedProblem, width: int, generator: np.random.Generator, deadline: float
) -> Iterator[Signs]:
    began = time.monotonic()
    yield straight_through(problem, width, generator, rate=SCHEDULES[0][0], steps=PROBE)
    a_step = (time.monotonic() - began) / PROBE
    for rate, steps in itertools.cycle(SCHEDULES):
        affordable = int((deadline - time.monotonic()) / a_step)
        if affordable < FEWEST:
            break
        yield straight_through(
            problem, width, generator, rate=rate, steps=min(steps, affordable), deadline=deadline
        )


BASELINES.register("straight-through")(StraightThrough())
