"""``qdeploy front``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from qdeploy.cli.figures import score_text
from qdeploy.cli.interruption import termination_interrupts
from qdeploy.cli.options import (
    Cluster,
    DataSource,
    Force,
    Json,
    LabelColumn,
    LossName,
    MaxBytes,
    MaxOps,
    Quiet,
    ScalingChoice,
    Seed,
    TaskChoice,
    TestData,
    TestSize,
    checked,
)
from qdeploy.cli.terminal import Terminal
from qdeploy.ranges import INPUTS, NEURONS, READOUT_BITS, TIME_LIMIT

__all__ = ["front"]


def front(
    data: DataSource,
    label: LabelColumn = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="For the table, the drawings and the models."
        ),
    ] = Path("front"),
    neurons: Annotated[
        int, typer.Option(metavar="MAX", parser=checked(NEURONS), help="The widest network.")
    ] = 64,
    max_bytes: MaxBytes = None,
    max_ops: MaxOps = None,
    inputs: Annotated[
        int | None,
        typer.Option(metavar="MAX", parser=checked(INPUTS), help="At most so many inputs."),
    ] = None,
    test_size: TestSize = 0.25,
    test_data: TestData = None,
    seed: Seed = 0,
    task: TaskChoice = None,
    loss: LossName = "squared",
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", parser=checked(TIME_LIMIT), help="For all the networks together."
        ),
    ] = None,
    scaling: ScalingChoice = "auto",
    readout_bits: Annotated[
        int,
        typer.Option(
            metavar="BITS",
            parser=checked(READOUT_BITS),
            help="Width of the integer readout weights, 2 to 16.",
        ),
    ] = 8,
    cluster: Cluster = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Trade accuracy for bytes and operations: networks of 1, 2, 4, … neurons and their front.

    Writes a table, two drawings, and the models than which no other is as good and as cheap.

    [bold]Example[/bold]:  qdeploy front sklearn:breast_cancer --neurons 8 -o cancer-front
    """
    from qdeploy.files import check_writable
    from qdeploy.fronts import trace, write_front
    from qdeploy.fronts.files import front_table
    from qdeploy.recipes import Recipe, c_name

    terminal = Terminal(json_output=json_output, quiet=quiet)
    check_writable(output, overwrite=force)
    recipe = Recipe.model_validate(
        {
            "data": data,
            "label": label,
            "test_data": test_data,
            "test_size": test_size,
            "seed": seed,
            "task": task,
            "loss": loss,
            "neurons": neurons,
            "max_bytes": max_bytes,
            "max_ops": max_ops,
            "inputs": inputs,
            "time_limit": time_limit,
            "scaling": scaling,
            "readout_bits": readout_bits,
        }
    )
    with terminal.progress() as progress, termination_interrupts():
        found = trace(recipe, name=c_name(output.name), cluster=cluster, progress=progress)
    written = write_front(found, output, overwrite=force)
    rows = front_table(found)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "inputs", "bytes", "operations", found.metric, "95 %", "on the front"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    task_name = "classify" if found.metric == "accuracy" else "regress"
    for row in rows:
        table.add_row(
            row["model"],
            *(str(row[key]) for key in ("inputs", "bytes", "operations")),
            score_text(task_name, row[found.metric]),
            f"{row['low']:.3f} to {row['high']:.3f}",
            "yes" if row["on_front"] else "",
        )
    stopped = () if found.complete else ("Stopped early: wider networks were not trained.",)
    values = {
        "points": rows,
        "complete": found.complete,
        "files": [str(path) for path in written],
    }
    lines = (*stopped, *(f"written: {path}" for path in written))
    terminal.result(values, f"{found.data}, {found.note}", table, *lines)
