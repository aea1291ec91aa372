"""How the benchmark of a microcontroller is shown: one table, one plot, classes of instructions."""

from collections.abc import Iterator

from qdeploy.benchmark import wording
from qdeploy.benchmark.charts import bars
from qdeploy.benchmark.figures import METRICS
from qdeploy.benchmark.report.compared import (
    by_metric,
    classes_chart,
    comparison_table,
    count_card,
    parts_of,
    plot,
)
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
    training_charts,
)
from qdeploy.benchmark.suites import OWN

__all__ = ["present"]

RIVAL = "mlp-int8"
"""The implementation that cards compare with: an int8 MLP of the usual width."""

COLUMNS = {
    "accuracy": "accuracy",
    "r2": "R²",
    "flash": "flash",
    "ram": "RAM",
    "stack": "stack",
    "instructions": "instructions",
    "cycles": "cycles",
    "latency": "latency",
    "energy": "energy",
    "battery_life": "battery life",
}
"""Headings of the table by metric."""

GROUPS = {
    "arithmetic": ("alu",),
    "lanes": ("simd",),
    "products": ("multiply", "multiply_add", "multiply_long"),
    "loads": ("load", "load_multiple"),
    "stores": ("store", "store_multiple"),
    "branches": ("branch", "call", "indirect", "table", "load_branch"),
    "other": ("divide", "system"),
}
"""What the drawing joins of the classes that are counted."""

CAPTION = (
    "The same test rows, compiler, flags, memories and emulator for all. Multiples are those of "
    "qdeploy's figure; coloured figures are the best of their column. Below estimates stands "
    "their band, below accuracies the 95 % interval for a test set of this size, below "
    "instructions the range over rows."
)

READING = (
    "On microcontrollers, everything was compiled by the same compiler for the same memories and "
    "ran in the same emulator on the same test rows. Instructions, bytes and predictions are "
    "exact; cycles come from a model of the core whose band was found by comparison with "
    "published measurements, and time and energy carry it on.",
    "RAM is what one inference needs: variables, input, scores and the deepest stack.",
    "Battery life is that of an ideal battery: it neither ages nor discharges by itself.",
)


def present(section: ReportSection) -> Presentation:
    """Everything about one model on a microcontroller."""
    report = section.benchmark
    return Presentation(
        where=f"counted and estimated for {report.machine['device']}".rstrip("."),
        cards=list(_cards(section)),
        tables=[comparison_table(report, COLUMNS, CAPTION)],
        charts=list(_charts(section)),
        reading=READING,
    )


def _cards(section: ReportSection) -> Iterator[Card]:
    report = section.benchmark
    yield from quality_cards(section)
    yield from proof_cards(section)
    own = by_metric(report, OWN)
    for metric, label, remark in (
        ("flash", "flash", parts_of(own, ("flash_code", "code"), ("flash_weights", "constants"))),
        ("ram", "RAM", parts_of(own, ("ram_static", "variables"), ("ram_buffers", "in and out"))),
        ("stack", "stack", "the deepest of the counted calls"),
    ):
        figure = own[metric]
        yield Card(label, wording.quantity(figure.value, figure.unit), figure.obtained, remark)
    yield count_card(own["instructions"])
    clock = f"at {report.machine['clock_megahertz']:g} MHz, "
    for metric, label, remark in (
        ("latency", "latency", clock),
        ("energy", "energy", "an inference, "),
        ("battery_life", "battery life", ""),
    ):
        if metric in own:
            yield card(label, own[metric], remark)
    for ratio in report.compare("cycles"):
        if ratio.implementation == RIVAL:
            (flash,) = (
                other for other in report.compare("flash", None) if other.implementation == RIVAL
            )
            remark = (
                f"the cycles, {wording.times(ratio.low)} to {wording.times(ratio.high)}; "
                f"{wording.times(flash.ratio)} the flash"
            )
            value = wording.times(ratio.ratio)
            yield Card(f"{RIVAL} takes", value, ratio.obtained, remark)


def _charts(section: ReportSection) -> Iterator[Chart]:
    report, name = section.benchmark, f"{section.model.name} ({section.benchmark.target})"
    yield from plot(report, name, ("energy", "cycles"), COLUMNS)
    yield from training_charts(section)
    remark = "lanes are instructions on two or four small integers at once"
    yield classes_chart(report, name, GROUPS, remark)
    for metric, heading, caption in (
        ("cycles", "Cycles of one inference", "Estimates, with the band of the cycle model."),
        ("flash", "Flash", "Code, constants and initial values, as linked."),
    ):
        figures = report.find(metric)
        drawing = bars(bars_of(report, figures), METRICS[metric].unit, title=f"{name}: {heading}")
        yield drawn(heading, drawing, f"{caption} Logarithmic axis.")
