"""A comparison from data to figures: the runs that are not kept yet, several at once, then rows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import joblib
import numpy as np

from qdeploy.comparison.baselines import BASELINES
from qdeploy.comparison.runs import Plan, Result, Run, carry_out, load, planned, save
from qdeploy.comparison.summary import Row, rows_of
from qdeploy.data import Dataset
from qdeploy.errors import QDeployError
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.training.cluster import on_cluster
from qdeploy.training.trainer import train

__all__ = ["Comparison", "compare"]

WARM_UP = 0.1
"""Seconds."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A comparison carried out.

    Attributes:
        plan: its options.
        results: every run.
        rows: what they say together, data set by data set.
    """

    plan: Plan
    results: tuple[Result, ...]
    rows: tuple[Row, ...]

    def of(self, data: str) -> list[Row]:
        """The rows of one data set."""
        return [row for row in self.rows if row.data == data]

    @property
    def data(self) -> list[str]:
        """The sources of the data, in their order."""
        return list(dict.fromkeys(row.data for row in self.rows))


def compare(
    datasets: Sequence[Dataset],
    plan: Plan,
    folder: Path,
    *,
    jobs: int = -1,
    cluster: str | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Carry out what a folder does not hold yet, and sum up.

    Args:
        datasets: all rows of each data set.
        plan: the options.
        folder: where runs are kept; an interruption loses only those under way.
        jobs: runs at once, as joblib counts them, each on one core.
        cluster: address of the Dask scheduler whose workers train, or None for this machine; the
            folder is read and written here alone.
        progress: told of the runs and of the time left.

    Raises:
        QDeployError: a label is no class, a name is known twice, a method is unknown, or no
            scheduler answers.
    """
    _check(datasets, plan)
    work = [(dataset, run) for dataset in datasets for run in planned(plan)]
    known = [load(folder, dataset, plan, run) for dataset, run in work]
    missing = [number for number, result in enumerate(known) if result is None]
    with on_cluster(cluster):
        workers = max(1, min(joblib.effective_n_jobs(jobs), len(missing)))
        began = time.monotonic()
        finished = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(
            joblib.delayed(_carried_out)(number, *work[number], plan) for number in missing
        )
        stage = "training"
        progress(ProgressEvent(stage, len(work) - len(missing), len(work)))
        for done, (number, result) in enumerate(finished, start=1):
            dataset, run = work[number]
            # Kept at once, so that an interruption loses only what is under way.
            save(folder, dataset, plan, run, result)
            known[number] = result
            left = (time.monotonic() - began) / done * (len(missing) - done)
            figures = {"last": _named(run, dataset), "time left": _clock(left)}
            progress(ProgressEvent(stage, len(work) - len(missing) + done, len(work), figures))
    results = tuple(result for result in known if result is not None)
    rows = [
        row
        for dataset in datasets
        for row in rows_of(dataset.source, plan, [r for r in results if r.data == dataset.source])
    ]
    return Comparison(plan, results, tuple(rows))


def _carried_out(number: int, dataset: Dataset, run: Run, plan: Plan) -> tuple[int, Result]:
    """One run, in whatever process."""
    _warm_up()
    return number, carry_out(dataset, plan, run)


@cache
def _warm_up() -> None:
    """Load what training loads when first used, once a process: no method's time should pay."""
    generator = np.random.default_rng(0)
    train(
        generator.standard_normal((16, 2)),
        np.arange(16) % 2,
        neurons=1,
        time_limit=WARM_UP,
        jobs=1,
    )


def _check(datasets: Sequence[Dataset], plan: Plan) -> None:
    for method in plan.methods:
        BASELINES[method]
    sources = [dataset.source for dataset in datasets]
    if len(set(sources)) < len(sources):
        raise QDeployError("the same data are named twice; name each once")
    for dataset in datasets:
        if dataset.task != "classify":
            raise QDeployError(
                f"{dataset.source}: the label {dataset.target_names[0]!r} is a number, and the "
                "methods compared are classifiers; choose another label, or pass --task classify"
            )
        if len(np.unique(dataset.target)) < 2:
            raise QDeployError(
                f"{dataset.source}: the label {dataset.target_names[0]!r} has a single class; "
                "at least two are needed"
            )


def _named(run: Run, dataset: Dataset) -> str:
    width = "" if run.neurons is None else f" of {run.neurons}"
    return f"{run.method}{width} on {dataset.source}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
