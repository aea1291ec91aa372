"""What each width of the integer readout costs: the table of docs/training.md.

    python -m qdeploy.comparison.readout

Neurons of every output are generated at one β with a real readout, which is then put into integers
of several widths; a cell is the increase of the objective over the real readout's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from scipy.linalg import block_diag

from qdeploy.data import InputQuantizer, read_dataset, split
from qdeploy.data.quantizer import Scaling
from qdeploy.training.assembly import merge
from qdeploy.training.columns import ColumnGeneration
from qdeploy.training.losses import losses
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.readout import WIDTHS, ReadoutWidth, choose_readout
from qdeploy.training.selection import largest_beta
from qdeploy.training.threads import single_threaded
from qdeploy.training.trainer import encode

LOSSES = ("squared", "squared-hinge", "hinge", "logistic")
SHARE = 0.01
"""β as a share of the one above which the zero network is optimal."""
TEST_SIZE = 0.25
ROUNDS = 60
LEAST = 1e-6
"""An increase below this is rounding."""


@dataclass(frozen=True)
class Trial:
    """One data set, and how much of it is taken.

    Attributes:
        title: of its rows in the table.
        source: as the command line names it.
        scaling: of its inputs.
        rows: the first so many training rows, or None for all.
        outputs: the first so many outputs, or None for all.
        outputs_with_kinks: the same where each takes many linear programmes.
    """

    title: str
    source: str
    scaling: Scaling = "feature"
    rows: int | None = None
    outputs: int | None = None
    outputs_with_kinks: int | None = None


TRIALS = (
    Trial("breast cancer", "sklearn:breast_cancer"),
    Trial("wine", "sklearn:wine"),
    Trial("digits", "sklearn:digits", "tensor", rows=700, outputs=4, outputs_with_kinks=1),
)


def main(
    data: Annotated[
        list[str] | None, typer.Argument(help="Some of: breast cancer, wine, digits.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of splits and neurons.")] = 0,
) -> None:
    """Print the table as Markdown, row by row."""
    typer.echo(f"| data | loss | {' | '.join(f'{bits} bits' for bits in WIDTHS)} |")
    typer.echo("|---" * (2 + len(WIDTHS)) + "|")
    for trial in TRIALS:
        if data and trial.title not in data:
            continue
        for number, (loss, widths) in enumerate(costs(trial, seed)):
            title = "" if number else trial.title
            shown = " | ".join(_share(width.increase) for width in widths)
            typer.echo(f"| {title} | {loss.replace('-', ' ')} | {shown} |")


def costs(trial: Trial, seed: int) -> Iterator[tuple[str, tuple[ReadoutWidth, ...]]]:
    """For each loss what the widths cost."""
    training, _ = split(read_dataset(trial.source), TEST_SIZE, seed)
    targets = encode(training)[1][: trial.rows]
    features = training.features[: trial.rows]
    quantizer = InputQuantizer.fit(features, training.feature_names, trial.scaling)
    integers = lift(quantizer.quantize(features))
    for name in LOSSES:
        loss = losses[name]
        seen = targets[:, : trial.outputs_with_kinks if loss.kinked else trial.outputs]
        with single_threaded():
            largest = largest_beta(integers, seen, loss, np.random.default_rng(seed))
            penalty = SHARE * largest * integers.shape[1]
            problems = [TrainingProblem(integers, column, penalty, loss) for column in seen.T]
            neurons = _neurons(problems, seed)
            features_of = problems[0].features(neurons.left, neurons.right)
            yield name, choose_readout(problems, features_of, neurons.weights, max(WIDTHS))[1]


def _neurons(problems: list[TrainingProblem], seed: int) -> SharedNeurons:
    """Neurons near the optimum of any width, each output's in its column."""
    found = []
    for problem in problems:
        columns = ColumnGeneration(problem, np.random.default_rng(seed))
        columns.run(ROUNDS, np.inf)
        columns.solve()
        found.append(columns.neurons)
    left = np.vstack([neurons.left for neurons in found])
    right = np.vstack([neurons.right for neurons in found])
    weights = block_diag(*(neurons.solution.weights[:, None] for neurons in found))
    return merge(SharedNeurons(left, right, weights.reshape(len(left), len(found))))


def _share(increase: float) -> str:
    """Percent to two digits."""
    if increase < LEAST:
        return f"< {100 * LEAST:.4f} %"
    digits = max(1 - int(np.floor(np.log10(100 * increase))), 0)
    return f"{100 * increase:.{min(digits, 4)}f} %"


if __name__ == "__main__":
    typer.run(main)
