"""``qdeploy kernels``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from qdeploy.cli.options import Json, Quiet, checked
from qdeploy.cli.terminal import Terminal
from qdeploy.ranges import INPUTS, NEURONS, SEED, Range

if TYPE_CHECKING:
    from qdeploy.benchmark.kernel_counts import KernelCount

__all__ = ["kernels"]


def _numbers(numbers: Range) -> Any:
    """A conversion of "16,32" to its numbers."""
    return checked(lambda text: tuple(numbers(part) for part in str(text).split(",")))


def kernels(
    core: Annotated[
        str, typer.Option(metavar="NAME", help="A bare core; see: qdeploy targets.")
    ] = "cortex-m4",
    inputs: Annotated[
        Any,
        typer.Option(metavar="D,…", parser=_numbers(INPUTS), help="Inputs; 16 to 256 by default."),
    ] = None,
    neurons: Annotated[
        Any,
        typer.Option(metavar="M,…", parser=_numbers(NEURONS), help="Neurons; 8 to 256 by default."),
    ] = None,
    optimize: Annotated[
        Literal["speed", "size", "balanced"] | None,
        typer.Option(help="Only this setting of the compiler."),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", parser=checked(SEED), help="Of the networks.")
    ] = 0,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Count the instructions of random ±1 networks over sizes and settings, beside the goals.

    [bold]Example[/bold]:  qdeploy kernels --core cortex-m4 --inputs 64,128 --neurons 16,128
    """
    from qdeploy.benchmark import kernel_counts as counting

    terminal = Terminal(json_output=json_output, quiet=quiet)
    with terminal.progress() as progress:
        counts = list(
            counting.count_kernels(
                core,
                inputs=inputs or counting.INPUTS,
                neurons=neurons or counting.NEURONS,
                optimize=(optimize,) if optimize else counting.OPTIMIZE,
                seed=seed,
                progress=progress,
            )
        )
    terminal.result({"core": core, "counts": [_values(count) for count in counts]}, _table(counts))


def _values(count: "KernelCount") -> dict[str, Any]:
    limit = count.limit()
    return {
        **asdict(count),
        "instructions_per_product": count.per_product,
        "bits_per_weight": count.bits_per_weight,
        "goal": limit and limit.text,
        "met": limit and limit.met,
    }


def _table(counts: "list[KernelCount]") -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("optimize", "form"):
        table.add_column(heading, no_wrap=True)
    for heading in (
        "inputs\nd",
        "neurons\nm",
        "instructions\nemulated",
        "per\nd·m",
        "code,\nbytes",
        "constants,\nbytes",
        "bits a\nweight",
        "RAM,\nbytes",
    ):
        table.add_column(heading, justify="right")
    table.add_column("goal", no_wrap=True)
    before: str | None = None
    for count in counts:
        limit = count.limit()
        if before not in (None, count.optimize):
            table.add_section()
        before = count.optimize
        table.add_row(
            count.optimize,
            count.form,
            str(count.inputs),
            str(count.neurons),
            str(count.instructions),
            f"{count.per_product:.2f}",
            str(count.code),
            str(count.constants),
            f"{count.bits_per_weight:.2f}",
            str(count.ram),
            "" if limit is None else f"{limit.text}: {'met' if limit.met else 'missed'}",
        )
    return table
