"""``qdeploy bench`` and ``qdeploy demo``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
from qdeploy.cli.options import (
    AcceptNewHostKey,
    Force,
    Host,
    Identity,
    Json,
    Quiet,
    Rpc,
    checked,
)
from qdeploy.cli.terminal import Terminal, pairs
from qdeploy.errors import QDeployError
from qdeploy.ranges import CAPACITY, METER_INPUT, RATE, TIME_LIMIT, VOLTS

if TYPE_CHECKING:
    from qdeploy.benchmark import BenchmarkReport, Figure
    from qdeploy.demo import Outcome

__all__ = ["bench", "demo"]


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
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="See: qdeploy targets. By default that of the artifact, or this machine.",
        ),
    ] = None,
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
            help="For each figure from a clock; by default the target's.",
        ),
    ] = None,
    optimize: Annotated[
        Literal["speed", "size", "balanced"] | None,
        typer.Option(help="Microcontrollers: what MODEL is compiled for; balanced by default."),
    ] = None,
    battery: Annotated[
        float | None,
        typer.Option(
            "--battery-mah",
            metavar="MAH",
            parser=checked(CAPACITY),
            help="Microcontrollers: capacity of the battery; 220 by default, a coin cell.",
        ),
    ] = None,
    volts: Annotated[
        float | None,
        typer.Option(
            "--battery-volts",
            metavar="VOLTS",
            parser=checked(VOLTS),
            help="Microcontrollers: its voltage; 3 by default.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="HERTZ",
            parser=checked(RATE),
            help="Microcontrollers: inferences a second that it lasts for; 1 by default.",
        ),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT",
            help="Microcontrollers: flash and measure the board on this serial port; "
            "'auto' for the only one.",
        ),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --port: the instrument in the board's supply (joulescope, ppk2, otii); "
            "by default the first that is connected.",
        ),
    ] = None,
    meter_volts: Annotated[
        float | None,
        typer.Option(
            metavar="VOLTS",
            parser=checked(VOLTS),
            help="With --port: the board's supply; by default what the target's file states.",
        ),
    ] = None,
    meter_supplies: Annotated[
        bool | None,
        typer.Option(
            "--meter-supplies/--no-meter-supplies",
            metavar="",
            help="With --port: whether the instrument powers the board; by default it does not.",
        ),
    ] = None,
    meter_input: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            parser=checked(METER_INPUT),
            help="With --port: its digital input that the pulse pin is wired to, from 0; "
            "by default the first.",
        ),
    ] = None,
    meter_device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --port: serial number, port or name of the instrument, among several.",
        ),
    ] = None,
    host: Host = None,
    identity: Identity = None,
    accept_new_host_key: AcceptNewHostKey = False,
    rpc: Rpc = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure what a model costs on a target, beside other ways to do the same.

    [bold]Example[/bold]:  qdeploy bench cancer.onnx --data sklearn:breast_cancer -o bench

    [bold]Example[/bold]:  qdeploy bench cancer.onnx --target nucleo-l4r5zi --data cancer.csv

    [bold]Example[/bold]:  qdeploy bench cancer.onnx --target raspberry-pi-5 --host pi@10.0.0.7
    """
    from qdeploy.benchmark import Duty, HostAccess, Metering
    from qdeploy.benchmark import bench as figures_only
    from qdeploy.demo import measure
    from qdeploy.inference import load_any
    from qdeploy.model import Model
    from qdeploy.recipes import split_for

    terminal = Terminal(json_output=json_output, quiet=quiet)
    said: dict[str, Any] = {
        "name": meter,
        "volts": meter_volts,
        "supplies": meter_supplies,
        "timing_input": meter_input,
        "device": meter_device,
    }
    wiring = {what: value for what, value in said.items() if value is not None}
    if host is None and (identity is not None or accept_new_host_key):
        raise QDeployError(
            "a key means nothing without a board; name the board with --host, too, or leave it out"
        )
    subject = load_any(model)
    trained = subject if isinstance(subject, Model) else subject.model
    rows = split_for(trained, data, label=label, test_data=test_data) if data else None
    with terminal.progress() as progress:
        asked: dict[str, Any] = {
            "target": target,
            "dataset": rows,
            "peers": peers.split(",") if peers else None,
            "seconds": seconds,
            "duty": Duty(battery, rate, volts) if (battery or rate or volts) else None,
            "port": port,
            "metering": Metering(**wiring) if wiring else None,
            "optimize": optimize,
            "host": None if host is None else HostAccess(host, identity, accept_new_host_key),
            "rpc": rpc,
            "progress": progress,
        }
        if output is None:
            report = figures_only(subject, **asked)
        else:
            report = measure(subject, output, overwrite=force, **asked)
    from qdeploy.benchmark.wording import estimate_sentences

    remarks = [f"take care: {warning}" for warning in report.warnings]
    remarks += estimate_sentences(_shown(report))
    remarks += [f"{what}: left out, for {why}" for what, why in report.missing.items()]
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
    """Show all of it on small data sets: train, prove, compile, check, measure, report.

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
        lines += [Text(outcome.title, style="bold underline"), *_story(outcome), ""]
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
        "target": outcome.artifact.target,
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
    yield from estimate_sentences(_shown(outcome.benchmark))


def _shown(report: "BenchmarkReport") -> "tuple[Figure, ...]":
    """Of each metric and implementation, the figure that says the most."""
    best: dict[tuple[str, str], Figure] = {}
    for figure in report.results:
        key = figure.metric, figure.implementation
        if key not in best or _preferred(figure, best[key]):
            best[key] = figure
    return tuple(best.values())


def _figures_table(report: "BenchmarkReport") -> Table:
    """Implementations down, metrics across; the tag stands in the heading, or with the figure."""
    from qdeploy.benchmark.suites import SUITES

    names = list(dict.fromkeys(figure.implementation for figure in report.results))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    chosen, shown = {}, _shown(report)
    for metric, heading in SUITES[report.family].columns.items():
        best = {each.implementation: each for each in shown if each.metric == metric}
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
            text = _cell(best[name])
            cells.append(f"{text} {best[name].obtained}" if len(tags) > 1 else text)
        table.add_row(name, *cells)
    return table


def _preferred(figure: "Figure", held: "Figure") -> bool:
    """Whether a figure says more than another of the same metric and implementation."""
    if figure.obtained != held.obtained:
        return figure.obtained == "measured"
    return figure.metric == "throughput" and figure.value > held.value


def _cell(figure: "Figure") -> str:
    """A figure without the unit that its heading names."""
    from qdeploy.benchmark.wording import COUNTS, quantity

    if figure.unit == "fraction":
        return percent_score(figure.value)
    text = quantity(figure.value, figure.unit)
    in_heading = ("samples/s", *COUNTS)
    return text.removesuffix(figure.unit).rstrip() if figure.unit in in_heading else text
