"""``qdeploy bench`` and ``qdeploy demo``."""

from pathlib import Path
from typing import Annotated

import typer

from qdeploy.cli.options import Force, Json, Quiet, TargetName
from qdeploy.cli.terminal import Terminal

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
    target: TargetName = "cpu",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="The training data: adds accuracy and the float baselines."
        ),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Only these implementations beside qdeploy's."),
    ] = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure latency, throughput, energy and memory beside other ways to run the model.

    [bold]Example[/bold]:  qdeploy bench cancer.onnx --data sklearn:breast_cancer -o bench
    """


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
