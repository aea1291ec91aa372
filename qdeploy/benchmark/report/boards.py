"""How the benchmark of an ARM board is shown: one table, one plot, throughput, instructions."""

from collections.abc import Iterator

from qdeploy.benchmark import wording
from qdeploy.benchmark.charts import Line, bars, lines
from qdeploy.benchmark.figures import METRICS, Figure
from qdeploy.benchmark.report.compared import (
    by_metric,
    classes_chart,
    comparison_table,
    count_card,
    parts_of,
    plot,
    short,
)
from qdeploy.benchmark.report.parts import (
    Card,
    Chart,
    Presentation,
    ReportSection,
    Table,
    bars_of,
    card,
    drawn,
    interval,
    proof_cards,
    quality_cards,
    training_charts,
)
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.benchmark.suites import OWN

__all__ = ["present"]

RIVALS = ("tvm-default", "plain-c", "onnxruntime")
"""Implementations that cards compare with: the same model, otherwise deployed."""

COLUMNS = {
    "accuracy": "accuracy",
    "r2": "R²",
    "flash": "code and constants",
    "stack": "stack",
    "resident": "process",
    "instructions": "instructions",
    "cycles": "cycles",
    "latency": "latency by the model",
    "latency_median": "latency",
    "latency_p99": "99th percentile",
    "latency_python_median": "latency from Python",
    "throughput": "samples a second",
    "energy": "energy",
}
"""Headings of the table by metric."""

GROUPS = {
    "arithmetic": ("alu", "alu_scaled", "alu_shift"),
    "vectors": (
        "vector_alu",
        "vector_shift",
        "vector_accumulate",
        "vector_reduce",
        "to_vector",
        "from_vector",
    ),
    "products": (
        "multiply",
        "multiply_wide",
        "vector_multiply",
        "vector_multiply_long",
        "vector_multiply_add",
        "vector_multiply_add_long",
        "vector_dot",
        "vector_matrix",
    ),
    "look-ups": ("vector_permute", "vector_table", "vector_tables"),
    "loads": ("load", "load_pair", "vector_load", "vector_load_pair", "vector_load_many"),
    "stores": ("store", "store_pair", "vector_store", "vector_store_pair", "vector_store_many"),
    "branches": ("branch", "indirect"),
    "other": (
        "divide",
        "system",
        "float_add",
        "float_multiply",
        "float_multiply_add",
        "float_divide",
        "float_convert",
    ),
}
"""What the drawing joins of the classes that are counted."""

CAPTION = (
    "One row at a time, one thread: the same test rows, compiler and emulator for all. Multiples "
    "are those of qdeploy's figure; coloured figures are the best of their column. Below estimates "
    "stands their band, below accuracies the 95 % interval for a test set of this size, below "
    "instructions the range over rows."
)

READING = (
    "On ARM boards, everything was compiled for the same core and ran in the same emulator. "
    "Instructions, bytes and predictions are exact; cycles come from a model of the core's "
    "pipeline, and time and energy carry its band on. Energy is gross: it includes what the board "
    "takes when it is idle.",
    "TVM's default lowering is counted without TVM's virtual machine, so that its figures are "
    "lower bounds; onnxruntime, where a board has it, is called from Python.",
)


def present(section: ReportSection) -> Presentation:
    """Everything about one model on an ARM board."""
    report = section.benchmark
    device = str(report.machine["device"]).rstrip(".")
    board = report.machine.get("board")
    where = f"counted and estimated for {device}"
    return Presentation(
        where=where if board is None else f"{where}; measured on {board}",
        cards=list(_cards(section)),
        tables=[comparison_table(report, COLUMNS, CAPTION), *_batches(report)],
        charts=list(_charts(section)),
        reading=READING,
    )


def _cards(section: ReportSection) -> Iterator[Card]:
    report = section.benchmark
    yield from quality_cards(section)
    yield from proof_cards(section)
    own = by_metric(report, OWN)
    flash, code = (
        own["flash"],
        parts_of(own, ("flash_code", "code"), ("flash_weights", "constants")),
    )
    yield Card("library", wording.quantity(flash.value, flash.unit), flash.obtained, code)
    yield count_card(own["instructions"])
    for metric in ("latency_median", "latency"):
        if metric in own:
            yield card("latency", own[metric], "an inference, ")
            break
    best = _best_throughput(report)
    if best is not None:
        remark = f"in batches of {best.batch}, {interval(best)}"
        yield Card("samples a second", short(best), best.obtained, remark)
    if "energy" in own:
        yield card("energy", own["energy"], "an inference, ")
    metrics = ("latency_median", "latency_python_median", "instructions")
    for rival in RIVALS:
        ratio = next(
            (
                each
                for metric in metrics
                for each in report.compare(metric)
                if each.implementation == rival
            ),
            None,
        )
        if ratio is not None:
            what = "the instructions" if ratio.metric == "instructions" else "as long"
            value = wording.times(ratio.ratio)
            yield Card(f"{rival} takes", value, ratio.obtained, f"{what}, row by row")


def _best_throughput(report: BenchmarkReport) -> Figure | None:
    """Of qdeploy, measured where it was."""
    found = report.find("throughput", implementation=OWN)
    measured = [figure for figure in found if figure.obtained == "measured"]
    return max(measured or found, key=lambda figure: figure.value, default=None)


def _batches(report: BenchmarkReport) -> Iterator[Table]:
    """A table for the largest batch that everybody was counted in."""
    sizes = {figure.batch for figure in report.find("instructions") if figure.batch != 1}
    if sizes:
        batch = max(size for size in sizes if size is not None)
        columns = {
            metric: COLUMNS[metric] for metric in ("instructions", "cycles", "throughput", "energy")
        }
        yield comparison_table(
            report,
            columns,
            "Per sample; read as the table above.",
            heading=f"In batches of {batch}",
            batch=batch,
        )


def _charts(section: ReportSection) -> Iterator[Chart]:
    report, name = section.benchmark, f"{section.model.name} ({section.benchmark.target})"
    yield from plot(report, name, ("energy", "latency_median", "latency", "cycles"), COLUMNS)
    yield from training_charts(section)
    throughput = report.find("throughput")
    if throughput:
        yield _throughput(report, name)
    remark = "look-ups are tables in registers and other permutations"
    yield classes_chart(report, name, GROUPS, remark)
    for metric, heading, caption in (
        ("latency_median", "Latency", "Median call on the board, one row."),
        ("cycles", "Cycles of one inference", "Estimates, with the band of the pipeline model."),
    ):
        figures = report.find(metric, batch=1)
        if figures:
            drawing = bars(
                bars_of(report, figures), METRICS[metric].unit, title=f"{name}: {heading}"
            )
            yield drawn(heading, drawing, f"{caption} Logarithmic axis.")


def _throughput(report: BenchmarkReport, name: str) -> Chart:
    series, tags = [], set()
    for key, title in report.titles.items():
        figures = report.find("throughput", implementation=key)
        measured = [figure for figure in figures if figure.obtained == "measured"]
        shown = measured or figures
        if shown:
            points = {f.batch: f.value for f in shown if f.batch is not None}
            series.append(Line(title, points, key == OWN))
            tags |= {figure.obtained for figure in shown}
    heading = "Throughput over batch sizes"
    svg = lines(series, "samples/s", title=f"{name}: {heading}", x_label="samples a call")
    told = " and ".join(sorted(tags))
    return drawn(heading, svg, f"Samples a second on one core ({told}), both axes logarithmic.")
