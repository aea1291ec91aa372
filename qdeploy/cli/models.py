"""``qdeploy inspect`` and ``qdeploy export``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from qdeploy.cli.options import Force, Json, ModelFile, Quiet
from qdeploy.cli.terminal import Terminal

__all__ = ["export", "inspect"]


def inspect(model: ModelFile, json_output: Json = False) -> None:
    """Show what a model file holds: layers, weights, cost, certificate, origin.

    [bold]Example[/bold]:  qdeploy inspect cancer.onnx
    """
    from qdeploy import onnx
    from qdeploy.inspection import describe

    description = describe(onnx.load(model))
    Terminal(json_output=json_output, quiet=False).result(description, Table())


def export(
    model: ModelFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The ONNX file to write.")
    ],
    front: Annotated[
        bool,
        typer.Option("--front", metavar="", help="Take raw features, quantised inside the file."),
    ] = False,
    tail: Annotated[
        bool,
        typer.Option("--tail", metavar="", help="Give labels and real scores, not integers alone."),
    ] = False,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model as ONNX for another runtime, with float ends where wanted.

    [bold]Example[/bold]:  qdeploy export cancer.onnx --front --tail -o complete.onnx
    """
    from qdeploy import onnx
    from qdeploy.cli.figures import byte_count
    from qdeploy.files import check_writable

    check_writable(output, overwrite=force)
    loaded = onnx.load(model)
    written = onnx.save(loaded, output, front=front, tail=tail, overwrite=force)
    size = written.stat().st_size
    Terminal(json_output=json_output, quiet=quiet).result(
        {"model": str(written), "bytes": size, "front": front, "tail": tail},
        f"{written}: {byte_count(size)}",
    )
