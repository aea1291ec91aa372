"""The paper's sampler alone (Bartan & Pilanci, ICML 2021): relaxation, then signs drawn from it.

Every neuron of output k has the amplitude ρ_k·K/m_k, K Krivine's constant, so that the network is
the relaxation on average. Outputs share the m neurons in proportion to their ρ.
"""

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.integers import RealNetwork, in_integers, problems_of
from qdeploy.comparison.searching import held_out_rows
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.relaxations import RelaxedSolution, relaxations
from qdeploy.training.rounding import GROTHENDIECK, krivine_signs
from qdeploy.training.selection import largest_beta, prediction_errors
from qdeploy.training.threads import single_threaded

SHARES = (3e-2, 1e-1, 1e-2, 3e-1)
"""β tried, in this order, as shares of the one above which the zero network is optimal."""
CHOOSING = 0.5
TRIAL_DRAWS, DRAWS = 10, 200


@dataclass(frozen=True, eq=False)
class _Relaxed:
    """Relaxations of all outputs, and how many neurons each gets."""

    solutions: list[RelaxedSolution]
    counts: list[int]

    def draw(self, generator: np.random.Generator) -> RealNetwork:
        """One network."""
        sides, weights = [], []
        for k, (solution, count) in enumerate(zip(self.solutions, self.counts, strict=True)):
            if not count:
                continue
            sides.append(krivine_signs(solution.left, solution.right, count, generator))
            amplitudes = np.zeros((count, len(self.solutions)))
            amplitudes[:, k] = solution.rho * GROTHENDIECK / count
            weights.append(amplitudes)
        left, right = (np.vstack(side) for side in zip(*sides, strict=True))
        intercepts = np.array([solution.intercept for solution in self.solutions])
        return RealNetwork(left, right, np.vstack(weights), intercepts)


class Sampler(Baseline):
    """The draw with the lowest training loss, of as many as the time allows."""

    name: ClassVar[str] = "sampler"
    label: ClassVar[str] = "the paper's sampler"
    about: ClassVar[str] = (
        "semidefinite relaxation and Krivine's rounding with equal amplitudes, beta told by "
        f"held-out rows, the best of up to {DRAWS} draws"
    )
    family: ClassVar[Family] = "network"
    width_bound: ClassVar[bool] = True

    def fit(self, setting: Setting) -> Fitted:
        """Solve the relaxation and draw in the given time."""
        began = time.monotonic()
        generator = np.random.default_rng(setting.seed)
        with single_threaded():
            problems = problems_of(setting)
            beta = _choose(setting, problems, generator, began + CHOOSING * setting.seconds)
            relaxed = _relax(problems, beta, setting, generator)
            best, lowest = None, np.inf
            for _ in range(DRAWS):
                network = relaxed.draw(generator)
                scores = network.predict(problems[0].inputs)
                loss = problems[0].loss.value(scores, setting.rows.targets)
                if loss < lowest:
                    best, lowest = network, loss
                if time.monotonic() > began + setting.seconds:
                    break
            assert best is not None, "losses are finite"
            return Fitted.of(in_integers(setting, best, "rounded"))


def _choose(
    setting: Setting,
    problems: list[TrainingProblem],
    generator: np.random.Generator,
    deadline: float,
) -> float:
    """The β whose draws have the fewest errors on held-out rows."""
    rows = setting.rows
    largest = largest_beta(problems[0].integers, rows.targets, rows.loss, generator)
    held_out = held_out_rows(setting)
    if held_out is None:
        return SHARES[0] * largest
    part = [
        replace(
            problem,
            integers=problem.integers[~held_out],
            targets=problem.targets[~held_out],
            loss=problem.loss.part(~held_out),
        )
        for problem in problems
    ]
    inputs, targets = problems[0].inputs[held_out], rows.targets[held_out]
    errors: dict[float, float] = {}
    for share in SHARES:
        relaxed = _relax(part, share * largest, setting, generator)
        scores: FloatArray = np.stack(
            [relaxed.draw(generator).predict(inputs) for _ in range(TRIAL_DRAWS)]
        )
        errors[share] = float(prediction_errors(scores, targets, "classify").mean())
        if time.monotonic() > deadline:
            break
    return min(errors, key=lambda share: errors[share]) * largest


def _relax(
    problems: list[TrainingProblem], beta: float, setting: Setting, generator: np.random.Generator
) -> _Relaxed:
    assert setting.neurons is not None
    solutions = [
        relaxations["low-rank"].solve(
            replace(problem, penalty=beta * problem.dimension),
            seed=int(generator.integers(2**31)),
            time_limit=setting.seconds / (4 * len(problems)),
        )
        for problem in problems
    ]
    sizes = np.array([max(solution.rho, 0.0) for solution in solutions])
    return _Relaxed(solutions, _shares(sizes, setting.neurons))


def _shares(sizes: FloatArray, count: int) -> list[int]:
    """`count` divided in proportion to `sizes`, by largest remainders."""
    total = float(sizes.sum())
    wanted = count * (sizes / total if total else np.full(len(sizes), 1 / len(sizes)))
    given = np.floor(wanted).astype(np.int64)
    order = np.argsort(-(wanted - given), kind="stable")
    given[order[: count - int(given.sum())]] += 1
    return [int(number) for number in given]


BASELINES.register("sampler")(Sampler())
