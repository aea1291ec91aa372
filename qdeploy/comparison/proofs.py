"""How far proofs come in a given time: the table of docs/proofs.md.

    python -m qdeploy.comparison.proofs --page docs/proofs.md --seconds 90

Every output is trained by itself to a wanted gap or until the time is up, with an 8-bit readout.
A second table proves the norm of the residual that training leaves, at sizes just beyond
enumeration. Finished rows are kept in a file beside the page (.json) and not made again.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import joblib
import numpy as np
import typer
from numpy.typing import NDArray

from qdeploy.data import Dataset, InputQuantizer, dataset_from_arrays, read_dataset, split
from qdeploy.data.quantizer import Scaling
from qdeploy.files import write_text
from qdeploy.training.assembly import build_network, drop_silent, gather, merge
from qdeploy.training.bounds import Request
from qdeploy.training.bounds.branch_and_bound import branch_and_bound
from qdeploy.training.columns import ColumnGeneration
from qdeploy.training.losses import losses
from qdeploy.training.output import Effort, train_output
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.proof import certificate_for
from qdeploy.training.selection import select_beta
from qdeploy.training.sized_readout import family_readout
from qdeploy.training.threads import single_threaded
from qdeploy.training.trainer import encode

TEST_SIZE = 0.25
READOUT_BITS = 8
DIGITS_BETA = 19.31918
"""What cross-validation chose for the model of the zoo, and choosing takes minutes."""
PIXELS = (40, 47)
"""Of the digits those that vary most; the constant input comes to them."""
PRODUCTS = 5
"""Features of the breast cancer data whose products are inputs as well."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One data set.

    Attributes:
        title: heading of its rows.
        rows: all of it.
        gap: wanted.
        beta: β, or None for cross-validation.
        scaling: of the inputs.
        outputs: which of them, or None for all.
        norm: whether the norm at the optimum is proven, in place of the gap.
    """

    title: str
    rows: Dataset
    gap: float
    beta: float | None = None
    scaling: Scaling = "feature"
    outputs: tuple[int, ...] | None = None
    norm: bool = False


@dataclass(frozen=True)
class Row:
    """What was proven of one output.

    Attributes:
        title: data and class.
        inputs: d, the constant one included.
        beta: β.
        neurons: in use.
        share: gap of the deployed network, or by how much the proven norm exceeds λ.
        known: by how much the norm that is attained exceeds λ; nothing in the first table.
        leaves: of the tree that proves it; 0 without a tree.
        seconds: by the clock.
        processor: seconds of this process on a core.
    """

    title: str
    inputs: int
    beta: float
    neurons: int
    share: float
    known: float | None
    leaves: int
    seconds: float
    processor: float


def main(
    page: Annotated[Path, typer.Option(help="The Markdown file to write.")],
    seconds: Annotated[float, typer.Option(help="For one output.")] = 90.0,
    jobs: Annotated[int, typer.Option(help="Cores, as joblib counts them.")] = -1,
    data: Annotated[list[Path] | None, typer.Option(help="More data: NAME.npz with X, y.")] = None,
) -> None:
    """Train and prove, then write the page."""
    store = page.with_suffix(".json")
    made = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    cores = joblib.effective_n_jobs(jobs)
    with single_threaded():
        for trial in _trials(data or []):
            for title, problem, beta in _problems(trial, set(made), jobs):
                made[title] = asdict(_proven(trial, title, problem, beta, seconds, cores))
                write_text(store, json.dumps(made, indent=1), overwrite=True)
                row = Row(**made[title])
                typer.echo(f"{title}: {row.share:.3%}, {row.seconds:.0f} s")
    rows = [Row(**row) for row in made.values()]
    write_text(page, _page(rows, page, data or [], seconds, cores), overwrite=True)


def _trials(more: list[Path]) -> Iterator[Trial]:
    cancer, digits = (read_dataset(f"sklearn:{name}") for name in ("breast_cancer", "digits"))
    others = {path.stem: read_dataset(str(path)) for path in more}
    yield Trial("Breast cancer", cancer, 0.005)
    for name, rows in others.items():
        yield Trial(name.capitalize(), rows, 0.005)
    yield Trial("Digits", digits, 0.03, DIGITS_BETA, "tensor")
    spread = digits.features.std(axis=0)
    for count in PIXELS:
        kept = np.sort(np.argsort(-spread)[:count])
        rows = dataset_from_arrays(digits.features[:, kept], digits.target, task="classify")
        title = f"Digits, {count} pixels"
        yield Trial(title, rows, 0.0, DIGITS_BETA, "tensor", outputs=(0, 8), norm=True)
    first = cancer.features[:, :PRODUCTS]
    first = (first - first.mean(axis=0)) / first.std(axis=0)
    places = np.triu_indices(PRODUCTS, 1)
    products = np.hstack([cancer.features, first[:, places[0]] * first[:, places[1]]])
    rows = dataset_from_arrays(products, cancer.target, task="classify")
    yield Trial("Breast cancer with products", rows, 0.0, norm=True)
    for name, rows in others.items():
        if rows.features.shape[1] < 48:
            yield Trial(f"{name.capitalize()}, norm", rows, 0.0, norm=True)


def _problems(
    trial: Trial, made: set[str], jobs: int
) -> Iterator[tuple[str, TrainingProblem, float]]:
    """The outputs that are not made yet, with β."""
    training, _ = split(trial.rows, TEST_SIZE, 0)
    _, targets = encode(training)
    chosen = range(targets.shape[1]) if trial.outputs is None else trial.outputs
    titles = {k: f"{trial.title}, {k}" if targets.shape[1] > 1 else trial.title for k in chosen}
    if all(title in made for title in titles.values()):
        return
    quantizer = InputQuantizer.fit(training.features, training.feature_names, trial.scaling)
    integers, loss = lift(quantizer.quantize(training.features)), losses["squared"]
    beta = trial.beta
    if beta is None:
        beta = select_beta(integers, targets, loss, training.task, jobs=jobs).beta
    for k, title in titles.items():
        if title not in made:
            penalty = beta * integers.shape[1]
            yield title, TrainingProblem(integers, targets[:, k], penalty, loss), beta


def _proven(
    trial: Trial, title: str, problem: TrainingProblem, beta: float, seconds: float, cores: int
) -> Row:
    began, used = time.monotonic(), time.process_time()
    known = None
    if trial.norm:
        columns = ColumnGeneration(problem, np.random.default_rng(0))
        columns.run(400, began + seconds)
        neurons = len(columns.neurons.left)
        share, known, leaves = _norm(problem, columns.residual, began + seconds, cores)
    else:
        effort = Effort(gap=trial.gap, seconds=seconds, cores=cores)
        trained = train_output(problem, effort, [0])
        shared = merge(gather([trained]))
        shared, readout = drop_silent(shared, family_readout([problem], shared, READOUT_BITS))
        network = build_network(shared, readout)
        share = certificate_for([problem], [trained.dual], network, readout, beta).gap
        neurons, tree = len(shared.left), trained.dual.tree
        leaves = 0 if tree is None else len(tree.fixed)
    return Row(
        title,
        problem.dimension,
        beta,
        neurons,
        share,
        known,
        leaves,
        time.monotonic() - began,
        time.process_time() - used,
    )


def _norm(
    problem: TrainingProblem, residual: NDArray[np.float64], deadline: float, cores: int
) -> tuple[float, float, int]:
    """By how much the proven and the attained norm exceed λ, and the leaves of the proof."""
    integers = problem.loss.round_residual(residual, problem.targets)
    request = Request(time_limit=deadline - time.monotonic())
    proof = branch_and_bound(problem.integer_matrix(integers), request, cores)
    unit = float(np.abs(residual).sum() / np.abs(integers).sum()) * problem.norm_unit
    leaves = 0 if proof.tree is None else len(proof.tree.fixed)
    shares = [
        unit * value / problem.penalty - 1 for value in (proof.norm_bound, proof.attained.value)
    ]
    return shares[0], shares[1], leaves


def _given(data: list[Path]) -> str:
    return "".join(f" --data {path.name}" for path in data)


def _page(rows: list[Row], page: Path, data: list[Path], seconds: float, cores: int) -> str:
    lines = [
        "# How far proofs come",
        "",
        f"Written by `python -m qdeploy.comparison.proofs --page docs/{page.name}{_given(data)}`.",
        f"Squared loss, {cores} core{'s' if cores > 1 else ''}, at most {seconds:g} s an output;",
        "75 % of the rows train. β is chosen by cross-validation; for the digits it is that of the",
        "model in models/.",
        "",
        "The gap is that of the deployed network with an 8-bit readout to the best of any width.",
        "CPU is what this process had of the cores in that time.",
        "",
        "| data | d | β | neurons | gap | leaves | s | CPU s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row.known is None:
            lines.append(
                f"| {row.title} | {row.inputs} | {row.beta:.3g} | {row.neurons} "
                f"| {row.share:.2%} {_ending(row)}"
            )
    lines += [
        "",
        "## The norm at the optimum of training",
        "",
        "For the residual that column generation leaves, branch and bound proves",
        "‖G‖ ≤ λ(1 + ε) in the rest of the time. There the norm is attained by all neurons in use",
        "at once, which makes it hardest to bound; a certificate has another residual, of which",
        "more is proven. *Known* is the largest value that a neuron was found to attain.",
        "",
        "| data | d | neurons | ε proven | known | leaves | s | CPU s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row.known is not None:
            lines.append(
                f"| {row.title} | {row.inputs} | {row.neurons} "
                f"| {row.share:.2%} | {row.known:.3%} {_ending(row)}"
            )
    return "\n".join(lines) + "\n"


def _ending(row: Row) -> str:
    return f"| {row.leaves or '–'} | {row.seconds:.0f} | {row.processor:.0f} |"


if __name__ == "__main__":
    typer.run(main)
