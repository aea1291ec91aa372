"""Options that several commands share, and the conversions of their values."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from qdeploy.ranges import BYTES, OPERATIONS, SEED, TEST_SIZE

__all__ = [
    "AcceptNewHostKey",
    "Cluster",
    "DataSource",
    "Force",
    "Host",
    "Identity",
    "Json",
    "LabelColumn",
    "LossName",
    "MaxBytes",
    "MaxOps",
    "ModelFile",
    "ModelOrArtifact",
    "Quiet",
    "Rpc",
    "ScalingChoice",
    "Seed",
    "TargetName",
    "TaskChoice",
    "TestData",
    "TestSize",
    "checked",
]

_BOARDS = "ARM boards"


def checked(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A conversion whose ValueError becomes a usage error that names the option."""

    def parse(value: Any) -> Any:
        try:
            return convert(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parse


Json = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="Print one JSON object on standard output, nothing else."
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="No progress and no remarks.")
]
Force = Annotated[bool, typer.Option("--force", metavar="", help="Replace output that exists.")]
DataSource = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A .csv, .tsv or .parquet table, an .npz with X and y, sklearn:NAME or openml:ID.",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="The column to predict; needed for tables."),
]
TestSize = Annotated[
    float,
    typer.Option(metavar="SHARE", parser=checked(TEST_SIZE), help="Share of the rows held out."),
]
TestData = Annotated[
    str | None,
    typer.Option(metavar="DATA", help="Test on these data; all rows of DATA then train."),
]
Seed = Annotated[
    int,
    typer.Option(metavar="NUMBER", parser=checked(SEED), help="Of the split and of the training."),
]
TaskChoice = Annotated[
    Literal["classify", "regress"] | None,
    typer.Option(help="Guessed from the label when not given."),
]
LossName = Annotated[
    str,
    typer.Option(metavar="NAME", help="squared; for classes also squared-hinge, hinge, logistic."),
]
ScalingChoice = Annotated[
    Literal["auto", "feature", "tensor"],
    typer.Option(
        help="Scale each input by itself, or all alike (pixels, signals); "
        "auto chooses by cross-validation."
    ),
]
MaxBytes = Annotated[
    int | None,
    typer.Option(
        metavar="BYTES",
        parser=checked(BYTES),
        help="At most so many bytes of weights and biases, as qdeploy inspect counts them.",
    ),
]
MaxOps = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        parser=checked(OPERATIONS),
        help="At most so many additions and multiply-accumulates an inference.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Train on the workers of a Dask scheduler, such as tcp://10.0.0.5:8786.",
    ),
]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A model.onnx file.")]
ModelOrArtifact = Annotated[
    Path, typer.Argument(metavar="MODEL", help="An artifact folder or a model.onnx file.")
]
TargetName = Annotated[
    str,
    typer.Option("--target", metavar="NAME", help="See: qdeploy targets. Or a target's TOML file."),
]
Host = Annotated[
    str | None,
    typer.Option(metavar="USER@HOST[:PORT]", help="The board, by ssh.", rich_help_panel=_BOARDS),
]
Identity = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --host: the private key; by default those of ssh.",
        rich_help_panel=_BOARDS,
    ),
]
AcceptNewHostKey = Annotated[
    bool,
    typer.Option(
        "--accept-new-host-key",
        metavar="",
        help="With --host: take and remember the key of a host that is not known yet.",
        rich_help_panel=_BOARDS,
    ),
]
Rpc = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT[/KEY]",
        help="A TVM RPC server, or a tracker and the key of its boards.",
        rich_help_panel=_BOARDS,
    ),
]
