"""``qdeploy front``."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from qdeploy.cli.figures import score_text
from qdeploy.cli.interruption import termination_interrupts
from qdeploy.cli.options import Force, Json, Quiet, checked
from qdeploy.cli.terminal import Terminal
from qdeploy.cli.training import LabelColumn, Source
from qdeploy.ranges import (
    BYTES,
    INPUTS,
    NEURONS,
    OPERATIONS,
    READOUT_BITS,
    SEED,
    TEST_SIZE,
    TIME_LIMIT,
)

__all__ = ["front"]


def front(
    data: Source,
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
    max_bytes: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES", parser=checked(BYTES), help="No network of more weights and biases."
        ),
    ] = None,
    max_ops: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            parser=checked(OPERATIONS),
            help="No network of more additions and multiply-accumulates an inference.",
        ),
    ] = None,
    inputs: Annotated[
        int | None,
        typer.Option(metavar="MAX", parser=checked(INPUTS), help="At most so many inputs."),
    ] = None,
    test_size: Annotated[
        float,
        typer.Option(
            metavar="SHARE", parser=checked(TEST_SIZE), help="Share of the rows held out."
        ),
    ] = 0.25,
    test_data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Test on these data; all rows of DATA then train."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", parser=checked(SEED), help="Of the split and of the training."
        ),
    ] = 0,
    task: Annotated[
        Literal["classify", "regress"] | None,
        typer.Option(help="Guessed from the label when not given."),
    ] = None,
    loss: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="squared; for classes also squared-hinge, hinge, logistic."
        ),
    ] = "squared",
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", parser=checked(TIME_LIMIT), help="For all the networks together."
        ),
    ] = None,
    scaling: Annotated[
        Literal["auto", "feature", "tensor"],
        typer.Option(help="Scale each input by itself, or all alike; auto chooses."),
    ] = "auto",
    readout_bits: Annotated[
        int,
        typer.Option(
            metavar="BITS",
            parser=checked(READOUT_BITS),
            help="Width of the integer readout weights, 2 to 16.",
        ),
    ] = 8,
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
        found = trace(recipe, name=c_name(output.name), progress=progress)
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
