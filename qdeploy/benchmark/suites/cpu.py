"""Family ``cpu``: prepare every peer, check its bits, time all of them in turns, weigh them."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from qdeploy.benchmark.comparison import compare_samples
from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.harness import clock_cost, loop_cost
from qdeploy.benchmark.machine import MachineFact, describe_machine, describe_versions
from qdeploy.benchmark.meters import Load, choose_meter
from qdeploy.benchmark.native_times import enter_native, quantile_metrics
from qdeploy.benchmark.peers import PEERS, Context
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
from qdeploy.benchmark.suites import OWN, SUITES, Request, Suite, compiled, now
from qdeploy.benchmark.timing import (
    CLOCK_SHARE,
    Samples,
    Schedule,
    Timer,
    interleave,
)
from qdeploy.compiler.library_artifact import LibraryArtifact
from qdeploy.errors import QDeployError
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.registry import Registry
from qdeploy.targets import CpuTarget, Power, load_benchmark, power_of

if TYPE_CHECKING:
    from qdeploy.benchmark.report import ReportSection
    from qdeploy.benchmark.report.parts import Presentation

__all__ = ["CpuSuite"]

METER_SECONDS = 1.0
"""How long a meter runs each implementation: its counters tick about once a millisecond."""


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


class CpuSuite(Suite):
    """Latency, throughput, energy, memory and accuracy of a model on this machine."""

    family = "cpu"
    peers: ClassVar[Registry[Any]] = PEERS
    options = frozenset({"seconds"})
    columns: ClassVar[Mapping[str, str]] = {
        "latency_median": "one call,\nnative",
        "latency_python_median": "one call,\nPython",
        "throughput": "samples\na second",
        "energy": "energy",
        "accuracy": "test\naccuracy",
        "r2": "test R²",
    }

    def measure(self, request: Request) -> BenchmarkReport:
        """Prepare every peer, check its bits, time all of them in turns, weigh them.

        Raises:
            QDeployError: as for every suite; or the target is not this machine.
        """
        plan = _plan(request)
        started, machine = now(), describe_machine()
        progress = request.progress
        with ExitStack() as stack:
            artifact = compiled(request, stack)
            assert isinstance(artifact, LibraryArtifact), "the registry goes by the family"
            context = make_context(artifact, request.dataset)
            subjects, skipped = prepare(
                context, plan.batches, plan.peers, plan.named, stack, progress
            )
            timers = make_timers(context, subjects)
            samples = interleave(timers, plan.schedule, progress=progress)
            sheet = FigureSheet(artifact.target)
            _times(sheet, subjects, samples, plan.quantiles)
            meter_notes = _energies(sheet, subjects, timers, samples, plan, progress)
            _weights(sheet, subjects, context)
            titles = {subject.peer.name: subject.peer.title(context) for subject in subjects}
        return BenchmarkReport(
            family=self.family,
            model=context.model.name,
            target=artifact.target,
            started=started,
            finished=now(),
            results=tuple(sheet.figures),
            comparisons=compare_samples(samples, OWN),
            titles=titles,
            skipped=skipped,
            machine=machine,
            versions=describe_versions(),
            notes=(*_notes(context), *_load_note(machine), *meter_notes),
        )

    def present(self, section: "ReportSection") -> "Presentation":
        """Cards, and bars for every implementation."""
        from qdeploy.benchmark.report.processors import present

        return present(section)


SUITES.register(CpuSuite.family)(CpuSuite())


def _plan(request: Request) -> _Plan:
    described, seconds, peers = request.target, request.seconds, request.peers
    assert isinstance(described, CpuTarget), "the registry goes by the family"
    definition = load_benchmark(described)
    quantiles = quantile_metrics(definition.percentiles, described.name)
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
            enter_native(sheet, name, batch, samples[name, NATIVE, batch], native.note, quantiles)
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
