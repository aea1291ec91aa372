"""Outputs with shared neurons against one-against-rest, at equal bytes: docs/outputs.md.

    python -m qdeploy.comparison.outputs --page docs/outputs.md

Both are followed along the same path of penalties with an 8-bit readout, beside the dictionary of
the compact mode; a byte count is that of packed weights and readout, 2·d·m/8 + m·K.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import joblib
import numpy as np
import typer
from numpy.typing import NDArray
from scipy.linalg import block_diag

from qdeploy.data import Dataset, InputQuantizer, read_dataset, split
from qdeploy.data.quantizer import Scaling
from qdeploy.files import write_text
from qdeploy.network import QuantizedNetwork
from qdeploy.training.assembly import build_network, drop_silent, merge
from qdeploy.training.columns import ColumnGeneration
from qdeploy.training.group.columns import GroupColumns
from qdeploy.training.group.problem import GroupProblem
from qdeploy.training.group.readout import group_readout
from qdeploy.training.group.selection import largest_group_beta
from qdeploy.training.losses import FloatArray, losses
from qdeploy.training.options import Outputs
from qdeploy.training.polish import SharedNeurons
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.readout import integer_readout
from qdeploy.training.selection import largest_beta
from qdeploy.training.threads import single_threaded
from qdeploy.training.trainer import encode, train

SHARES = np.logspace(-0.25, -1.75, 7)
"""Penalties, as shares of the one above which the zero network is optimal."""
BUDGETS = tuple(2**power for power in range(7, 16))
WIDTHS = (8, 32, 128)
BITS = 8
ROUNDS, TOLERANCE = 25, 2e-3
COMPACT_SECONDS = 20.0
PROOF_SHARES = (0.1, 0.03)
METHODS = {
    "separate": "one against the rest",
    "shared": "shared neurons",
    "compact": "compact mode",
}
EMPTY = "–"


@dataclass(frozen=True)
class Point:
    """One network.

    Attributes:
        method: key of `METHODS`.
        seed: of the split.
        size: bytes of weights and readout.
        accuracy: on the held-out rows.
    """

    method: str
    seed: int
    size: int
    accuracy: float


@dataclass(frozen=True)
class Gap:
    """Proven gap of one network of the certified mode."""

    method: str
    share: float
    neurons: int
    gap: float
    seconds: float


def main(
    data: Annotated[list[str] | None, typer.Argument(help="Data with a class label.")] = None,
    page: Annotated[Path | None, typer.Option(help="The page to write.")] = None,
    seeds: Annotated[int, typer.Option(help="Splits.")] = 3,
    rows: Annotated[int, typer.Option(help="At most so many rows, by chance.")] = 4000,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    proofs: Annotated[bool, typer.Option(help="Whether gaps are measured too.")] = True,
) -> None:
    """Compare, and print or write the page."""
    named = data or ["sklearn:wine", "sklearn:digits"]
    parts = []
    for name in named:
        dataset = _rows(read_dataset(name), rows)
        scaling: Scaling = "tensor" if dataset.features.std(axis=0).min() == 0 else "feature"
        found = joblib.Parallel(n_jobs=jobs)(
            joblib.delayed(_points)(dataset, scaling, seed) for seed in range(seeds)
        )
        points = [point for part in found for point in part]
        gaps = _gaps(dataset, scaling) if proofs else []
        title = f"{Path(name).stem.removeprefix('sklearn:')}: {len(dataset.features)} rows"
        parts.append(_section(title, points, gaps))
    text = "\n\n".join(parts)
    if page is None:
        typer.echo(text)
    else:
        before = page.read_text().split(MARK)[0] if page.exists() else ""
        write_text(page, f"{before}{MARK}\n\n{text}\n", overwrite=True)


MARK = "<!-- What follows is written by python -m qdeploy.comparison.outputs -->"


def _rows(dataset: Dataset, most: int) -> Dataset:
    order = np.random.default_rng(0).permutation(len(dataset.features))
    chosen = np.sort(order[:most])
    return replace(dataset, features=dataset.features[chosen], target=dataset.target[chosen])


def _points(dataset: Dataset, scaling: Scaling, seed: int) -> list[Point]:
    """Networks of all methods on one split."""
    training, test = split(dataset, 0.25, seed)
    _, targets = encode(training)
    quantizer = InputQuantizer.fit(training.features, training.feature_names, scaling)
    held_out = quantizer.quantize(test.features)
    integers = lift(quantizer.quantize(training.features))
    labels = np.unique(training.target)
    points = []

    def add(method: str, network: QuantizedNetwork) -> None:
        predicted = labels[network.forward(held_out).argmax(axis=1)]
        accuracy = float((predicted == test.target).mean())
        points.append(Point(method, seed, _bytes(network), accuracy))

    with single_threaded():
        for network in _separate(integers, targets, seed):
            add("separate", network)
        for network in _shared(integers, targets, seed):
            add("shared", network)
    for width in WIDTHS:
        trained = train(
            training,
            neurons=width,
            scaling=scaling,
            seed=seed,
            jobs=1,
            time_limit=COMPACT_SECONDS,
        )
        accuracy = trained.model.score(test.features, test.target)
        points.append(Point("compact", seed, _bytes(trained.network), accuracy))
    return points


def _bytes(network: QuantizedNetwork) -> int:
    """Packed signs, biases included as those of one more input, and 8-bit readout."""
    width = network.layers[0].width
    return -(-2 * (network.inputs + 1) * width // 8) + width * network.outputs


def _separate(
    integers: NDArray[np.int16], targets: FloatArray, seed: int
) -> Iterator[QuantizedNetwork]:
    """Networks of one-against-rest along the path."""
    loss = losses["squared"]
    generator = np.random.default_rng(seed)
    betas = SHARES * largest_beta(integers, targets, loss, generator)
    columns: list[ColumnGeneration] = []
    for beta in betas:
        penalty = float(beta) * integers.shape[1]
        problems = [TrainingProblem(integers, y, penalty, loss) for y in targets.T]
        columns = columns or [ColumnGeneration(problem, generator) for problem in problems]
        for problem, column in zip(problems, columns, strict=True):
            column.set_problem(problem)
            column.run(ROUNDS, tolerance=TOLERANCE)
        found = [column.neurons for column in columns]
        shared = merge(
            SharedNeurons(
                np.vstack([neurons.left for neurons in found]),
                np.vstack([neurons.right for neurons in found]),
                block_diag(*(n.solution.weights[:, None] for n in found)).reshape(-1, len(found)),
            )
        )
        features = problems[0].features(shared.left, shared.right)
        readout = integer_readout(problems, features, shared.weights, BITS)
        yield build_network(*drop_silent(shared, readout))


def _shared(
    integers: NDArray[np.int16], targets: FloatArray, seed: int
) -> Iterator[QuantizedNetwork]:
    """Networks of shared neurons along the path."""
    loss = losses["squared"]
    generator = np.random.default_rng(seed)
    betas = SHARES * largest_group_beta(integers, targets, loss, generator)
    columns: GroupColumns | None = None
    for beta in betas:
        problem = GroupProblem.of(integers, targets, float(beta) * integers.shape[1], loss)
        columns = columns or GroupColumns(problem, generator)
        columns.set_problem(problem)
        columns.run(ROUNDS, tolerance=TOLERANCE)
        shared = merge(columns.neurons)
        features = problem.first.features(shared.left, shared.right)
        readout = group_readout(problem, features, shared.weights, BITS)
        yield build_network(*drop_silent(shared, readout))


def _gaps(dataset: Dataset, scaling: Scaling) -> list[Gap]:
    """Proven gaps of both ways on the first split."""
    training, _ = split(dataset, 0.25, 0)
    _, targets = encode(training)
    quantizer = InputQuantizer.fit(training.features, training.feature_names, scaling)
    integers = lift(quantizer.quantize(training.features))
    gaps = []
    largest: dict[Outputs, Callable[..., float]] = {
        "separate": largest_beta,
        "shared": largest_group_beta,
    }
    for outputs, of in largest.items():
        top = of(integers, targets, losses["squared"], np.random.default_rng(0))
        for share in PROOF_SHARES:
            began = time.process_time()
            trained = train(
                training,
                beta=share * top,
                scaling=scaling,
                outputs=outputs,
                mode="certified",
                jobs=1,
            )
            seconds = time.process_time() - began
            gap = trained.certificate.gap
            gaps.append(Gap(outputs, share, trained.network.layers[0].width, gap, seconds))
    return gaps


def _section(title: str, points: Sequence[Point], gaps: Sequence[Gap]) -> str:
    lines = [f"## {title}", "", "| bytes at most | " + " | ".join(METHODS.values()) + " |"]
    lines.append("|---:" + "|---:" * len(METHODS) + "|")
    before = [EMPTY] * len(METHODS)
    for budget in BUDGETS:
        cells = [_cell(points, method, budget) for method in METHODS]
        if cells != before:
            lines.append(f"| {budget} | " + " | ".join(cells) + " |")
        before = cells
    if gaps:
        lines += ["", "| outputs | share of λ | neurons | proven gap | CPU seconds |"]
        lines.append("|---|---:|---:|---:|---:|")
        lines += [
            f"| {METHODS[g.method]} | {g.share:g} | {g.neurons} | {g.gap:.1%} | {g.seconds:.0f} |"
            for g in gaps
        ]
    return "\n".join(lines)


def _cell(points: Sequence[Point], method: str, budget: int) -> str:
    """Accuracy of the largest networks that fit, mean and deviation over the splits."""
    mine = [point for point in points if point.method == method]
    best = []
    for seed in sorted({point.seed for point in mine}):
        fitting = [p for p in mine if p.seed == seed and p.size <= budget]
        if fitting:
            best.append(max(fitting, key=lambda point: point.size).accuracy)
    if not best or len(best) < len({point.seed for point in mine}):
        return EMPTY
    spread = np.std(best, ddof=1) if len(best) > 1 else 0.0
    return f"{np.mean(best):.1%} ± {spread:.1%}"


if __name__ == "__main__":
    # Other processes must find the functions in their module, not in __main__.
    from qdeploy.comparison.outputs import main as run

    typer.run(run)
