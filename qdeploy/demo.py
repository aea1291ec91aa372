"""The whole pipeline on models of the zoo: train, prove, compile, verify, measure, report.

One of them is compiled for a microcontroller, and one also for an ARM board, by what comes with
Python packages alone.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qdeploy.data import Dataset
from qdeploy.errors import QDeployError
from qdeploy.files import check_writable
from qdeploy.model import Model
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.recipes import Recipe, Trained, c_name, load_recipe, train_recipe, zoo

if TYPE_CHECKING:
    from qdeploy.benchmark import BenchmarkReport
    from qdeploy.checker import CheckResult
    from qdeploy.compiler import Artifact

__all__ = [
    "DEMO_MODELS",
    "DEMO_TARGETS",
    "Demo",
    "Outcome",
    "carry_out",
    "measure",
    "run_demo",
]

DEMO_MODELS = ("breast-cancer", "digits", "breast-cancer-mcu")
"""Models of the zoo that the demo trains."""

DEMO_TARGETS = {"breast-cancer-mcu": "nucleo-l4r5zi", "digits-mcu": "nucleo-l4r5zi"}
"""What they are compiled for, where it is not this machine."""

DEMO_BOARDS = {"breast-cancer": "raspberry-pi-5"}
"""What they are compiled for besides."""

BOARD_PEERS = ("tvm-default", "plain-c", "linear-int8")
"""Implementations beside qdeploy's there: those that need no long training."""

_BENCHMARK_SECONDS = 0.4
"""For each figure from a clock: short, so that the demo is; `qdeploy bench` is longer."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one recipe.

    Attributes:
        name: the model's name in the zoo.
        trained: network, certificate, scores.
        check: the certificate, proved again from the file.
        model: the ONNX file.
        artifact: what it was compiled to.
        benchmark: its figures beside the others'.
        seconds: time for all of it.
    """

    name: str
    trained: Trained
    check: "CheckResult"
    model: Path
    artifact: "Artifact"
    benchmark: "BenchmarkReport"
    seconds: float

    @property
    def title(self) -> str:
        """Its name in words, with the target where that is not this machine."""
        words = self.name.removesuffix("-mcu").replace("-", " ").capitalize()
        target = self.artifact.target
        return words if target == "cpu" else f"{words} on {target}"


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo made.

    Attributes:
        outcomes: one a model.
        report: the HTML file.
        seconds: time for all of it.
    """

    outcomes: tuple[Outcome, ...]
    report: Path
    seconds: float


def run_demo(
    output: Path,
    *,
    names: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Demo:
    """Carry out recipes of the zoo and write one report.

    Args:
        output: folder for the models, artifacts, figures and report.html.
        names: models of the zoo; by default `DEMO_MODELS`.
        overwrite: whether the folder may exist; files of the same names are then replaced.
        progress: told about every step.

    Raises:
        QDeployError: the folder exists, a recipe is missing, or a step fails.
    """
    from qdeploy.benchmark.report import CompileSummary, ReportSection, write_report

    started = time.perf_counter()
    check_writable(output, overwrite=overwrite)
    names, known = names or DEMO_MODELS, zoo()
    missing = [name for name in names if name not in known]
    if missing:
        raise QDeployError(
            f"there is no recipe for {missing[0]!r}; "
            f"known are {', '.join(known) or 'none: this installation lacks its models folder'}"
        )
    outcomes: list[Outcome] = []
    for name in names:
        outcome = carry_out(
            name,
            load_recipe(known[name] / "recipe.toml"),
            output / name,
            target=DEMO_TARGETS.get(name, "cpu"),
            benchmark_seconds=_BENCHMARK_SECONDS,
            overwrite=overwrite,
            progress=progress,
        )
        outcomes.append(outcome)
        if (board := DEMO_BOARDS.get(name)) is not None:
            folder = output / f"{name}-{board}"
            outcomes.append(on_board(outcome, board, folder, overwrite, progress))
    progress(ProgressEvent("writing the report", 0))
    report = write_report(
        output / "report.html",
        [
            ReportSection(
                model=outcome.trained.model,
                title=outcome.title,
                history=outcome.trained.result.history,
                scores=outcome.trained.scores,
                benchmark=outcome.benchmark,
                compiled=CompileSummary.of(outcome.artifact),
            )
            for outcome in outcomes
        ],
        overwrite=overwrite,
    )
    return Demo(tuple(outcomes), report, time.perf_counter() - started)


def measure(
    subject: "Model | Artifact",
    output: Path,
    *,
    target: str | None = None,
    dataset: tuple[Dataset, Dataset] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **options: Any,
) -> "BenchmarkReport":
    """Benchmark one model and write its figures, its report and, where it was made, its artifact.

    Args:
        subject: a model, which is compiled first, or its artifact.
        output: folder for benchmark.json, report.html and the artifact.
        target: name of the target or its file; by default the artifact's, or this machine.
        dataset: training and test rows; without them no accuracy and no peer that learns.
        overwrite: whether the folder may exist; files of the same names are then replaced.
        progress: told about every step.
        options: as for `qdeploy.bench`.

    Raises:
        QDeployError: the folder exists, or a step fails.
    """
    from qdeploy.benchmark import bench
    from qdeploy.benchmark.report import CompileSummary, ReportSection, write_report
    from qdeploy.benchmark.running import check_options
    from qdeploy.compiler import compile_model

    check_writable(output, overwrite=overwrite)
    check_options(subject, target=target, **options)
    if isinstance(subject, Model):
        subject = compile_model(
            subject,
            target or "cpu",
            output / "artifact",
            optimize=options.pop("optimize", None),
            overwrite=overwrite,
            progress=progress,
        )
    figures = bench(
        subject,
        target=target,
        dataset=dataset,
        output=output,
        overwrite=overwrite,
        progress=progress,
        **options,
    )
    model = subject.model
    parts = zip(("train", "test"), dataset or (), strict=False)
    section = ReportSection(
        model=model,
        title=model.name,
        history=(),
        scores={part: model.score(rows.features, rows.target) for part, rows in parts},
        benchmark=figures,
        compiled=CompileSummary.of(subject),
    )
    write_report(output / "report.html", [section], overwrite=overwrite)
    return figures


def carry_out(
    name: str,
    recipe: Recipe,
    folder: Path,
    *,
    target: str = "cpu",
    benchmark_seconds: float | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Outcome:
    """Train, prove again, compile, verify and measure one recipe.

    Args:
        name: the model's name.
        recipe: data and options.
        folder: gets NAME.onnx, the artifact and the figures.
        target: what it is compiled for and measured on.
        benchmark_seconds: for each figure from a clock; the target's by default.
        overwrite: whether they may exist.
        progress: told about every step, with the name of the model.

    Raises:
        QDeployError: a step fails; a certificate that does not hold is such a failure.
    """
    from qdeploy import onnx
    from qdeploy.benchmark import bench
    from qdeploy.checker import certify
    from qdeploy.compiler import compile_model

    started = time.perf_counter()
    named = _prefixed(name, progress)
    trained = train_recipe(recipe, name=c_name(name), progress=named)
    path = folder / f"{name}.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(trained.model, path, overwrite=overwrite)
    model = onnx.load(path)
    check = certify(model, trained.train, progress=named)
    if not check.holds:
        raise QDeployError(f"{name}: the certificate does not hold: {check.reason}")
    artifact = compile_model(
        model,
        target,
        folder / "artifact",
        overwrite=overwrite,
        samples=trained.train.features,
        progress=named,
    )
    benchmark = bench(
        artifact,
        dataset=None if trained.test is None else (trained.train, trained.test),
        output=folder,
        seconds=benchmark_seconds,
        overwrite=overwrite,
        progress=named,
    )
    return Outcome(
        name=name,
        trained=trained,
        check=check,
        model=path,
        artifact=artifact,
        benchmark=benchmark,
        seconds=time.perf_counter() - started,
    )


def on_board(
    outcome: Outcome, target: str, folder: Path, overwrite: bool, progress: Progress
) -> Outcome:
    """Compile and measure a trained model for another target.

    Args:
        outcome: what became of its recipe.
        target: a board.
        folder: gets the artifact and the figures.
        overwrite: whether they may exist.
        progress: told about every step, with the name of the board.

    Raises:
        QDeployError: a step fails.
    """
    from qdeploy import onnx
    from qdeploy.benchmark import bench
    from qdeploy.compiler import compile_model

    started = time.perf_counter()
    named = _prefixed(f"{outcome.name} on {target}", progress)
    trained = outcome.trained
    artifact = compile_model(
        onnx.load(outcome.model),
        target,
        folder / "artifact",
        overwrite=overwrite,
        samples=trained.train.features,
        progress=named,
    )
    benchmark = bench(
        artifact,
        dataset=None if trained.test is None else (trained.train, trained.test),
        output=folder,
        peers=BOARD_PEERS,
        overwrite=overwrite,
        progress=named,
    )
    return replace(
        outcome,
        artifact=artifact,
        benchmark=benchmark,
        seconds=time.perf_counter() - started,
    )


def _prefixed(name: str, progress: Progress) -> Callable[[ProgressEvent], None]:
    def tell(event: ProgressEvent) -> None:
        stage = f"{name}: {event.stage}"
        progress(ProgressEvent(stage, event.completed, event.total, event.detail))

    return tell
