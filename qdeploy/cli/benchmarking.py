"""``qdeploy bench`` and ``qdeploy demo``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from qdeploy.cli.figures import (
    at_most,
    between_bounds,
    byte_count,
    percent_gap,
    percent_score,
    score_text,
)
from qdeploy.cli.options import Force, Json, Quiet, TargetName, checked
from qdeploy.cli.terminal import Terminal, pairs
from qdeploy.ranges import TIME_LIMIT

if TYPE_CHECKING:
    from qdeploy.benchmark import BenchmarkReport, Figure
    from qdeploy.demo import Outcome

__all__ = ["bench", "demo"]

_COLUMNS = {
    "latency_median": "one call,\nnative",
    "latency_python_median": "one call,\nPython",
    "throughput": "samples\na second",
    "energy": "energy",
    "accuracy": "test\naccuracy",
    "r2": "test R²",
}


def bench(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model.onnx file or an artifact folder.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write the figures and an HTML report here."
        ),
    ] = None,
    target: TargetName = "cpu",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="What the model was trained from: adds accuracy and float models."
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The label, where it was renamed.")
    ] = None,
    test_data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Rows for the accuracy; by default those held out."),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Only these implementations beside qdeploy's."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            parser=checked(TIME_LIMIT),
            help="For each implementation and batch size; by default the target's.",
        ),
    ] = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure latency, throughput, energy and memory beside other ways to run the model.

    [bold]Example[/bold]:  qdeploy bench cancer.onnx --data sklearn:breast_cancer -o bench
    """
    from qdeploy.benchmark import bench as time_only
    from qdeploy.demo import measure
    from qdeploy.inference import load_any
    from qdeploy.model import Model
    from qdeploy.recipes import split_for

    terminal = Terminal(json_output=json_output, quiet=quiet)
    subject = load_any(model)
    trained = subject if isinstance(subject, Model) else subject.model
    rows = split_for(trained, data, label=label, test_data=test_data) if data else None
    with terminal.progress() as progress:
        named = peers.split(",") if peers else None
        if output is None:
            report = time_only(
                subject,
                target=target,
                dataset=rows,
                peers=named,
                seconds=seconds,
                progress=progress,
            )
        else:
            report = measure(
                subject,
                output,
                target=target,
                dataset=rows,
                peers=named,
                seconds=seconds,
                overwrite=force,
                progress=progress,
            )
    from qdeploy.benchmark.wording import estimate_sentences

    remarks = list(estimate_sentences(report.results))
    remarks += [f"{name} did not take part: {why}" for name, why in report.skipped.items()]
    remarks += [f"Figures and plots: {output / 'report.html'}"] if output else []
    lines: list[RenderableType] = [_figures_table(report), *([""] if remarks else []), *remarks]
    terminal.result(report.model_dump(mode="json"), *lines)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")
    ] = Path("report"),
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show all of it on two small data sets: train, prove, compile, check, measure, report.

    [bold]Example[/bold]:  qdeploy demo -o report
    """
    from qdeploy.demo import run_demo

    terminal = Terminal(json_output=json_output, quiet=quiet)
    with terminal.progress() as progress:
        done = run_demo(output, overwrite=force, progress=progress)
    values = {
        "report": str(done.report),
        "seconds": done.seconds,
        "models": [_summary(outcome) for outcome in done.outcomes],
    }
    lines: list[RenderableType] = []
    for outcome in done.outcomes:
        lines += [Text(outcome.name, style="bold underline"), *_story(outcome), ""]
    lines.append(f"All figures and plots: {done.report}  ({at_most(done.seconds)} s)")
    terminal.result(values, *lines)


def _summary(outcome: "Outcome") -> dict[str, Any]:
    """The outcome of one model for machines, with the keys of the single commands."""
    certificate = outcome.trained.result.certificate
    return {
        "name": outcome.name,
        "model": str(outcome.model),
        "holds": outcome.check.holds,
        "objective": certificate.objective,
        "bound": certificate.bound,
        "gap": certificate.gap,
        "method": certificate.method,
        "neurons": outcome.trained.model.network.layers[0].width,
        "train_score": outcome.trained.result.train_score,
        "test_score": outcome.trained.test_score,
        "bytes": outcome.model.stat().st_size,
        "seconds": outcome.seconds,
        "artifact": str(outcome.artifact.folder),
        "verified": outcome.artifact.verified,
        "results": [figure.model_dump(mode="json") for figure in outcome.benchmark.results],
    }


def _story(outcome: "Outcome") -> Iterator[RenderableType]:
    """The outcome of one model for people: what was proven, what it takes, beside the others."""
    trained, artifact = outcome.trained, outcome.artifact
    certificate = trained.result.certificate
    objective, bound = between_bounds(certificate.objective, certificate.bound)
    size = byte_count(outcome.model.stat().st_size)
    yield pairs(
        (
            "trained",
            f"{trained.model.network.layers[0].width} neurons on {len(trained.train.features)} "
            f"rows, {size} as ONNX",
        ),
        (
            "scores",
            ", ".join(
                f"{score_text(trained.train.task, score)} on the {part} rows"
                for part, score in trained.scores.items()
            ),
        ),
        ("proven", f"objective {objective}, no network of this kind below {bound}"),
        ("gap", f"{percent_gap(certificate.gap)} by {certificate.method}, proved again: holds"),
        (
            "compiled",
            f"{byte_count(artifact.flash_bytes)} of code and weights, form {artifact.form}; "
            f"{artifact.verified} samples equal in every bit",
        ),
    )
    from qdeploy.benchmark.wording import estimate_sentences

    yield ""
    yield _figures_table(outcome.benchmark)
    yield from estimate_sentences(outcome.benchmark.results)


def _figures_table(report: "BenchmarkReport") -> Table:
    """Implementations down, metrics across; the tag stands in the heading, or with the figure."""
    from qdeploy.benchmark.wording import quantity

    names = list(dict.fromkeys(figure.implementation for figure in report.results))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    chosen = {}
    for metric, heading in _COLUMNS.items():
        best: dict[str, Figure] = {}
        for figure in report.find(metric):
            held = best.get(figure.implementation)
            if held is None or (metric == "throughput" and figure.value > held.value):
                best[figure.implementation] = figure
        if best:
            tags = {figure.obtained for figure in best.values()}
            chosen[metric] = best, tags
            table.add_column(f"{heading}\n{'/'.join(sorted(tags))}", justify="right")
    for name in names:
        cells = []
        for best, tags in chosen.values():
            if name not in best:
                cells.append("")
                continue
            value, unit = best[name].value, best[name].unit
            text = percent_score(value) if unit == "fraction" else quantity(value, unit)
            text = text.removesuffix("samples/s").rstrip()
            cells.append(f"{text} {best[name].obtained}" if len(tags) > 1 else text)
        table.add_row(name, *cells)
    return table
