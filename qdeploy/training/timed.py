"""The compact search against the clock: what gives most a second comes first.

Under a time limit the search is not planned from sizes but from what steps and sweeps were measured
to take: straight-through training with learned scales, polish of every start that is near the best,
held-out rows and the certified start where they are cheap. There is a best so far from the first
start on.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.dataset import Task
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.bit_flips import Polished, polish_flips, sweep_work
from qdeploy.training.joint_training import SCALE_RATE, Joint, train_jointly
from qdeploy.training.losses import FloatArray
from qdeploy.training.search import Candidate, Choice, Effort, Rows, middle_ridge, scale_in_turn
from qdeploy.training.selection import fold_numbers, largest_beta
from qdeploy.training.shared import solve_readout
from qdeploy.training.starts import eliminated
from qdeploy.training.straight_through import step_work
from qdeploy.training.threads import single_threaded

__all__ = ["Pace", "Way", "search_in_time"]

Clock = Callable[[], float]

BETA_SHARE = 1e-2
"""β of the certified start as a share of the one above which the zero network is optimal."""
CHOOSING = 0.2
"""Share of the time that choosing on held-out rows may take."""
SCHEDULES = ((0.1, 300), (0.05, 300), (0.1, 1000), (0.03, 1000))
"""Learning rates and numbers of steps of the starts, in turn."""
TRIAL_STEPS, FEWEST_TRIAL_STEPS = 150, 30
"""Steps of a trial on held-out rows, and those without which it is not begun."""
PROBE = 10
"""Steps by which the time of a step is told."""
FEWEST = 60
"""A start of fewer steps is not worth beginning; the rest is for polish."""
POLISHING = 0.4
"""Largest share of the time of a start that is kept for its polish."""
SWEEPS = 4
PROMISING = 1.15
"""A start that is above the best by more than this after one sweep is left."""
ROUNDS = 3
PATIENCE = 24
"""Starts in a row that find nothing better, after which the search ends before its time."""
BETTER = 1e-4
"""Relative decrease of the objective that counts as better."""
ELIMINATION_SHARE = 0.1
ELIMINATION_PACE, ELIMINATION_BASE = 2e7, 0.2
"""Entries of the products x xᵀ of all outputs that the certified start sees a second, and seconds
that it takes at least: measured on small data, only to tell whether it is worth beginning."""


@dataclass(frozen=True, eq=False)
class Way:
    """The rows under one way of scaling.

    Attributes:
        rows: the rows.
        given: β as the user gave it.
        seed: of the estimate where none was given.
    """

    rows: Rows
    given: float | Literal["auto"]
    seed: int

    @cached_property
    def beta(self) -> float:
        """β of the certified start."""
        if self.given != "auto":
            return self.given
        rows, generator = self.rows, np.random.default_rng(self.seed)
        with single_threaded():
            integers = rows.integers(np.ones(rows.dimension))
            return BETA_SHARE * largest_beta(integers, rows.targets, rows.loss, generator)


@dataclass
class Pace:
    """What was measured to take how long, and what the time that is left allows.

    Attributes:
        deadline: time of the clock at which the search ends.
        clock: tells the time.
        step: seconds of one step of training.
        sweep: seconds of one sweep of polish.
    """

    deadline: float
    clock: Clock = time.monotonic
    step: float = 0.0
    sweep: float = 0.0

    @property
    def left(self) -> float:
        """Seconds."""
        return self.deadline - self.clock()

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.left <= 0

    def steps(self, wanted: int) -> int:
        """Steps of the next start: all that are wanted, or what leaves time for its polish."""
        polish = min(SWEEPS * self.sweep, POLISHING * self.left)
        return max(min(wanted, int((self.left - polish) / max(self.step, 1e-9))), 0)


def search_in_time(
    ways: Sequence[Way],
    ridges: Sequence[float],
    task: Task,
    width: int,
    seed: int,
    pace: Pace,
    progress: Progress,
) -> tuple[Candidate, bool]:
    """The best candidate that the time allows, and whether the search ran out of ideas before.

    An interruption (Ctrl-C) ends it with the best so far, if there is one.

    Args:
        ways: the rows under the ways of scaling that are allowed.
        ridges: those among which held-out rows choose.
        task: what held-out errors are.
        width: number of neurons m.
        seed: of everything random.
        pace: the deadline.
        progress: told of the starts.
    """
    return _TimedSearch(ways, ridges, task, width, seed, pace, progress).run()


class _TimedSearch:
    """One run of `search_in_time`."""

    def __init__(
        self,
        ways: Sequence[Way],
        ridges: Sequence[float],
        task: Task,
        width: int,
        seed: int,
        pace: Pace,
        progress: Progress,
    ) -> None:
        self._ways, self._task, self._width, self._seed = ways, task, width, seed
        self._pace, self._progress, self._ridges = pace, progress, ridges
        self._way, self._choice = ways[0], Choice(True, middle_ridge(ridges))
        self._best: Candidate | None = None

    def run(self) -> tuple[Candidate, bool]:
        """Probe, choose, then start upon start."""
        with single_threaded():
            self._probe()
            self._way, self._choice = self._choose()
            complete = False
            try:
                complete = self._search()
            except KeyboardInterrupt:
                if self._best is None:
                    raise
        assert self._best is not None, "the first start always ends"
        return self._best, complete

    def _probe(self) -> None:
        """How long a step takes, and from it a sweep."""
        rows, pace = self._way.rows, self._pace
        began = pace.clock()
        self._train(rows, (self._seed, 0), self._choice, SCHEDULES[0][0], PROBE)
        pace.step = (pace.clock() - began) / PROBE
        sizes = len(rows.targets), rows.dimension, self._width
        pace.sweep = pace.step * sweep_work(*sizes) / step_work(*sizes)

    def _train(
        self, rows: Rows, seed: tuple[int, ...], choice: Choice, rate: float, steps: int
    ) -> Joint:
        return train_jointly(
            rows.steps(),
            rows.targets,
            rows.loss.smoothed(),
            self._width,
            np.random.default_rng(seed),
            rate=rate,
            steps=steps,
            ridge=choice.ridge,
            scale_rate=SCALE_RATE if choice.scaled else 0.0,
            stop=lambda _: self._pace.over,
        )

    def _choose(self) -> tuple[Way, Choice]:
        """The way of scaling and the choice with the lowest loss on held-out rows."""
        pace, targets = self._pace, self._way.rows.targets
        folds = fold_numbers(targets, self._task, np.random.default_rng(self._seed))
        kinds = [(way, scaled) for way in self._ways for scaled in (True, False)]
        affordable = int(CHOOSING * pace.left / max(pace.step * len(kinds), 1e-9))
        steps = min(TRIAL_STEPS, affordable)
        count = 0 if steps < FEWEST_TRIAL_STEPS else min(affordable // steps, int(folds.max()) + 1)
        if not count or len(targets) < 2 * (folds.max() + 1):
            return self._way, self._choice
        options = [(way, Choice(scaled, ridge)) for way, scaled in kinds for ridge in self._ridges]
        until = pace.clock() + 2 * CHOOSING * pace.left
        values = np.zeros(len(options))
        for fold in range(count):
            told = [
                self._held_out(way, scaled, folds == fold, (self._seed, fold + 1), steps)
                for way, scaled in kinds
            ]
            values += np.concatenate(told)
            self._progress(ProgressEvent("choosing on held-out rows", fold + 1, count))
            if pace.clock() > until:
                break
        return options[int(values.argmin())]

    def _held_out(
        self,
        way: Way,
        scaled: bool,
        held_out: NDArray[np.bool_],
        seed: tuple[int, int],
        steps: int,
    ) -> FloatArray:
        """Losses of the held-out rows, (ridges,)."""
        part, rest = way.rows.part(~held_out), way.rows.part(held_out)
        trial = Choice(scaled, middle_ridge(self._ridges))
        found = self._train(part, seed, trial, SCHEDULES[0][0], steps)
        values = []
        for ridge in self._ridges:
            problem = part.problem(found.scales, ridge)
            readout = solve_readout(problem, problem.features(found.left, found.right))
            polished = Polished(found.left, found.right, readout)
            candidate = Candidate(trial, part.quantizer, found.scales, polished, problem.ridge)
            values.append(rest.loss.value(candidate.predict(rest), rest.targets))
        return np.array(values)

    def _search(self) -> bool:
        """Starts until the time is up or nothing better is found; True in the latter case."""
        pace, barren = self._pace, 0
        certified = self._worth_elimination()
        for number in itertools.count():
            if barren >= PATIENCE:
                return True
            rate, wanted = SCHEDULES[number % len(SCHEDULES)]
            steps = pace.steps(wanted)
            if self._best is not None and (pace.over or steps < FEWEST):
                self._finish(self._best)
                return False
            before = np.inf if self._best is None else _objective(self._best)
            if certified and number == 1:
                self._from_elimination()
            else:
                began = pace.clock()
                seed = (self._seed, 0, number)
                joint = self._train(self._way.rows, seed, self._choice, rate, max(steps, 1))
                pace.step = (pace.clock() - began) / max(steps, 1)
                self._refine(joint, number)
            assert self._best is not None
            better = _objective(self._best) < before * (1 - BETTER)
            barren = 0 if better else barren + 1
            self._progress(
                ProgressEvent(
                    "searching from several starts",
                    number + 1,
                    None,
                    {
                        "objective": f"{_objective(self._best):.5g}",
                        "time left": f"{max(pace.left, 0):.0f} s",
                    },
                )
            )
        raise AssertionError("the count has no end")

    def _worth_elimination(self) -> bool:
        rows = self._way.rows
        entries = rows.targets.size * rows.dimension**2
        seconds = ELIMINATION_BASE + entries / ELIMINATION_PACE
        return seconds <= ELIMINATION_SHARE * self._pace.left

    def _from_elimination(self) -> None:
        rows, seed = self._way.rows, (self._seed, 0, 1)
        scales = np.ones(rows.dimension)
        left, right = eliminated(
            rows.integers(scales),
            rows.targets,
            rows.loss.smoothed(),
            self._way.beta,
            self._width,
            np.random.default_rng(seed),
            self._pace.deadline,
        )
        self._refine(Joint(left, right, scales), 1)

    def _refine(self, joint: Joint, number: int) -> None:
        """Polish a start as long as it may become the best, and keep the better one."""
        rows, choice, pace = self._way.rows, self._choice, self._pace
        generator = np.random.default_rng((self._seed, 1, number))
        problem = rows.problem(joint.scales, choice.ridge)

        def candidate(found: Polished) -> Candidate:
            return Candidate(choice, rows.quantizer, joint.scales, found, problem.ridge)

        bare = solve_readout(problem, problem.features(joint.left, joint.right))
        self._keep(candidate(Polished(joint.left, joint.right, bare)))
        began = pace.clock()
        found = polish_flips(
            problem, joint.left, joint.right, generator, sweeps=1, deadline=pace.deadline
        )
        if not pace.over:
            pace.sweep = pace.clock() - began
        self._keep(candidate(found))
        assert self._best is not None
        if found.readout.objective > PROMISING * _objective(self._best):
            return
        self._improve(candidate(found), generator)

    def _improve(self, candidate: Candidate, generator: np.random.Generator) -> None:
        """Polish, and scales in turn with it where they are learned."""
        rows, choice, pace = self._way.rows, self._choice, self._pace
        problem = rows.problem(candidate.scales, choice.ridge)
        found = polish_flips(
            problem,
            candidate.found.left,
            candidate.found.right,
            generator,
            sweeps=SWEEPS,
            deadline=pace.deadline,
        )
        self._keep(replace(candidate, found=found))
        if choice.scaled and not pace.over:
            scales, found = scale_in_turn(
                rows,
                candidate.scales,
                found,
                Effort(steps=0, sweeps=SWEEPS, rounds=ROUNDS),
                generator,
                pace.deadline,
                choice.ridge,
            )
            ridge = rows.problem(scales, choice.ridge).ridge
            self._keep(Candidate(choice, rows.quantizer, scales, found, ridge))

    def _finish(self, best: Candidate) -> None:
        """What is too little time for another start goes to the best one."""
        generator = np.random.default_rng((self._seed, 2))
        while not self._pace.over:
            before = _objective(best)
            self._improve(best, generator)
            assert self._best is not None
            best = self._best
            if _objective(best) >= before * (1 - BETTER):
                return

    def _keep(self, candidate: Candidate) -> None:
        if self._best is None or _objective(candidate) < _objective(self._best):
            self._best = candidate


def _objective(candidate: Candidate) -> float:
    return candidate.found.readout.objective
