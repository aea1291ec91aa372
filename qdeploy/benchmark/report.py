"""The self-contained HTML report: what was trained, what is proven, how fast it is beside others.

Everything is inside the one file: styles and drawings inline, no script, nothing fetched. All text
goes through the template's escaping; drawings are made here and carry no text of the user's but
the model's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qdeploy.benchmark import wording
from qdeploy.benchmark.charts import Bar, Line, TrainingPoint, bars, dots, lines, training_curve
from qdeploy.benchmark.figures import METRICS, Figure
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.files import check_writable, write_text
from qdeploy.model import Classes, Model

if TYPE_CHECKING:
    from markupsafe import Markup

    from qdeploy.compiler import Artifact

__all__ = ["CompileSummary", "ReportSection", "write_report"]

OWN = "qdeploy"
RIVAL = "onnxruntime"


@dataclass(frozen=True)
class CompileSummary:
    """What compilation gave.

    Attributes:
        form: kernel form of the single-sample function.
        verified: inputs on which every implementation gave the same bits.
        flash_bytes: code and constants.
        ram_bytes: scratch.
    """

    form: str
    verified: int
    flash_bytes: int
    ram_bytes: int

    @classmethod
    def of(cls, artifact: "Artifact") -> "CompileSummary":
        """The summary of an artifact."""
        return cls(artifact.form, artifact.verified, artifact.flash_bytes, artifact.ram_bytes)


@dataclass(frozen=True, eq=False)
class ReportSection:
    """One model of the report.

    Attributes:
        model: the trained model.
        title: its heading.
        history: training over time; may be empty for a model that was loaded.
        scores: accuracy or R² on the rows named "train" and "test".
        benchmark: outcome of `bench`.
        compiled: outcome of compilation.
    """

    model: Model
    title: str
    history: Sequence[TrainingPoint]
    scores: Mapping[str, float]
    benchmark: BenchmarkReport
    compiled: CompileSummary


@dataclass(frozen=True)
class _Card:
    """A headline figure."""

    label: str
    value: str
    tag: str
    remark: str


@dataclass(frozen=True)
class _Chart:
    """A drawing with its words."""

    heading: str
    svg: "Markup"
    caption: str


def write_report(
    path: str | Path,
    sections: Sequence[ReportSection],
    *,
    title: str = "qdeploy report",
    overwrite: bool = False,
) -> Path:
    """Write the report.

    Args:
        path: the HTML file.
        sections: at least one model.
        title: heading of the page.
        overwrite: whether the file may exist.

    Returns:
        The path.

    Raises:
        QDeployError: the file exists and `overwrite` is False, or it cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    path = Path(path)
    check_writable(path, overwrite=overwrite)
    environment = Environment(
        loader=PackageLoader("qdeploy.benchmark", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["interval"] = _interval
    page = environment.get_template("report.html").render(
        title=title,
        sections=[_view(section) for section in sections],
        first=sections[0].benchmark,
        metrics=METRICS,
        quantity=wording.quantity,
    )
    return write_text(path, page, overwrite=overwrite)


def _view(section: ReportSection) -> dict[str, Any]:
    model, report = section.model, section.benchmark
    head = model.head
    kind = f"{len(head.labels)} classes" if isinstance(head, Classes) else "regression"
    network = model.network
    width = max(layer.width for layer in network.layers[:-1]) if len(network.layers) > 1 else 0
    return {
        "section": section,
        "name": model.name,
        "facts": f"{network.inputs} int8 inputs, {width} neurons, {kind}",
        "cards": _cards(section),
        "proof": wording.certificate_sentences(model.certificate),
        "charts": _charts(section),
        "report": report,
        "scores": {
            rows: wording.quantity(value, "fraction" if isinstance(head, Classes) else "1")
            for rows, value in section.scores.items()
        },
    }


def _cards(section: ReportSection) -> list[_Card]:
    report, certificate = section.benchmark, section.model.certificate
    cards = []
    for metric, label in (("accuracy", "test accuracy"), ("r2", "test R²")):
        cards += [_card(label, figure) for figure in report.find(metric, implementation=OWN)]
    if certificate is not None:
        remark = f"to the best network of any width, by {certificate.method}"
        value = wording.percent_up(certificate.gap)
        cards.append(_Card("gap at most", value, "proven", remark))
    for figure in report.find("latency_median", implementation=OWN):
        cards.append(_card("latency", figure, "an inference, "))
    for ratio in report.compare():
        if ratio.implementation == RIVAL:
            remark = f"as long, {wording.times(ratio.low)} to {wording.times(ratio.high)}"
            value = wording.times(ratio.ratio)
            cards.append(_Card(f"{RIVAL} takes", value, ratio.obtained, remark))
    for figure in report.find("energy", implementation=OWN):
        cards.append(_card("energy", figure, "an inference, "))
    flash = wording.quantity(section.compiled.flash_bytes, "B")
    scratch = wording.quantity(section.compiled.ram_bytes, "B")
    cards.append(_Card("code and weights", flash, "measured", f"and {scratch} of scratch"))
    return cards


def _card(label: str, figure: Figure, remark: str = "") -> _Card:
    value = wording.quantity(figure.value, figure.unit)
    return _Card(label, value, figure.obtained, remark + _interval(figure))


def _interval(figure: Figure) -> str:
    """Both ends, with the unit once where they share it; empty where there is no interval."""
    if figure.low is None or figure.high is None:
        return ""
    low = wording.quantity(figure.low, figure.unit)
    high = wording.quantity(figure.high, figure.unit)
    if low == high:
        return low
    number, _, unit = low.partition(" ")
    return f"{number if high.endswith(f' {unit}') else low} to {high}"


def _charts(section: ReportSection) -> list[_Chart]:
    from markupsafe import Markup

    report, name = section.benchmark, section.model.name
    charts: list[_Chart] = []

    def add(heading: str, svg: str, caption: str) -> None:
        charts.append(_Chart(heading, Markup(svg), caption))

    if section.history:
        add(
            "Training against its proof",
            training_curve(section.history, title=f"{name}: objective and bound over time"),
            "The best network so far and the best proven lower bound; no network of this kind lies "
            "below the bound, so the shaded gap is all that is left to gain.",
        )
    quality = [*report.find("accuracy"), *report.find("r2")]
    if quality:
        add(
            METRICS[quality[0].metric].meaning.capitalize(),
            dots(_bars(report, quality), quality[0].unit, title=f"{name}: quality on test rows"),
            "Float models of scikit-learn on the same rows; whiskers: 95 % interval for a test set "
            "of this size.",
        )
    add(*_memory(report, name))
    for metric, heading, caption in (
        (
            "latency_median",
            "Latency of one inference, native code",
            "Median call from C, batch 1, logarithmic axis; whiskers: 95 % interval of the median.",
        ),
        (
            "latency_pipeline_median",
            "Latency as Python sees it",
            "Raw features to prediction, one row, interpreter included, logarithmic axis.",
        ),
        (
            "energy",
            "Energy of one inference",
            "Hatched bars are estimates from latency and the power of a busy core; whiskers: "
            "error band. Float models are called from Python. Logarithmic axis.",
        ),
    ):
        figures = report.find(metric)
        if figures:
            unit = METRICS[metric].unit
            add(heading, bars(_bars(report, figures), unit, title=f"{name}: {heading}"), caption)
    add(*_throughput(report, name))
    return charts


def _bars(report: BenchmarkReport, figures: Sequence[Figure]) -> list[Bar]:
    return [
        Bar(
            report.titles[figure.implementation],
            figure.value,
            figure.low,
            figure.high,
            figure.obtained,
            figure.implementation == OWN,
        )
        for figure in figures
    ]


def _throughput(report: BenchmarkReport, name: str) -> tuple[str, str, str]:
    figures = report.find("throughput")
    series = [
        Line(
            title,
            {f.batch: f.value for f in figures if f.implementation == key and f.batch is not None},
            key == OWN,
        )
        for key, title in report.titles.items()
        if any(figure.implementation == key for figure in figures)
    ]
    heading = "Throughput over batch sizes"
    svg = lines(series, "samples/s", title=f"{name}: {heading}", x_label="samples a call")
    tags = " and ".join(sorted({figure.obtained for figure in figures}))
    return heading, svg, f"Samples a second in native code ({tags}), both axes logarithmic."


def _memory(report: BenchmarkReport, name: str) -> tuple[str, str, str]:
    heading = "Bytes"
    labels = {
        "flash_code": "code",
        "flash_weights": "weights",
        "ram_scratch": "scratch",
        "model_bytes": "model",
    }
    rows = [
        Bar(
            f"{figure.implementation}: {label}",
            figure.value,
            None,
            None,
            figure.obtained,
            figure.implementation == OWN,
        )
        for metric, label in labels.items()
        for figure in report.find(metric)
        if figure.value > 0
    ]
    return (
        heading,
        bars(rows, "B", title=f"{name}: {heading}"),
        "qdeploy's library is all that a device needs. The others also need a runtime of several "
        "megabytes, which is not counted. Logarithmic axis.",
    )
