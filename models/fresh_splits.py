"""How the models for microcontrollers and their peers do on splits that nobody has looked at.

    python models/fresh_splits.py breast-cancer-mcu --seeds 11,12,13,14,15 --optimize speed

The numbers of neurons and inputs of a recipe, and the settings of the peers, were chosen with one
split in view. Here the same recipe is trained on other splits of the same data, and everything is
compiled, emulated and weighed on each. Prints a table in Markdown: means over the splits, with the
smallest and the largest value, tagged as the benchmark tags them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated

import typer

from qdeploy.benchmark import BenchmarkReport, bench
from qdeploy.benchmark.wording import quantity
from qdeploy.cli.terminal import Terminal
from qdeploy.errors import QDeployError
from qdeploy.recipes import c_name, load_recipe, train_recipe, zoo

METRICS = ("accuracy", "r2", "flash", "ram", "instructions", "cycles", "energy")
SEEDS = "11,12,13,14,15"
"""None of them was used before."""


@dataclass(frozen=True)
class Cell:
    """One metric of one implementation over the splits."""

    values: tuple[float, ...]
    unit: str
    obtained: str

    def __str__(self) -> str:
        low, mean, high = (
            quantity(value, self.unit)
            for value in (min(self.values), fmean(self.values), max(self.values))
        )
        return f"{mean} ({low} … {high})" if low != high else mean


def main(
    name: Annotated[str, typer.Argument(help="A model of the zoo.")],
    target: Annotated[str, typer.Option(help="A microcontroller.")] = "nucleo-l4r5zi",
    seeds: Annotated[str, typer.Option(help="Of the splits.")] = SEEDS,
    peers: Annotated[str | None, typer.Option(help="Only these peers.")] = None,
    optimize: Annotated[str | None, typer.Option(help="speed, size or balanced.")] = None,
) -> None:
    """Train, compile and weigh one recipe on several splits."""
    known = zoo()
    if name not in known:
        raise typer.BadParameter(f"{name}: known are {', '.join(known)}")
    recipe = load_recipe(known[name] / "recipe.toml")
    reports = []
    terminal = Terminal(json_output=False, quiet=False)
    with terminal.progress() as progress:
        for seed in seeds.split(","):
            trained = train_recipe(
                recipe.model_copy(update={"seed": int(seed)}), name=c_name(name), progress=progress
            )
            if trained.test is None:
                raise QDeployError(f"{name}: its recipe holds no rows out; give test_size")
            reports.append(
                bench(
                    trained.model,
                    target=target,
                    dataset=(trained.train, trained.test),
                    peers=None if peers is None else peers.split(","),
                    optimize=optimize,
                    progress=progress,
                )
            )
    print("\n".join(table(reports)))


def table(reports: Sequence[BenchmarkReport]) -> Iterable[str]:
    """The rows of the Markdown table."""
    metrics = [metric for metric in METRICS if reports[0].find(metric)]
    cells = {
        (implementation, metric): cell
        for implementation in reports[0].titles
        for metric in metrics
        if (cell := _cell(reports, implementation, metric)) is not None
    }
    tags = {
        metric: "/".join(sorted({cell.obtained for key, cell in cells.items() if key[1] == metric}))
        for metric in metrics
    }
    yield "| | " + " | ".join(f"{metric} ({tags[metric]})" for metric in metrics) + " |"
    yield "|---" * (len(metrics) + 1) + "|"
    for implementation in reports[0].titles:
        row = (str(cells.get((implementation, metric), "")) for metric in metrics)
        yield f"| {implementation} | " + " | ".join(row) + " |"


def _cell(reports: Sequence[BenchmarkReport], implementation: str, metric: str) -> Cell | None:
    figures = [
        figure
        for report in reports
        for figure in report.find(metric, implementation=implementation)
    ]
    if not figures:
        return None
    return Cell(tuple(figure.value for figure in figures), figures[0].unit, figures[0].obtained)


if __name__ == "__main__":
    typer.run(main)
