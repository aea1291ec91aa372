"""The application: its commands, and how every error, warning and interrupt reaches the user.

Exit status: 0 done; 1 an error that the user can mend, or a certificate that does not hold;
2 wrong usage; 70 a bug in qdeploy; 130 interrupted. With ``--json`` an error is printed as
``{"error": sentence}`` on standard output too, so that there is always exactly one object.
"""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

import qdeploy
from qdeploy.cli import (
    benchmarking,
    certifying,
    comparing,
    deployment,
    environment,
    fronts,
    kernels,
    models,
    training,
)
from qdeploy.cli.terminal import own_warnings, say
from qdeploy.errors import QDeployError

__all__ = ["app", "run"]

app = typer.Typer(
    name="qdeploy",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train few-bit networks with a proven gap to the best one there is, and deploy them.",
    epilog="Start with: [bold]qdeploy demo[/bold]",
)

_MAKE = "Make a model"
_DEPLOY = "Deploy it"
_LOOK = "Look around"

app.command(rich_help_panel=_MAKE)(training.train)
app.command(rich_help_panel=_MAKE)(fronts.front)
app.command(rich_help_panel=_MAKE)(certifying.certify)
app.command(rich_help_panel=_MAKE)(comparing.compare)
app.command(rich_help_panel=_MAKE)(models.inspect)
app.command(rich_help_panel=_MAKE)(models.export)
app.command("compile", rich_help_panel=_DEPLOY)(deployment.compile_model)
app.command("run", rich_help_panel=_DEPLOY)(deployment.run)
app.command(rich_help_panel=_DEPLOY)(benchmarking.bench)
app.add_typer(environment.targets, name="targets", rich_help_panel=_LOOK)
app.command(rich_help_panel=_LOOK)(environment.doctor)
app.command(rich_help_panel=_LOOK)(kernels.kernels)
app.command(rich_help_panel=_LOOK)(benchmarking.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"qdeploy {qdeploy.__version__}")
        raise typer.Exit


@app.callback()
def _application(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``qdeploy``; the process's own by default.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)

    def failed(sentence: str, status: int) -> int:
        say("error", sentence)
        if "--json" in words:
            print(json.dumps({"error": " ".join(sentence.split())}, ensure_ascii=False))
        return status

    try:
        with own_warnings():
            status = app(args=words, prog_name="qdeploy", standalone_mode=False)
            sys.stdout.flush()
    except QDeployError as error:
        return failed(str(error), 1)
    except typer.TyperException as error:
        sentence = _usage_sentence(error)
        return failed(sentence, error.exit_code) if sentence else error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return failed(f"{where}{error.strerror or error}", 1)
    except MemoryError:
        return failed("not enough memory; use fewer rows or features, or a larger machine", 1)
    except Exception as error:
        if os.environ.get("QDEPLOY_TRACEBACK"):
            traceback.print_exc()
        return failed(
            f"unexpected {type(error).__name__}: {error}; this is a fault of qdeploy, please "
            "report it (QDEPLOY_TRACEBACK=1 in the environment shows where it happened)",
            70,
        )
    if status == 130:
        return failed("interrupted; nothing was left half-written", 130)
    return status if isinstance(status, int) else 0


def _usage_sentence(error: typer.TyperException) -> str:
    """What was wrong with the words, and where help is; empty when the help was just printed."""
    message = error.format_message().replace("Value error, ", "").strip().rstrip(".")
    if not message:
        return ""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "qdeploy"
    return f"{message[0].lower()}{message[1:]}; see: {command} --help"
