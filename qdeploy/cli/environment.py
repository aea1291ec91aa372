"""``qdeploy targets`` and ``qdeploy doctor``."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from qdeploy.cli.options import Json, Quiet
from qdeploy.cli.terminal import Terminal, flat, pairs

__all__ = ["doctor", "targets"]

targets = typer.Typer(
    help="The machines that models can be compiled for.\n\n"
    "[bold]Example[/bold]:  qdeploy targets show cpu",
    invoke_without_command=True,
)


@targets.callback()
def _list_by_default(context: typer.Context, json_output: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_all(json_output=json_output)


@targets.command("list")
def list_all(json_output: Json = False) -> None:
    """List every target.

    [bold]Example[/bold]:  qdeploy targets list --json
    """
    from qdeploy.targets import list_targets

    known = list_targets()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    family = None
    for target in known:
        if target.family != family:
            family = target.family
            table.add_row(Text(f"family {family}", "bold"), "")
        table.add_row(f"  {target.name}", Text(target.description))
    Terminal(json_output=json_output, quiet=False).result(
        {"targets": [target.model_dump(mode="json") for target in known]}, table
    )


@targets.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A target or a target's TOML file.")],
    json_output: Json = False,
) -> None:
    """Show all that is known of one target.

    [bold]Example[/bold]:  qdeploy targets show cpu
    """
    from qdeploy.targets import load_target

    target = load_target(name)
    values = target.details()
    Terminal(json_output=json_output, quiet=False).result(
        values, pairs(*(target.facts() or flat(values)))
    )


def doctor(json_output: Json = False, quiet: Quiet = False) -> None:
    """Check this machine: what is installed, what is missing, and how to get it.

    Exits with status 1 when something that qdeploy needs is missing.

    [bold]Example[/bold]:  qdeploy doctor
    """
    from qdeploy.doctor import diagnose

    terminal = Terminal(json_output=json_output, quiet=quiet)
    with terminal.progress() as progress:
        findings = diagnose(progress=progress)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for finding in findings:
        if finding.found:
            table.add_row(Text("ok", "green"), finding.name, Text(finding.version or ""))
            continue
        mark = Text("missing", "bold red") if finding.required else Text("optional", "yellow")
        failed = f"fails ({finding.version}); " if finding.version else ""
        table.add_row(mark, finding.name, Text(f"{failed}for {finding.adds}"))
        table.add_row("", "", Text(f"get it: {finding.get}"))
    healthy = all(finding.found or not finding.required for finding in findings)
    verdict = "Ready." if healthy else "Something that qdeploy needs is missing."
    values = {"healthy": healthy, "findings": [asdict(finding) for finding in findings]}
    terminal.result(values, table, "", verdict)
    if not healthy:
        raise typer.Exit(1)
