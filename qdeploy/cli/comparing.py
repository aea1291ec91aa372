"""``qdeploy compare``."""

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import RenderableType
from rich.table import Table

from qdeploy.cli.options import Cluster, Force, Json, LabelColumn, Quiet, TestSize, checked
from qdeploy.cli.terminal import Terminal
from qdeploy.ranges import NEURONS, TIME_LIMIT, Range

if TYPE_CHECKING:
    from qdeploy.comparison import Comparison, Plan

__all__ = ["compare"]

_COLUMNS = (
    "neurons",
    "method",
    "training loss",
    "proven gap",
    "test accuracy",
    "to ours (points)",
    "bytes",
    "seconds",
)
"""What a terminal has room for; the page has more."""
_SEEDS = Range(1, 1000, whole=True)
_JOBS = Range(1, whole=True)


def _widths(text: Any) -> tuple[int, ...]:
    return tuple(dict.fromkeys(NEURONS(part) for part in str(text).split(",")))


def compare(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA…",
            help="Tables, .npz files with X and y, sklearn:NAME or openml:ID; the label a class.",
        ),
    ],
    label: LabelColumn = None,
    neurons: Annotated[
        Any, typer.Option(metavar="M,…", parser=checked(_widths), help="Widths.")
    ] = "4,8,16,32",
    seeds: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            parser=checked(_SEEDS),
            help="Splits; seed 0, 1, … splits the rows and seeds every method.",
        ),
    ] = 5,
    methods: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Only these methods; all by default.")
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            parser=checked(TIME_LIMIT),
            help="For each network of a given width, on one core.",
        ),
    ] = 10.0,
    proof_seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            parser=checked(TIME_LIMIT),
            help="For each run of the certified mode, which has no given width.",
        ),
    ] = 60.0,
    test_size: TestSize = 0.25,
    task: Annotated[
        Literal["classify"] | None,
        typer.Option(help="Take the label for a class where it looks like a number."),
    ] = None,
    scaling: Annotated[
        Literal["feature", "tensor"],
        typer.Option(help="Scale each input by itself, or all alike (pixels, signals)."),
    ] = "feature",
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Runs are kept here, and found again by the next call; so are table and page.",
        ),
    ] = Path("comparison"),
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the Markdown page here too, drawings beside it."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER", parser=checked(_JOBS), help="Runs at once; one a core by default."
        ),
    ] = None,
    cluster: Cluster = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the trainer with what people do today: same splits, neurons and time.

    An interrupted comparison goes on where it stopped when it is called again.

    [bold]Example[/bold]:  qdeploy compare sklearn:wine --neurons 4,8 --seeds 3 --seconds 3
    """
    from qdeploy.comparison import BASELINES, Plan
    from qdeploy.comparison import compare as carry_out
    from qdeploy.comparison.page import write_page, write_tables
    from qdeploy.data import read_dataset
    from qdeploy.files import check_writable

    terminal = Terminal(json_output=json_output, quiet=quiet)
    check_writable(output / "comparison.json", overwrite=True)
    if page is not None:
        check_writable(page, overwrite=force)
    plan = Plan(
        neurons=neurons,
        seeds=seeds,
        methods=tuple(dict.fromkeys(methods.split(","))) if methods else BASELINES.names(),
        seconds=seconds,
        proof_seconds=proof_seconds,
        test_size=test_size,
        scaling=scaling,
    )
    datasets = [read_dataset(source, label=label, task=task) for source in data]
    with terminal.progress() as progress:
        comparison = carry_out(
            datasets,
            plan,
            output,
            jobs=-1 if jobs is None else jobs,
            cluster=cluster,
            progress=progress,
        )
    command = _command(data, label, methods, task, output, page, plan)
    written = write_tables(comparison, output)
    written += write_page(comparison, output / "comparison.md", command, overwrite=True)
    if page is not None:
        written += write_page(comparison, page, command, overwrite=force)
    values = {
        "rows": [asdict(row) for row in comparison.rows],
        "files": [str(path) for path in written],
    }
    terminal.result(values, *_tables(comparison), *(f"written: {path}" for path in written))


def _command(
    data: list[str],
    label: str | None,
    methods: str | None,
    task: str | None,
    output: Path,
    page: Path | None,
    plan: "Plan",
) -> str:
    """The words that make the same comparison again."""
    words = ["qdeploy", "compare", *data]
    given = {
        "--label": label,
        "--methods": methods,
        "--task": task,
        "--neurons": ",".join(map(str, plan.neurons)),
        "--seeds": plan.seeds,
        "--seconds": f"{plan.seconds:g}",
        "--proof-seconds": f"{plan.proof_seconds:g}",
        "--test-size": f"{plan.test_size:g}",
        "--scaling": plan.scaling,
        "--output": output,
        "--page": page,
    }
    lines, line = [], shlex.join(words)
    for option, value in given.items():
        if value is None:
            continue
        more = shlex.join([option, str(value)])
        if len(line) + len(more) > 90:
            lines.append(f"{line} \\")
            line = " "
        line += f" {more}"
    if page is not None:
        line += " --force"
    return "\n".join([*lines, line])


def _tables(comparison: "Comparison") -> Iterator[RenderableType]:
    """A table a data set, and below it what beats ours."""
    from qdeploy.comparison.wording import HEADINGS, cells, sentences

    shown = [place for place, heading in enumerate(HEADINGS) if heading in _COLUMNS]
    for data in comparison.data:
        rows = comparison.of(data)
        table = Table(box=None, pad_edge=False, header_style="bold")
        lines = [cells(row, comparison.plan.seeds) for row in rows]
        for place in shown:
            # Headings and names may wrap, figures may not.
            name = HEADINGS[place] == "method"
            table.add_column(
                HEADINGS[place],
                justify="left" if name else "right",
                min_width=None if name else max(len(line[place]) for line in lines),
            )
        for line in lines:
            table.add_row(*(line[place] for place in shown))
        yield data
        yield table
        yield from sentences(rows, comparison.plan.seeds)
        yield ""
