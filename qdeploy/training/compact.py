"""Compact mode: the best network of a given number of neurons that all outputs share.

The search is a heuristic; what is proven of its result is how far it is from the best network of
any width at the penalty β·d (docs/training.md).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from qdeploy.data import Dataset, InputQuantizer
from qdeploy.data.quantizer import Scaling
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.advice import compact_advice
from qdeploy.training.blocks import is_large
from qdeploy.training.finishing import Schedule, finish, plan_time
from qdeploy.training.input_selection import select_inputs
from qdeploy.training.large_search import LARGE_RIDGE, search_large
from qdeploy.training.losses import FloatArray, Loss
from qdeploy.training.options import Options
from qdeploy.training.plan import EFFORT, HURRIED, Plan, plan_search
from qdeploy.training.problem import lift
from qdeploy.training.proof import certificate_for
from qdeploy.training.result import Fitted
from qdeploy.training.search import (
    RIDGES,
    Candidate,
    Choice,
    Rows,
    Start,
    middle_ridge,
    refine,
)
from qdeploy.training.selection import fold_numbers
from qdeploy.training.timed import Pace, Way, search_in_time

__all__ = ["train_compact"]

RATES = (0.2, 0.05)
SELECTING = 0.75
"""Share of the time for searching that passes before inputs are chosen, where that is wanted."""


def train_compact(
    dataset: Dataset,
    targets: FloatArray,
    loss: Loss,
    options: Options,
    progress: Progress,
    began: float,
) -> Fitted:
    """Search, put into integers, and prove what can be proven.

    Args:
        dataset: the training rows.
        targets: float64 (n, K).
        loss: the loss.
        options: of `train`, checked.
        progress: told of the stages.
        began: `time.monotonic()` when training as a whole began.
    """
    assert options.neurons is not None
    ways = _ways(dataset, targets, loss, options)
    rows = ways[0].rows
    schedule = Schedule()
    if options.time_limit is not None:
        unscaled = rows.integers(np.ones(rows.dimension))
        schedule = plan_time(unscaled, targets, loss, began, options.time_limit)
    if is_large(len(targets), rows.dimension):
        best, complete = _large(ways, options, progress, began, schedule)
    elif options.time_limit is None:
        best, complete = _planned(dataset, ways, options, progress)
    else:
        best, complete = _hurried(dataset, ways, options, progress, began, schedule)
    quantizer = best.quantizer.rescaled(best.scales[:-1])
    found = finish(
        best,
        lift(quantizer.quantize(dataset.features)),
        targets,
        loss,
        bits=options.readout_bits,
        beta=options.beta,
        seed=options.seed,
        schedule=schedule,
        progress=progress,
    )
    certificate = certificate_for(
        found.problems, found.duals, found.network, found.readout, found.beta
    )
    return Fitted(
        quantizer=quantizer,
        network=found.network,
        scale=found.readout.scale,
        certificate=certificate,
        history=(),
        advice=compact_advice(certificate, found.network.layers[0].width, complete),
        selection=None,
        readout_widths=found.widths,
    )


def _planned(
    dataset: Dataset, ways: Sequence[Way], options: Options, progress: Progress
) -> tuple[Candidate, bool]:
    """The search whose extent is told by sizes alone."""
    rows = ways[0].rows
    assert options.neurons is not None
    choices = 2 * len(_ridges(options))
    plan = plan_search(len(rows.targets), rows.dimension, options.neurons, choices)
    search = _Search(dataset, options, plan, progress)
    way, choice = search.choose(ways)
    return search.best(way, choice)


def _large(
    ways: Sequence[Way], options: Options, progress: Progress, began: float, schedule: Schedule
) -> tuple[Candidate, bool]:
    """The search on batches of rows; of two scalings the one that suits inputs of one unit.

    Scales are learned anyway, and with very many inputs they mostly share a unit.
    """
    assert options.neurons is not None
    rows = ways[-1].rows
    deadline = _before_selection(options, began, schedule)
    ridge = LARGE_RIDGE if options.ridge == "auto" else options.ridge
    best, complete = search_large(rows, options.neurons, ridge, options.seed, progress, deadline)
    if options.inputs is not None:
        seed = (options.seed, 3)
        best = select_inputs(rows, best, options.inputs, HURRIED, seed, schedule.search)
    return best, complete


def _hurried(
    dataset: Dataset,
    ways: Sequence[Way],
    options: Options,
    progress: Progress,
    began: float,
    schedule: Schedule,
) -> tuple[Candidate, bool]:
    """The search against the clock, the proof's share of the limit left free."""
    assert options.neurons is not None
    pace = Pace(_before_selection(options, began, schedule))
    best, complete = search_in_time(
        ways, _ridges(options), dataset.task, options.neurons, options.seed, pace, progress
    )
    if options.inputs is not None:
        way = next(way for way in ways if way.rows.quantizer is best.quantizer)
        seed = (options.seed, 3)
        best = select_inputs(way.rows, best, options.inputs, EFFORT, seed, schedule.search)
    return best, complete


def _before_selection(options: Options, began: float, schedule: Schedule) -> float:
    """When the search ends; sooner where inputs are chosen after it."""
    if options.inputs is None or math.isinf(schedule.search):
        return schedule.search
    return began + SELECTING * (schedule.search - began)


def _ridges(options: Options) -> tuple[float, ...]:
    """The ridges among which held-out rows choose."""
    return RIDGES if options.ridge == "auto" else (options.ridge,)


def _ways(dataset: Dataset, targets: FloatArray, loss: Loss, options: Options) -> list[Way]:
    scalings: tuple[Scaling, ...] = (
        ("feature", "tensor") if options.scaling == "auto" else (options.scaling,)
    )
    return [
        Way(
            Rows(
                dataset.features,
                InputQuantizer.fit(
                    dataset.features, dataset.feature_names, scaling, dataset.weights
                ),
                targets,
                loss,
            ),
            options.beta,
            options.seed,
        )
        for scaling in scalings
    ]


class _Search:
    """Choosing on held-out rows, then the best of several starts on all of them."""

    def __init__(self, dataset: Dataset, options: Options, plan: Plan, progress: Progress) -> None:
        assert options.neurons is not None
        self._task, self._width = dataset.task, options.neurons
        self._options, self._plan, self._progress = options, plan, progress
        ridges = _ridges(options)
        self._choices = [Choice(scaled, ridge) for scaled in (False, True) for ridge in ridges]

    def choose(self, ways: Sequence[Way]) -> tuple[Way, Choice]:
        """The way of scaling and the choice with the lowest loss on held-out rows."""
        targets = ways[0].rows.targets
        generator = np.random.default_rng(self._options.seed)
        folds = fold_numbers(targets, self._task, generator)
        tasks = [
            (number, way, fold, start)
            for fold in range(self._plan.folds)
            for number, way in enumerate(ways)
            for start in self._starts(way, self._plan.trial_starts, fold + 1)
        ]
        if len(targets) < 2 * (folds.max() + 1):
            tasks = []
        running = self._parallel(
            joblib.delayed(_held_out)(
                way.rows, folds != fold, start, self._width, self._choices, self._plan
            )
            for _, way, fold, start in tasks
        )
        values = np.zeros((len(ways), len(self._choices)))
        for done, ((number, _, fold, _), found) in enumerate(
            zip(tasks, running, strict=True), start=1
        ):
            part = ways[number].rows.loss.part(folds == fold)
            values[number] += [part.value(seen, targets[folds == fold]) for seen in found]
            stage = "choosing input scales and ridge on held-out rows"
            self._progress(ProgressEvent(stage, done, len(tasks)))
        if not tasks:
            return ways[0], Choice(True, middle_ridge(_ridges(self._options)))
        number, position = divmod(int(values.argmin()), len(self._choices))
        return ways[number], self._choices[position]

    def best(self, way: Way, choice: Choice) -> tuple[Candidate, bool]:
        """The candidate with the lowest training objective, and whether all starts were tried.

        An interruption (Ctrl-C) ends the search with the best so far, if there is one.
        """
        starts = self._starts(way, self._plan.starts, 0)
        running = self._parallel(
            joblib.delayed(_refined)(
                way.rows, start, self._width, self._options.inputs, choice, self._plan
            )
            for start in starts
        )
        best: Candidate | None = None
        done = 0
        try:
            for done, candidate in enumerate(running, start=1):
                best = candidate if best is None else min(best, candidate, key=_objective)
                self._progress(
                    ProgressEvent(
                        "searching from several starts",
                        done,
                        len(starts),
                        {"objective": f"{_objective(best):.5g}"},
                    )
                )
        except KeyboardInterrupt:
            if best is None:
                raise
        assert best is not None
        return best, done == len(starts)

    def _starts(self, way: Way, count: int, stream: int) -> list[Start]:
        """The certified start and `count` of straight-through training."""
        seed = self._options.seed
        trained = [
            Start("straight-through", (seed, stream, k), rate=RATES[k % len(RATES)])
            for k in range(count)
        ]
        return [Start("elimination", (seed, stream), beta=way.beta), *trained]

    def _parallel(self, calls: Iterable[Any]) -> Any:
        """Results of delayed calls, in order, as they come."""
        jobs = self._options.jobs if self._plan.worth_processes else 1
        return joblib.Parallel(n_jobs=jobs, return_as="generator")(calls)


def _objective(candidate: Candidate) -> float:
    return candidate.found.readout.objective


def _refined(
    rows: Rows,
    start: Start,
    width: int,
    inputs: int | None,
    choice: Choice,
    plan: Plan,
) -> Candidate:
    (found,) = refine(rows, start, width, [choice], plan.effort)
    if inputs is None:
        return found
    return select_inputs(rows, found, inputs, plan.effort, start.seed)


def _held_out(
    rows: Rows,
    training: NDArray[np.bool_],
    start: Start,
    width: int,
    choices: Sequence[Choice],
    plan: Plan,
) -> FloatArray:
    """Predictions of every choice for the held-out rows, (p, n_held_out, K)."""
    found = refine(rows.part(training), start, width, choices, plan.effort)
    rest = rows.part(~training)
    return np.stack([candidate.predict(rest) for candidate in found])
