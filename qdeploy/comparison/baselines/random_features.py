"""Random ±1 neurons with the readout solved: the least that training must beat.

Random features: Rahimi & Recht, NIPS 2008. The best of many draws is kept.
"""

import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.integers import in_integers
from qdeploy.comparison.searching import solved, within_time
from qdeploy.training.shared import SharedProblem
from qdeploy.training.starts import random_signs

Signs = tuple[NDArray[np.int8], NDArray[np.int8]]

DRAWS = 1000


class RandomFeatures(Baseline):
    """The best of as many draws as the time allows, at most `DRAWS`."""

    name: ClassVar[str] = "random-features"
    label: ClassVar[str] = "random ±1 features, re-solved"
    about: ClassVar[str] = f"random signs with the readout solved, the best of up to {DRAWS} draws"
    family: ClassVar[Family] = "network"
    width_bound: ClassVar[bool] = True

    def fit(self, setting: Setting) -> Fitted:
        """Draw in the given time."""
        found = within_time(setting, _draws, lambda problem, signs: solved(problem, *signs))
        return Fitted.of(in_integers(setting, found.network, "solved", found.ridge))


def _draws(
    problem: SharedProblem, width: int, generator: np.random.Generator, deadline: float
) -> Iterator[Signs]:
    for _ in range(DRAWS):
        yield random_signs(width, problem.inputs.shape[1], generator)
        if time.monotonic() > deadline:
            break


BASELINES.register("random-features")(RandomFeatures())
