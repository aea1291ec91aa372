"""Objective, bound and accuracy against bits per weight: docs/bits-per-weight.md.

    python -m qdeploy.comparison.bits --page docs/bits-per-weight.md

Every alphabet is trained to its certificate at the same β; elimination and moves between levels
then reduce it to some numbers of neurons, and to what fits some numbers of bytes. A byte count is
that of packed weights, the constant input's included, and an 8-bit readout: m·(2·d·bits/8 + 1).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from qdeploy.comparison.charts import standing_alone
from qdeploy.data import Dataset, InputQuantizer, read_dataset, split
from qdeploy.files import write_text
from qdeploy.model import Model
from qdeploy.training.assembly import build_network, drop_silent, gather, merge
from qdeploy.training.losses import losses
from qdeploy.training.neurons import NeuronFamily, PenaltyKind, family_of
from qdeploy.training.output import Effort, train_output
from qdeploy.training.polish import SharedNeurons, reduce_neurons
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import DualPoint, certificate_for
from qdeploy.training.selection import largest_beta
from qdeploy.training.sized_readout import family_readout
from qdeploy.training.threads import single_threaded
from qdeploy.training.trainer import encode

ALPHABETS = ("binary", "ternary", "2-bit", "3-bit", "4-bit")
PENALTIES: dict[PenaltyKind, str] = {
    "size": "Penalty `size`: a neuron costs λ |α| ‖u‖‖v‖/d",
    "count": "Penalty `count`: a neuron costs λ |α| L², L the largest level",
}
NEURONS = (4, 8, 16)
BYTES = (128, 256, 512)
SHARE = 0.03
"""β as a share of the one above which the network of ±1 neurons is zero."""
SECONDS = 40.0
ROWS = 600
"""Training rows taken of a data set that has more."""
READOUT_BITS = 8
EVEN = 5e-4
"""Share by which the objective of the fewest bits may be above the lowest."""


@dataclass(frozen=True)
class Trial:
    """One data set.

    Attributes:
        title: heading.
        source: as the command line names it.
        positive: the labels that count as one class, where there are many.
    """

    title: str
    source: str
    positive: tuple[int, ...] = ()


TRIALS = (
    Trial("Breast cancer", "sklearn:breast_cancer"),
    Trial("Diabetes", "sklearn:diabetes"),
    Trial("Digits, 5 to 9 against 0 to 4", "sklearn:digits", (5, 6, 7, 8, 9)),
)


@dataclass(frozen=True)
class Outcome:
    """One deployed network.

    Attributes:
        alphabet: of its weights.
        penalty: that it was trained with.
        budget: "free", or the neurons or bytes allowed, as in "8 neurons".
        neurons: in use.
        objective: exact, rounded up.
        bound: proven for any width.
        score: accuracy or R² on held-out rows.
    """

    alphabet: str
    penalty: PenaltyKind
    budget: str
    neurons: int
    objective: float
    bound: float
    score: float


def main(
    page: Annotated[Path, typer.Option(help="The Markdown file to write.")],
    seed: Annotated[int, typer.Option(help="Of splits and training.")] = 0,
) -> None:
    """Train, measure, write the page and its drawing."""
    began = time.process_time()
    with single_threaded():
        outcomes = {trial.title: list(_outcomes(trial, seed)) for trial in TRIALS}
    picture = page.with_suffix(".svg")
    text = _page(outcomes, picture.name, page, time.process_time() - began)
    write_text(page, text, overwrite=True)
    write_text(picture, _drawing(outcomes), overwrite=True)


def _read(trial: Trial, seed: int) -> tuple[Dataset, Dataset]:
    """Training and test rows."""
    whole = read_dataset(trial.source)
    if trial.positive:
        whole = replace(whole, target=np.isin(whole.target, trial.positive).astype(np.int64))
    training, test = split(whole, 0.25, seed)
    if len(training.features) > ROWS:
        chosen = np.random.default_rng(seed).permutation(len(training.features))[:ROWS]
        training = replace(
            training, features=training.features[chosen], target=training.target[chosen]
        )
    return training, test


def _outcomes(trial: Trial, seed: int) -> Iterator[Outcome]:
    training, test = _read(trial, seed)
    head, targets = encode(training)
    quantizer = InputQuantizer.fit(training.features, training.feature_names, "feature")
    integers, loss = lift(quantizer.quantize(training.features)), losses["squared"]
    beta = SHARE * largest_beta(integers, targets, loss, np.random.default_rng(seed))
    plain = TrainingProblem(integers, targets[:, 0], beta * integers.shape[1], loss)
    binary = train_output(plain, Effort(seconds=SECONDS), [seed])

    def deployed(
        problem: TrainingProblem, shared: SharedNeurons, dual: DualPoint, budget: str
    ) -> Outcome:
        readout = family_readout([problem], shared, READOUT_BITS)
        kept, readout = drop_silent(shared, readout)
        network = build_network(kept, readout)
        proof = certificate_for([problem], [dual], network, readout, beta)
        model = Model("trial", network, readout.scale, head, quantizer, proof, {})
        score = model.score(test.features, test.target)
        family = problem.family
        width = len(kept.left)
        return Outcome(
            family.name, family.penalty, budget, width, proof.objective, proof.bound, score
        )

    for penalty in PENALTIES:
        for alphabet in ALPHABETS:
            family = family_of(alphabet, penalty)
            problem = replace(plain, family=family)
            if family.by_size:
                trained = train_output(problem, Effort(seconds=SECONDS), [seed])
                found = merge(gather([trained]))
            else:
                trained, found = binary, merge(gather([binary]))
                corners = [family.corners(side) for side in (found.left, found.right)]
                found = SharedNeurons(corners[0], corners[1], found.weights)
            yield deployed(problem, found, trained.dual, "free")
            budgets = {f"{count} neurons": count for count in NEURONS}
            budgets |= {f"{size} bytes": fitting(family, problem.dimension, size) for size in BYTES}
            reduced: dict[int, SharedNeurons] = {}
            for budget, count in budgets.items():
                if count < 1:
                    continue
                if count not in reduced:
                    reduced[count] = merge(reduce_neurons([problem], found, count))
                yield deployed(problem, reduced[count], trained.dual, budget)


def fitting(family: NeuronFamily, dimension: int, size: int) -> int:
    """Most neurons of a family that fit `size` bytes."""
    return int(size * 8 // (2 * dimension * family.bits + READOUT_BITS))


def _page(outcomes: dict[str, list[Outcome]], picture: str, page: Path, seconds: float) -> str:
    columns = ["free", *(f"{n} neurons" for n in NEURONS), *(f"{n} bytes" for n in BYTES)]
    parts = [
        "# Bits per weight",
        f"""Written by `python -m qdeploy.comparison.bits --page docs/{page.name}`, which took
{seconds:.0f} s of CPU. One run each, seed 0: differences of a point of the score mean nothing.""",
        f"""What do more bits per weight buy? Every alphabet is trained at the same β, {SHARE:g} of
the one above which a ±1 network is zero, on at most {ROWS} rows, with the squared loss. *Free* is
as many neurons as help; the other columns are the same network reduced to so many neurons, or to
what fits so many bytes (packed weights and an {READOUT_BITS}-bit readout). A cell is the objective
of the deployed integer network, exactly, then its score on held-out rows (accuracy, or R² for
numbers), and in brackets the neurons. *Bound* is proven: no network of the row's kind, of any
width, has a lower objective ([certificate.md](certificate.md)). Under `count` the bound is the same
for all alphabets, since more levels cannot lower the optimum of any width; under `size` that of all
but ±1 holds for real weights as well.""",
        f"![Objective over the bound against bits per weight]({picture})",
        _findings(outcomes, columns),
    ]
    for title, found in outcomes.items():
        parts.append(f"## {title}")
        for penalty, name in PENALTIES.items():
            parts.append(name + ".")
            lines = ["| weights | bound | " + " | ".join(columns) + " |"]
            lines.append("|---|---:" + "|---:" * len(columns) + "|")
            for alphabet in ALPHABETS:
                mine = {
                    o.budget: o for o in found if (o.alphabet, o.penalty) == (alphabet, penalty)
                }
                cells = [_cell(mine.get(column)) for column in columns]
                bound = f"{mine['free'].bound:.2f}"
                lines.append(f"| {alphabet} | {bound} | " + " | ".join(cells) + " |")
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "–"
    width = "" if outcome.budget.endswith("neurons") else f" ({outcome.neurons})"
    return f"{outcome.objective:.2f}, {100 * outcome.score:.1f} %{width}"


def _findings(outcomes: dict[str, list[Outcome]], columns: list[str]) -> str:
    """A table of the best alphabet and how much lower its objective is than that of ±1 weights."""
    lines = [
        f"The fewest bits whose objective is within {EVEN:.2%} of the lowest in the column, and",
        "how far below that of ±1 weights it is (`count` and `size` are different problems):",
        "",
    ]
    lines.append("| data, penalty | " + " | ".join(columns) + " |")
    lines.append("|---|" + "---:|" * len(columns))
    for title, found in outcomes.items():
        for penalty in PENALTIES:
            cells = []
            for column in columns:
                mine = [o for o in found if (o.penalty, o.budget) == (penalty, column)]
                least = min(outcome.objective for outcome in mine)
                best = next(o for o in mine if o.objective <= least * (1 + EVEN))
                plain = next(o for o in mine if o.alphabet == "binary")
                saved = 1 - best.objective / plain.objective
                cells.append("binary" if best is plain else f"{best.alphabet}, {saved:.1%}")
            lines.append(f"| {title}, `{penalty}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _drawing(outcomes: dict[str, list[Outcome]]) -> str:
    """Objective over the proven bound of real weights, a panel a data set."""
    from qdeploy.benchmark.charts.drawing import GRID, INK, SERIES, WIDE, canvas, style, svg

    title = "Objective over the bound for real weights, against bits per weight"
    with style(title):
        drawing = canvas(3.6, WIDE)
        panels = drawing.subplots(1, len(outcomes))
        budgets = ("free", f"{NEURONS[1]} neurons", f"{BYTES[1]} bytes")
        for panel, (name, found) in zip(panels, outcomes.items(), strict=True):
            mine = [o for o in found if o.penalty == "size"]
            bound = next(o.bound for o in mine if o.alphabet != "binary")
            for place, budget in enumerate(budgets):
                points = [
                    (ALPHABETS.index(o.alphabet), o.objective / bound)
                    for o in mine
                    if o.budget == budget
                ]
                panel.plot(
                    *zip(*points, strict=True), color=SERIES[place], marker="o", label=budget
                )
            panel.axhline(1.0, color=INK, linewidth=1, linestyle="--", label="proven bound")
            panel.set_xticks(range(len(ALPHABETS)), ["±1", "ternary", "2", "3", "4"])
            panel.set_title(name, fontsize=10)
            panel.set_xlabel("bits per weight")
            panel.grid(color=GRID, linewidth=0.8)
            panel.spines[:].set_visible(False)
        panels[0].set_ylabel("objective / bound")
        panels[-1].legend(frameon=False, labelcolor=INK)
        return standing_alone(svg(drawing, title))


if __name__ == "__main__":
    typer.run(main)
