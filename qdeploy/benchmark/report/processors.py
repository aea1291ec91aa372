"""How the benchmark of this machine is shown: cards, and bars for every implementation."""

from collections.abc import Iterator

from qdeploy.benchmark import wording
from qdeploy.benchmark.charts import Bar, Line, bars, lines
from qdeploy.benchmark.figures import METRICS
from qdeploy.benchmark.report.parts import (
    Card,
    Chart,
    Presentation,
    ReportSection,
    bars_of,
    card,
    drawn,
    proof_cards,
    quality_cards,
    quality_chart,
    training_charts,
)
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.benchmark.suites import OWN

__all__ = ["present"]

RIVAL = "onnxruntime"

READING = (
    "Latency is that of one row at a time. Implementations took turns in short rounds, so a busy "
    "neighbour met all of them alike. The median is what to expect, the 99th percentile (in the "
    "table) is what to plan for.",
    "Ratios come from pairs within the same round, with the 95 % interval over rounds.",
    "Lengths of bars are on a logarithmic axis: one grid step is a factor of ten. Read the "
    "numbers, not the areas.",
)


def present(section: ReportSection) -> Presentation:
    """Everything about one model on this machine."""
    report = section.benchmark
    return Presentation(
        where=f"measured on {report.machine['cpu']}",
        cards=_cards(section),
        charts=list(_charts(section)),
        reading=READING,
    )


def _cards(section: ReportSection) -> list[Card]:
    report = section.benchmark
    cards = [*quality_cards(section), *proof_cards(section)]
    for figure in report.find("latency_median", implementation=OWN):
        cards.append(card("latency", figure, "an inference, "))
    for ratio in report.compare():
        if ratio.implementation == RIVAL:
            remark = f"as long, {wording.times(ratio.low)} to {wording.times(ratio.high)}"
            value = wording.times(ratio.ratio)
            cards.append(Card(f"{RIVAL} takes", value, ratio.obtained, remark))
    for figure in report.find("energy", implementation=OWN):
        cards.append(card("energy", figure, "an inference, "))
    flash = wording.quantity(section.compiled.flash_bytes, "B")
    scratch = wording.quantity(section.compiled.ram_bytes, "B")
    cards.append(Card("code and weights", flash, "measured", f"and {scratch} of scratch"))
    return cards


def _charts(section: ReportSection) -> Iterator[Chart]:
    report, name = section.benchmark, section.model.name
    yield from training_charts(section)
    yield from quality_chart(
        section,
        "Float models of scikit-learn on the same rows; whiskers: 95 % interval for a test set "
        "of this size.",
    )
    yield _memory(report, name)
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
            unit, title = METRICS[metric].unit, f"{name}: {heading}"
            yield drawn(heading, bars(bars_of(report, figures), unit, title=title), caption)
    yield _throughput(report, name)


def _throughput(report: BenchmarkReport, name: str) -> Chart:
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
    return drawn(heading, svg, f"Samples a second in native code ({tags}), both axes logarithmic.")


def _memory(report: BenchmarkReport, name: str) -> Chart:
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
    return drawn(
        heading,
        bars(rows, "B", title=f"{name}: {heading}"),
        "qdeploy's library is all that a device needs. The others also need a runtime of several "
        "megabytes, which is not counted. Logarithmic axis.",
    )
