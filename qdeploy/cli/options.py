"""Options that several commands share, and the conversions of their values."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["Force", "Json", "ModelFile", "Quiet", "TargetName", "checked"]


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
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A model.onnx file.")]
TargetName = Annotated[
    str,
    typer.Option("--target", metavar="NAME", help="See: qdeploy targets. Or a target's TOML file."),
]
