"""A comparison as a Markdown page with drawings beside it, and as tables for programs."""

import csv
import io
import json
import re
from dataclasses import asdict
from pathlib import Path

from qdeploy.comparison.baselines import BASELINES, READOUT_BITS
from qdeploy.comparison.charts import accuracy_chart, loss_chart
from qdeploy.comparison.comparing import Comparison
from qdeploy.comparison.summary import Row
from qdeploy.comparison.wording import HEADINGS, cells, percent, sentences
from qdeploy.files import write_text

__all__ = ["write_page", "write_tables"]


def write_page(comparison: Comparison, page: Path, command: str, *, overwrite: bool) -> list[Path]:
    """Write the page and its drawings.

    Args:
        comparison: what is told.
        page: the Markdown file; the drawings get its name and that of the data.
        command: the words that make it again.
        overwrite: whether the files may exist.

    Raises:
        QDeployError: a file exists and `overwrite` is False, or it cannot be written.
    """
    written, parts = [], [_opening(comparison, command)]
    for data in comparison.data:
        parts.append(_section(comparison, data))
        drawings = {
            "loss": ("Training loss over the width", loss_chart(comparison, data)),
            "accuracy": ("Test accuracy against bytes", accuracy_chart(comparison, data)),
        }
        for kind, (title, drawing) in drawings.items():
            if drawing is None:
                continue
            place = page.with_name(f"{page.stem}-{_slug(data)}-{kind}.svg")
            written.append(write_text(place, drawing, overwrite=overwrite))
            parts.append(f"![{data}: {title.lower()}]({place.name})")
    text = "\n\n".join(parts) + "\n"
    return [write_text(page, text, overwrite=overwrite), *written]


def write_tables(comparison: Comparison, folder: Path) -> list[Path]:
    """Write ``comparison.json`` (options, rows, runs) and ``comparison.csv`` (the runs).

    Args:
        comparison: what is told.
        folder: of the comparison; its own tables are replaced.
    """
    runs = [asdict(result) for result in comparison.results]
    rows = [asdict(row) for row in comparison.rows]
    values = {"plan": asdict(comparison.plan), "rows": rows, "runs": runs}
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, list(runs[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(runs)
    return [
        write_text(folder / "comparison.json", json.dumps(values, indent=1) + "\n", overwrite=True),
        write_text(folder / "comparison.csv", buffer.getvalue(), overwrite=True),
    ]


def _opening(comparison: Comparison, command: str) -> str:
    plan = comparison.plan
    methods = "\n".join(
        f"- **{BASELINES[name].label}** (`{name}`): {BASELINES[name].about}."
        for name in plan.methods
    )
    splits = "one split" if plan.seeds == 1 else f"{plan.seeds} splits"
    widest = max(plan.neurons, default=0)
    return f"""# Against what people do today

This page is the output of

```sh
{command}
```

It reports what was found, rows that beat ours included. All figures are measured, over {splits}
that hold {percent(plan.test_size)} of the rows out; every method has the same splits.

## The methods

{methods}

Networks of a given width all have m neurons with weights of ±1, the same int8 inputs
({plan.scaling} scaling; the compact mode scales them further), a readout of {READOUT_BITS}
bits, the squared loss, and {plan.seconds:g} s of wall time on one core, in which each but the
closest fit chooses its ridge (or beta) on held-out rows of its training part. The certified mode
has {plan.proof_seconds:g} s for its proof and no given width; float references have no limit. What
is chosen or kept is told by training rows alone.

## The columns

- **training loss**: ½ Σ (f − y)² a row, summed over the outputs, of the integer network as
  deployed. *To ours*: against our closest fit of the same width (or our compact network, where
  that did not take part), means over the splits; *below ours*: on how many splits it is lower. A
  ridge that predicts well lets go of training loss: among networks that chose their ridges, a
  lower loss may only mean a smaller ridge.
- **objective**: loss + λ Σ|α| a row, at the λ of the proven gap; it can be compared where λ and
  inputs are the same, that is, not between "own λ" and the others.
- **proven gap**: how far that objective can be from the best network of any width on the same
  inputs, the largest over the splits. The certified run on the same split proves the bound, at its
  λ. A network on inputs scaled otherwise has its own certificate, at
  the λ that says most for it; "own λ" marks that, and the two are not to be compared. A method
  that spends large readout weights to lower its loss has a large gap at a λ that prices them.
  Where nothing was proven the column says so.
- **test accuracy**: mean over the splits with its 95 % interval, a t interval corrected for the
  rows that training parts share (Nadeau & Bengio, 2003); few splits make it wide, and it knows
  only the scatter of the splits. *To ours*: the paired difference to the compact network on the
  same splits, of the same width, or of m = {widest} where a method has no width.
- **bytes**: weights and biases as deployed, as `qdeploy inspect` counts them; float references
  with 4 bytes a parameter, 8 an inner node of a tree.
- **seconds**: wall time of training, what was chosen and proven included. A method that runs over
  its time shows it here. A slower or busier machine does less in the same time, so that another
  run of the command differs in its figures."""


def _section(comparison: Comparison, data: str) -> str:
    rows = comparison.of(data)
    runs = [result for result in comparison.results if result.data == data]
    lines = [
        f"| {' | '.join(HEADINGS)} |",
        f"|{'|'.join('---' if name == 'method' else '---:' for name in HEADINGS)}|",
        *(f"| {' | '.join(_marked(row, comparison.plan.seeds))} |" for row in rows),
    ]
    count = f"{runs[0].train_rows} rows to train, {runs[0].test_rows} to test"
    told = "\n".join(f"- {sentence}" for sentence in sentences(rows, comparison.plan.seeds))
    return f"## {data}\n\n{count}.\n\n" + "\n".join(lines) + f"\n\n{told}"


def _marked(row: Row, seeds: int) -> list[str]:
    """The cells of a row; ours in bold."""
    texts = cells(row, seeds)
    place = HEADINGS.index("method")
    if BASELINES[row.method].family == "ours":
        texts[place] = f"**{texts[place]}**"
    return texts


def _slug(data: str) -> str:
    """The name of data in a file name."""
    return re.sub(r"[^0-9A-Za-z]+", "-", Path(data).stem.rpartition(":")[2]).strip("-").lower()
