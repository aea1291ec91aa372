"""Options that several commands share, and the conversions of their values."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "AcceptNewHostKey",
    "Force",
    "Host",
    "Identity",
    "Json",
    "ModelFile",
    "Quiet",
    "Rpc",
    "TargetName",
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
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A model.onnx file.")]
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
