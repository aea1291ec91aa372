"""How the benchmark of a microcontroller is shown: one table, one plot, classes of instructions."""

import re
from collections.abc import Iterator, Mapping

from qdeploy.benchmark import wording
from qdeploy.benchmark.charts import Shares, Spot, bars, scatter, shares
from qdeploy.benchmark.figures import METRICS, Figure
from qdeploy.benchmark.report.parts import (
    Card,
    Cell,
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
from qdeploy.benchmark.timing import Estimate

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
        tables=[_table(report)],
        charts=list(_charts(section)),
        reading=READING,
    )


def _cards(section: ReportSection) -> Iterator[Card]:
    report = section.benchmark
    yield from quality_cards(section)
    yield from proof_cards(section)
    own = _by_metric(report, OWN)
    for metric, label, remark in (
        ("flash", "flash", _parts(own, ("flash_code", "code"), ("flash_weights", "constants"))),
        ("ram", "RAM", _parts(own, ("ram_static", "variables"), ("ram_buffers", "in and out"))),
        ("stack", "stack", "the deepest of the counted calls"),
    ):
        figure = own[metric]
        yield Card(label, wording.quantity(figure.value, figure.unit), figure.obtained, remark)
    yield _count_card(own["instructions"])
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


def _parts(own: Mapping[str, Figure], *parts: tuple[str, str]) -> str:
    return ", ".join(
        f"{wording.quantity(own[metric].value, own[metric].unit)} {word}" for metric, word in parts
    )


def _count_card(figure: Figure) -> Card:
    """A count, whose unit is its label."""
    span = _span(figure)
    remark = f"an inference, {span} by the row" if span else "every inference"
    return Card(figure.unit, _short(figure), figure.obtained, remark)


def _by_metric(report: BenchmarkReport, name: str) -> dict[str, Figure]:
    """Figures of an implementation; what was measured stands before what was estimated."""
    figures: dict[str, Figure] = {}
    for figure in report.results:
        if figure.implementation == name and (
            figure.metric not in figures or figure.obtained == "measured"
        ):
            figures[figure.metric] = figure
    return figures


def _table(report: BenchmarkReport) -> Table:
    all_figures = {name: _by_metric(report, name) for name in report.titles}
    shown = [m for m in COLUMNS if any(m in figures for figures in all_figures.values())]
    ratios = {(c.implementation, c.metric): wording.times(c.ratio) for c in report.comparisons}
    best = {metric: _best(metric, all_figures) for metric in shown}
    rows = []
    for name, title in report.titles.items():
        cells: list[Cell | None] = []
        for metric in shown:
            figure = all_figures[name].get(metric)
            cells.append(
                None
                if figure is None
                else Cell(
                    _short(figure),
                    _span(figure),
                    ratios.get((name, metric), ""),
                    wording.quantity(figure.value, figure.unit) == best[metric],
                )
            )
        rows.append((name, title, name == OWN, cells))
    columns = []
    for metric in shown:
        tags = dict.fromkeys(f[metric].obtained for f in all_figures.values() if metric in f)
        columns.append((COLUMNS[metric], tuple(tags)))
    return Table(
        "Beside what would otherwise be deployed",
        columns,
        rows,
        "The same test rows, compiler, flags, memories and emulator for all. Multiples are those "
        "of qdeploy's figure; coloured figures are the best of their column. Below estimates "
        "stands their band, below accuracies the 95 % interval for a test set of this size, below "
        "instructions the range over rows.",
    )


def _best(metric: str, all_figures: Mapping[str, Mapping[str, Figure]]) -> str:
    """The best figure of a metric as it is shown: equal ones are equally good."""
    figures = [figures[metric] for figures in all_figures.values() if metric in figures]
    choose = min if METRICS[metric].smaller_is_better else max
    figure = choose(figures, key=lambda each: each.value)
    return wording.quantity(figure.value, figure.unit)


def _short(figure: Figure) -> str:
    """The figure, without the unit of a count."""
    return _without_unit(wording.quantity(figure.value, figure.unit), figure)


def _span(figure: Figure) -> str:
    """Its band, where it has one, short enough for a column."""
    if figure.low == figure.high:
        return ""
    return _without_unit(interval(figure), figure).replace(" to ", "–")


def _without_unit(text: str, figure: Figure) -> str:
    return text.removesuffix(figure.unit).strip() if figure.unit in wording.COUNTS else text


def _charts(section: ReportSection) -> Iterator[Chart]:
    report, name = section.benchmark, f"{section.model.name} ({section.benchmark.target})"
    yield from _plot(report, name)
    yield from training_charts(section)
    yield _classes(report, name)
    for metric, heading, caption in (
        ("cycles", "Cycles of one inference", "Estimates, with the band of the cycle model."),
        ("flash", "Flash", "Code, constants and initial values, as linked."),
    ):
        figures = report.find(metric)
        drawing = bars(bars_of(report, figures), METRICS[metric].unit, title=f"{name}: {heading}")
        yield drawn(heading, drawing, f"{caption} Logarithmic axis.")


def _plot(report: BenchmarkReport, name: str) -> Iterator[Chart]:
    """How good against how costly: energy, or cycles where there is no energy."""
    cost = "energy" if report.find("energy", implementation=OWN) else "cycles"
    good = "r2" if report.find("r2") else "accuracy"
    spots = []
    for implementation in report.titles:
        figures = _by_metric(report, implementation)
        if cost in figures and good in figures:
            series = re.sub(r"-\d+$", "", implementation)
            x, y = _estimate(figures[cost]), _estimate(figures[good])
            spots.append(Spot(implementation, x, y, series, implementation == OWN))
    if not spots:
        return
    heading = f"{COLUMNS[good]} against {cost}"
    heading = heading[0].upper() + heading[1:]
    labels = (f"{METRICS[cost].meaning} (logarithmic)", METRICS[good].meaning)
    units = (METRICS[cost].unit, METRICS[good].unit)
    narrow, wide = (
        scatter(spots, units, labels, title=f"{name}: {heading}", wide=wide)
        for wide in (False, True)
    )
    yield drawn(
        heading,
        narrow,
        f"Left is cheaper, up is better: what beats qdeploy in both lies in the shaded corner. "
        f"Horizontal lines: band of the {cost}; vertical lines: 95 % interval for a test set of "
        "this size, cut at the frame. Dotted lines join sizes of one kind.",
        wide,
    )


def _classes(report: BenchmarkReport, name: str) -> Chart:
    rows = []
    for implementation, title in report.titles.items():
        figures = _by_metric(report, implementation)
        parts = {
            group: sum(
                figures[f"instructions_{kind}"].value
                for kind in kinds
                if f"instructions_{kind}" in figures
            )
            for group, kinds in GROUPS.items()
        }
        total = figures["instructions"]
        told = f"{_short(total)} · {total.obtained}"
        rows.append(Shares(title, told, parts, implementation == OWN))
    return drawn(
        "What the instructions are",
        shares(rows, title=f"{name}: classes of instructions"),
        "Shares of the instructions of one inference; lanes are instructions on two or four small "
        "integers at once.",
    )


def _estimate(figure: Figure) -> Estimate:
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return Estimate(figure.value, low, high)
