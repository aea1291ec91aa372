"""One benchmark run: prepare every peer, check its bits, time all of them in turns, weigh them."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qdeploy.benchmark.comparison import compare_samples
from qdeploy.benchmark.figures import METRICS, FigureSheet
from qdeploy.benchmark.harness import clock_cost, loop_cost
from qdeploy.benchmark.machine import MachineFact, describe_machine, describe_versions
from qdeploy.benchmark.meters import Load, choose_meter
from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.quality import quality
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.benchmark.subjects import (
    NATIVE,
    PIPELINE,
    POOL_SAMPLES,
    PYTHON,
    Key,
    Subject,
    make_context,
    make_timers,
    prepare,
)
from qdeploy.benchmark.timing import (
    CLOCK_SHARE,
    Estimate,
    Samples,
    Schedule,
    Timer,
    interleave,
)
from qdeploy.data.dataset import Dataset
from qdeploy.errors import QDeployError
from qdeploy.files import check_writable
from qdeploy.model import Model
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.targets import CpuTarget, Power, load_benchmark, load_target, power_of

if TYPE_CHECKING:
    from qdeploy.compiler import Artifact

__all__ = ["FILE_NAME", "bench"]

FILE_NAME = "benchmark.json"
"""What `bench` writes into its output folder."""

METER_SECONDS = 1.0
"""How long a meter runs each implementation: its counters tick about once a millisecond."""

OWN = "qdeploy"
"""The implementation that always takes part."""


@dataclass(frozen=True)
class _Plan:
    """The target's benchmark definition, with what the caller changed.

    Attributes:
        batches: batch sizes, 1 first.
        quantiles: share by metric name.
        schedule: time and rounds.
        peers: implementations, qdeploy first.
        named: whether the caller named them.
        meters: in order of preference.
        power: of a busy core.
    """

    batches: tuple[int, ...]
    quantiles: Mapping[str, float]
    schedule: Schedule
    peers: tuple[str, ...]
    named: bool
    meters: tuple[str, ...]
    power: Power


def bench(
    model: "Model | Artifact",
    *,
    target: str = "cpu",
    dataset: tuple[Dataset, Dataset] | None = None,
    output: Path | None = None,
    peers: Sequence[str] | None = None,
    seconds: float | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> BenchmarkReport:
    """Latency, throughput, energy, memory and accuracy of a model beside its alternatives.

    Args:
        model: a model, which is compiled first, or its artifact.
        target: name of the target or path of its file; it must be this machine.
        dataset: training and test rows; without them inputs are random, and no float model and no
            accuracy is reported.
        output: folder to write `benchmark.json` into, besides returning the report.
        peers: implementations beside qdeploy's C library; by default those that the target names,
            as far as they apply here.
        seconds: for each timed implementation and batch size; by default the target's.
        overwrite: whether `benchmark.json` may exist.
        progress: told about each step.

    Returns:
        The report. What did not take part, and why, is in `skipped`.

    Raises:
        QDeployError: the target is not this machine, a peer named here cannot take part, a peer
            gives other scores than the model, or the file exists.

    Example:
        >>> report = qdeploy.bench(model, dataset=(train, test))  # doctest: +SKIP
        >>> report.find("latency_median", implementation="qdeploy")[0].value  # doctest: +SKIP
        1.1e-07
    """
    file = None if output is None else output / FILE_NAME
    if file is not None:
        check_writable(file, overwrite=overwrite)
    plan = _plan(target, seconds, peers)
    started, machine = _now(), describe_machine()
    with ExitStack() as stack:
        artifact = _compiled(model, target, stack, progress)
        context = make_context(artifact, dataset)
        subjects, skipped = prepare(context, plan.batches, plan.peers, plan.named, stack, progress)
        timers = make_timers(context, subjects)
        samples = interleave(timers, plan.schedule, progress=progress)
        sheet = FigureSheet(artifact.target)
        _times(sheet, subjects, samples, plan.quantiles)
        meter_notes = _energies(sheet, subjects, timers, samples, plan, progress)
        _weights(sheet, subjects, context)
        titles = {subject.peer.name: subject.peer.title(context) for subject in subjects}
    report = BenchmarkReport(
        model=context.model.name,
        target=artifact.target,
        started=started,
        finished=_now(),
        results=tuple(sheet.figures),
        comparisons=compare_samples(samples, OWN),
        titles=titles,
        skipped=skipped,
        machine=machine,
        versions=describe_versions(),
        notes=(*_notes(context), *_load_note(machine), *meter_notes),
    )
    if file is not None:
        report.save(file, overwrite=overwrite)
    return report


def _plan(target: str, seconds: float | None, peers: Sequence[str] | None) -> _Plan:
    described = load_target(target)
    if not isinstance(described, CpuTarget):
        raise QDeployError(
            f"target {described.name!r} is of the family {described.family!r}; this benchmark "
            "runs on targets of the family 'cpu'"
        )
    definition = load_benchmark(described)
    quantiles = {_percentile_metric(share): share / 100 for share in definition.percentiles}
    unknown = [metric for metric in quantiles if metric not in METRICS]
    if unknown:
        raise QDeployError(
            f"the benchmark definition of target {described.name!r} asks for {unknown[0]}, which "
            f"is no metric; known are {', '.join(METRICS)}"
        )
    if seconds is not None and not 0 < seconds < float("inf"):
        raise QDeployError(f"seconds for each measurement must be positive, not {seconds:g}")
    others = definition.peers if peers is None else tuple(peers)
    return _Plan(
        batches=definition.batches,
        quantiles=quantiles,
        schedule=Schedule(seconds or definition.seconds, definition.rounds),
        peers=(OWN, *(name for name in others if name != OWN)),
        named=peers is not None,
        meters=definition.meters,
        power=power_of(described),
    )


def _percentile_metric(share: float) -> str:
    return {0.0: "latency_min", 50.0: "latency_median"}.get(share, f"latency_p{share:g}")


def _compiled(
    model: "Model | Artifact", target: str, stack: ExitStack, progress: Progress
) -> "Artifact":
    if not isinstance(model, Model):
        return model
    from qdeploy.compiler import compile_model

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qdeploy-bench-")))
    return compile_model(model, target, folder / "artifact", progress=progress)


def _times(
    sheet: FigureSheet,
    subjects: Sequence[Subject],
    samples: Mapping[Key, Samples],
    quantiles: Mapping[str, float],
) -> None:
    """Latency and throughput figures, implementation by implementation."""
    for subject in subjects:
        name = subject.peer.name
        for batch, native in subject.native.items():
            taken = samples[name, NATIVE, batch]
            note = f"{native.note}; {taken.note}"
            if batch == 1:
                for metric, share in quantiles.items():
                    sheet.add(
                        name, metric, taken.quantile(share), note, batch=1, obtained="measured"
                    )
            median = taken.quantile(0.5)
            rate = Estimate(batch / median.value, batch / median.high, batch / median.low)
            sheet.add(
                name,
                "throughput",
                rate,
                f"batch / median call; {note}",
                batch=batch,
                obtained="measured",
            )
        scores = samples.get((name, PYTHON, 1))
        predictions = samples.get((name, PIPELINE, 1))
        if scores is not None:
            note = f"int8 inputs to integer scores; {scores.note}"
            sheet.add(
                name,
                "latency_python_median",
                scores.quantile(0.5),
                note,
                batch=1,
                obtained="measured",
            )
        if predictions is not None:
            note = f"raw features to predictions; {predictions.note}"
            median = predictions.quantile(0.5)
            if scores is None:
                sheet.add(name, "latency_python_median", median, note, batch=1, obtained="measured")
            sheet.add(name, "latency_pipeline_median", median, note, batch=1, obtained="measured")


def _energies(
    sheet: FigureSheet,
    subjects: Sequence[Subject],
    timers: Mapping[Key, Timer],
    samples: Mapping[Key, Samples],
    plan: _Plan,
    progress: Progress,
) -> tuple[str, ...]:
    """Energy of one inference at batch 1, native where possible; and which meter, as a note."""
    meter, passed_over = choose_meter(plan.meters)
    if meter is None:
        return (f"energy is not reported ({'; '.join(passed_over)})",)
    for done, subject in enumerate(subjects):
        name = subject.peer.name
        progress(ProgressEvent(f"energy of {name}", done, len(subjects)))
        key = next((key for way in (NATIVE, PIPELINE) if (key := (name, way, 1)) in samples), None)
        if key is None:
            continue
        latency = samples[key].quantile(0.5)
        load = Load(timers[key], latency, subject.prepared.threads, METER_SECONDS, plan.power)
        reading = meter.measure(load)
        way = "native call" if key[1] == NATIVE else "call from Python, raw features to prediction"
        sheet.add(
            name,
            "energy",
            reading.joules,
            f"{way}; {reading.note}",
            batch=1,
            obtained=reading.obtained,
        )
    return (f"energy by the meter {meter.name!r}", *passed_over)


def _weights(sheet: FigureSheet, subjects: Sequence[Subject], context: Context) -> None:
    """Bytes, and quality on the test rows."""
    for subject in subjects:
        name = subject.peer.name
        for metric, size in subject.prepared.sizes().items():
            sheet.add(name, metric, float(size.bytes), size.note, obtained="measured")
        # The other exact implementations give the same bits, hence the same predictions.
        if context.test is not None and (name == OWN or not subject.peer.exact):
            predictions = subject.prepared.predict(context.test.features)
            metric, value, note = quality(predictions, context.test)
            sheet.add(name, metric, value, note, obtained="measured")


def _notes(context: Context) -> tuple[str, ...]:
    source = "random int8 rows" if context.test is None else "test rows, repeated as needed"
    return (
        f"every sample spans at least {1 / CLOCK_SHARE:.0f} readings of the clock "
        f"({clock_cost() * 1e9:.0f} ns each)",
        f"a native call through the C harness includes {loop_cost() * 1e9:.1f} ns of its own loop; "
        "nothing is subtracted",
        f"inputs: {source}; calls take {POOL_SAMPLES} samples in turn",
        "implementations take turns in short rounds, each after a warm-up; no core is pinned",
    )


def _load_note(machine: Mapping[str, MachineFact]) -> tuple[str, ...]:
    load, threads = machine["load_before"], machine["threads"]
    if not (isinstance(load, float) and isinstance(threads, int) and load > threads / 2):
        return ()
    return (
        f"the machine was busy before the run (load {load:g} on {threads} hardware threads): "
        "latencies are higher and intervals wider than on a quiet one; ratios suffer less",
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
