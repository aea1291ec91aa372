"""Training several outputs at once: in processes, each with its checkpoint, until told to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock

import joblib

from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.checkpoint import Checkpoint, Slot
from qdeploy.training.output import Effort, TrainedOutput, train_output
from qdeploy.training.problem import TrainingProblem
from qdeploy.training.reports import Report, read_reports, repeated
from qdeploy.training.stopping import Stop

__all__ = ["train_outputs"]


def train_outputs(
    problems: Sequence[TrainingProblem],
    effort: Effort,
    seed: int,
    jobs: int,
    *,
    checkpoint: Checkpoint,
    stop: Stop,
    progress: Progress,
    began: float,
) -> list[TrainedOutput]:
    """Train the outputs, several at once; a single one uses the cores inside its proof.

    Args:
        problems: one an output.
        effort: when to stop, the seconds being those of all outputs.
        seed: of the random choices.
        jobs: processes, as joblib counts them.
        checkpoint: keeps each finished output and the state of those that are not.
        stop: after a request to end the outputs that have not begun get the quick proof alone.
        progress: told of the stages, and now and then from another thread of what is under way.
        began: `time.monotonic()` when training as a whole began.
    """
    count = len(problems)
    if count == 1:
        slot = checkpoint.slot("output-0")
        alone = replace(effort, cores=joblib.effective_n_jobs(jobs))
        return [_train(problems[0], alone, [seed, 0], progress, began, slot, stop)]
    workers = min(joblib.effective_n_jobs(jobs), count)
    share = replace(effort, seconds=effort.seconds * workers / count)
    trained: list[TrainedOutput] = []
    folder, telling = stop.path.parent, Lock()

    def tell() -> None:
        with telling:
            try:
                progress(_event(trained, count, read_reports(folder)))
            except KeyboardInterrupt:
                stop.request()

    running = joblib.Parallel(n_jobs=workers, return_as="generator")(
        joblib.delayed(_train)(
            problem,
            share,
            [seed, k],
            Report(folder, k),
            began,
            checkpoint.slot(f"output-{k}"),
            stop,
        )
        for k, problem in enumerate(problems)
    )
    with repeated(tell):
        for output in running:
            trained.append(output)
            tell()
    return trained


def _event(
    trained: Sequence[TrainedOutput], count: int, reports: Mapping[int, str]
) -> ProgressEvent:
    """What is done, and what the outputs under way are about."""
    figures: dict[str, float | str] = {}
    if trained:
        objective = sum(output.neurons.solution.objective for output in trained)
        bound = sum(float(output.dual.value) for output in trained)
        gap = 1 - bound / objective if objective > 0 else 0.0
        figures = {"objective": f"{objective:.5g}", "gap so far": f"{gap:.2%}"}
    figures |= {f"output {k + 1}:": report for k, report in reports.items() if k >= len(trained)}
    return ProgressEvent("training the outputs", len(trained), count, figures)


def _train(
    problem: TrainingProblem,
    effort: Effort,
    seed: list[int],
    told: Progress,
    began: float,
    slot: Slot,
    stop: Stop,
) -> TrainedOutput:
    """`train_output`, in whatever process."""
    stop.leave_signals_to_owner()
    if stop.requested:
        # What is made in haste is not what the run would go on from.
        hasty = replace(effort, seconds=0.0), seed, told, began, replace(slot, lasting=False)
        return train_output(problem, *hasty)
    output = train_output(problem, effort, seed, stop.heeded(told), began, slot)
    if isinstance(told, Report):
        told.end()
    if output.interrupted:
        stop.request()
    return output
