"""Implementations that were counted side by side: one table, one plot, classes of instructions."""

import re
from collections.abc import Iterator, Mapping, Sequence

from qdeploy.benchmark import wording
from qdeploy.benchmark.charts import Shares, Spot, scatter, shares
from qdeploy.benchmark.figures import METRICS, Figure
from qdeploy.benchmark.report.parts import Card, Cell, Chart, Table, drawn, interval
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.benchmark.suites import OWN
from qdeploy.benchmark.timing import Estimate

__all__ = [
    "by_metric",
    "classes_chart",
    "comparison_table",
    "count_card",
    "parts_of",
    "plot",
    "short",
]


def by_metric(report: BenchmarkReport, name: str, batch: int = 1) -> dict[str, Figure]:
    """Figures of an implementation; what was measured stands before what was estimated.

    Args:
        report: of one benchmark.
        name: the implementation.
        batch: samples a call, of figures for which that means something.
    """
    figures: dict[str, Figure] = {}
    for figure in report.results:
        if (
            figure.implementation == name
            and figure.batch in (None, batch)
            and (figure.metric not in figures or figure.obtained == "measured")
        ):
            figures[figure.metric] = figure
    return figures


def comparison_table(
    report: BenchmarkReport,
    columns: Mapping[str, str],
    caption: str,
    *,
    heading: str = "Beside what would otherwise be deployed",
    batch: int = 1,
) -> Table:
    """Implementations down, metrics across; the best of each column is told from the others.

    Args:
        report: of one benchmark.
        columns: headings by metric; those without figures are left out.
        caption: below it.
        heading: above it.
        batch: samples a call.
    """
    all_figures = {name: by_metric(report, name, batch) for name in report.titles}
    shown = [m for m in columns if any(m in figures for figures in all_figures.values())]
    ratios = {
        (c.implementation, c.metric): wording.times(c.ratio)
        for c in report.comparisons
        if c.batch in (None, batch)
    }
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
                    short(figure),
                    _span(figure),
                    ratios.get((name, metric), ""),
                    wording.quantity(figure.value, figure.unit) == best[metric],
                )
            )
        rows.append((name, title, name == OWN, cells))
    headings = []
    for metric in shown:
        tags = dict.fromkeys(f[metric].obtained for f in all_figures.values() if metric in f)
        headings.append((columns[metric], tuple(tags)))
    return Table(heading, headings, rows, caption)


def _best(metric: str, all_figures: Mapping[str, Mapping[str, Figure]]) -> str:
    """The best figure of a metric as it is shown: equal ones are equally good."""
    figures = [figures[metric] for figures in all_figures.values() if metric in figures]
    choose = min if METRICS[metric].smaller_is_better else max
    figure = choose(figures, key=lambda each: each.value)
    return wording.quantity(figure.value, figure.unit)


def short(figure: Figure) -> str:
    """The figure, without the unit that its heading names."""
    return _without_unit(wording.quantity(figure.value, figure.unit), figure)


def _span(figure: Figure) -> str:
    """Its band, where it has one, short enough for a column."""
    if figure.low == figure.high:
        return ""
    return _without_unit(interval(figure), figure).replace(" to ", "–")


def _without_unit(text: str, figure: Figure) -> str:
    in_heading = ("samples/s", *wording.COUNTS)
    return text.removesuffix(figure.unit).strip() if figure.unit in in_heading else text


def parts_of(own: Mapping[str, Figure], *parts: tuple[str, str]) -> str:
    """What a figure consists of: figures with their words."""
    return ", ".join(
        f"{wording.quantity(own[metric].value, own[metric].unit)} {word}" for metric, word in parts
    )


def count_card(figure: Figure) -> Card:
    """A count, whose unit is its label."""
    span = _span(figure)
    remark = f"an inference, {span} by the row" if span else "every inference"
    return Card(figure.unit, short(figure), figure.obtained, remark)


def plot(
    report: BenchmarkReport, name: str, costs: Sequence[str], words: Mapping[str, str]
) -> Iterator[Chart]:
    """How good against how costly, where both are known.

    Args:
        report: of one benchmark.
        name: of model and target, for the drawing's title.
        costs: metrics; the first that qdeploy has a figure of is taken.
        words: of the metrics that say how good.
    """
    own = by_metric(report, OWN)
    cost = next(metric for metric in costs if metric in own)
    good = "r2" if report.find("r2") else "accuracy"
    spots = []
    for implementation in report.titles:
        figures = by_metric(report, implementation)
        if cost in figures and good in figures:
            series = re.sub(r"-\d+$", "", implementation)
            x, y = _estimate(figures[cost]), _estimate(figures[good])
            spots.append(Spot(implementation, x, y, series, implementation == OWN))
    if not spots:
        return
    heading = f"{words[good]} against {words.get(cost, cost)}"
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
        f"Horizontal lines: band of the {words.get(cost, cost)} ({own[cost].obtained}); vertical "
        "lines: 95 % interval for a test set of this size, cut at the frame. Dotted lines join "
        "sizes of one kind.",
        wide,
    )


def classes_chart(
    report: BenchmarkReport, name: str, groups: Mapping[str, Sequence[str]], remark: str
) -> Chart:
    """Shares of classes of instructions.

    Args:
        report: of one benchmark.
        name: of model and target, for the drawing's title.
        groups: classes that are counted, by what the drawing joins them to.
        remark: what the names mean.
    """
    rows = []
    for implementation, title in report.titles.items():
        figures = by_metric(report, implementation)
        if "instructions" not in figures:
            continue
        parts = {
            group: sum(
                figures[f"instructions_{kind}"].value
                for kind in kinds
                if f"instructions_{kind}" in figures
            )
            for group, kinds in groups.items()
        }
        total = figures["instructions"]
        told = f"{short(total)} · {total.obtained}"
        rows.append(Shares(title, told, parts, implementation == OWN))
    return drawn(
        "What the instructions are",
        shares(rows, title=f"{name}: classes of instructions"),
        f"Shares of the instructions of one inference; {remark}.",
    )


def _estimate(figure: Figure) -> Estimate:
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return Estimate(figure.value, low, high)
