"""``qdeploy compile`` and ``qdeploy run``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from qdeploy.cli.figures import byte_count
from qdeploy.cli.options import Force, Json, ModelFile, Quiet, TargetName
from qdeploy.cli.terminal import Terminal, pairs

__all__ = ["compile_model", "run"]


def compile_model(
    model: ModelFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The artifact folder to write.")
    ],
    target: TargetName = "cpu",
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compile a model for a target, and verify the result bit for bit.

    [bold]Example[/bold]:  qdeploy compile cancer.onnx --target cpu -o cancer-cpu
    """
    from qdeploy import onnx
    from qdeploy.compiler import compile_model as build
    from qdeploy.files import check_writable

    terminal = Terminal(json_output=json_output, quiet=quiet)
    check_writable(output, overwrite=force)
    loaded = onnx.load(model)
    with terminal.progress() as progress:
        artifact = build(loaded, target, output, overwrite=force, progress=progress)
    values = {
        "target": artifact.target,
        "artifact": str(artifact.folder),
        "verified": artifact.verified,
        "form": artifact.form,
        "flash_bytes": artifact.flash_bytes,
        "ram_bytes": artifact.ram_bytes,
        "header": str(artifact.header),
        "library": str(artifact.library),
    }
    terminal.result(
        values,
        pairs(
            ("artifact", f"{artifact.folder} (target {artifact.target})"),
            ("form", artifact.form),
            ("verified", f"{artifact.verified} samples, equal bits in every implementation"),
            ("code and weights", byte_count(artifact.flash_bytes)),
            ("scratch", byte_count(artifact.ram_bytes)),
            ("library", artifact.library.name),
            ("header", artifact.header.name),
        ),
    )


def run(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="An artifact folder or a model.onnx file.")
    ],
    data: Annotated[
        str, typer.Option(metavar="DATA", help="Rows to predict; a label column is ignored.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the predictions as CSV."),
    ] = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict with a compiled artifact or a model file.

    [bold]Example[/bold]:  qdeploy run cancer-cpu --data new.csv -o predictions.csv
    """
    from qdeploy.files import check_writable
    from qdeploy.inference import predict_file

    terminal = Terminal(json_output=json_output, quiet=quiet)
    if output is not None:
        check_writable(output, overwrite=force)
    predictions = predict_file(model, data)
    values: dict[str, Any] = {"predictions": predictions.values, "scores": predictions.scores}
    if output is not None:
        predictions.save(output, overwrite=force)
        values["output"] = str(output)
        terminal.result(values, f"{output}: {len(predictions.values)} predictions")
    else:
        terminal.result(values, predictions.to_csv().rstrip("\n"))
