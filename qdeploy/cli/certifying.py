"""``qdeploy certify``."""

from typing import TYPE_CHECKING

import typer

from qdeploy.cli.options import DataSource, Json, LabelColumn, ModelFile, Quiet
from qdeploy.cli.terminal import Terminal, say

if TYPE_CHECKING:
    from qdeploy.checker import CheckResult

__all__ = ["certify"]


def certify(
    model: ModelFile,
    data: DataSource,
    label: LabelColumn = None,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prove a model's certificate again, from its file and its training data.

    DATA is what the model was trained from; rows that were held out then are left out again.
    Exits with status 1 when the certificate does not hold.

    [bold]Example[/bold]:  qdeploy certify cancer.onnx sklearn:breast_cancer
    """
    from qdeploy import onnx
    from qdeploy.checker import certify as prove
    from qdeploy.recipes import read_for

    terminal = Terminal(json_output=json_output, quiet=quiet)
    loaded = onnx.load(model)
    rows = read_for(loaded, data, label=label)
    with terminal.progress() as progress:
        check = prove(loaded, rows, progress=progress)
    values = {
        "holds": check.holds,
        "objective": check.objective,
        "bound": check.bound,
        "gap": check.gap,
        "method": check.method,
        "loss": check.loss,
        "loss_bound": check.loss_bound,
        "reason": check.reason,
    }
    if not check.holds:
        terminal.result(values)
        say("error", f"{model}: the certificate does not hold: {check.reason}")
        raise typer.Exit(1)
    terminal.result(
        values,
        f"The certificate holds: {check.reason}.",
        f"Objective {check.objective}, proven bound {check.bound}, by {check.method}.",
        *_loss_sentence(check),
    )


def _loss_sentence(check: "CheckResult") -> list[str]:
    """What was proven of the loss alone, where it says anything."""
    if not check.loss_bound:
        return []
    return [
        f"Loss {check.loss}; no network whose penalty is for no output larger has less than "
        f"{check.loss_bound}."
    ]
