"""What learned shifts of the inputs give on rows that training did not see.

python -m qdeploy.comparison.shifts sklearn:breast_cancer --seeds 5
"""

from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from qdeploy.data import read_dataset, split
from qdeploy.training.trainer import train

TEST_SIZE = 0.25


def main(
    data: Annotated[str, typer.Argument(help="As `qdeploy train` takes them.")],
    label: Annotated[str | None, typer.Option(help="Column to predict, for tables.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Splits, each with a training.")] = 5,
) -> None:
    """Train with and without shifts on several splits; print scores and proven gaps."""
    whole = read_dataset(data, label=label)
    table = Table("split", "score without", "with", "gap without", "with", "inputs shifted")
    scores = []
    for seed in range(seeds):
        rows, rest = split(whole, TEST_SIZE, seed)
        plain = train(rows, seed=seed)
        shifted = train(rows, seed=seed, input_shifts="learned")
        before, after = plain.model.quantizer, shifted.model.quantizer
        assert before is not None
        assert after is not None
        moved = (
            str(np.count_nonzero(before.scale != after.scale))
            if before.kept.size == after.kept.size
            else "other inputs"
        )
        pair = [run.model.score(rest.features, rest.target) for run in (plain, shifted)]
        scores.append(pair)
        gaps = [f"{run.certificate.gap:.3%}" for run in (plain, shifted)]
        table.add_row(str(seed), *(f"{score:.2%}" for score in pair), *gaps, moved)
    table.add_section()
    table.add_row("mean", *(f"{score:.2%}" for score in np.mean(scores, axis=0)), "", "", "")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
