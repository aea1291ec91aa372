"""Drawings of a comparison as SVG files that stand alone, in the colours of the reports."""

import numpy as np

from qdeploy.benchmark.charts import Spot, scatter
from qdeploy.benchmark.charts.drawing import GRID, INK, OWN, SERIES, WIDE, canvas, style, svg
from qdeploy.benchmark.timing import Estimate
from qdeploy.comparison.baselines import BASELINES
from qdeploy.comparison.comparing import Comparison
from qdeploy.comparison.summary import Row

__all__ = ["accuracy_chart", "loss_chart", "standing_alone"]

_STYLE = """<style>
:root { --font: system-ui, sans-serif; --ink: #16202c; --muted: #586574; --grid: #e3e8ee;
--own: #0b7a75; --other: #9aa8b8; --bound: #c2680a; --series-0: #0b7a75; --series-1: #5fb3ae;
--series-2: #c2680a; --series-3: #6d5bd0; --series-4: #b0417f; --series-5: #3f7fc4;
--series-6: #7d8a4b; --series-7: #8a8f98; background: #ffffff; }
</style>
"""


def loss_chart(comparison: Comparison, data: str) -> str | None:
    """Training loss over the width, a line a method; None for a single width or no loss above 0."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

    title = f"{data}: training loss a row over the number of neurons"
    rows = [row for row in comparison.of(data) if row.neurons and row.loss]
    widths = sorted({row.neurons for row in rows if row.neurons})
    if len(widths) < 2:
        return None
    with style(title):
        drawing = canvas(4.0, WIDE)
        axes = drawing.subplots()
        for place, method in enumerate(dict.fromkeys(row.method for row in rows)):
            baseline = BASELINES[method]
            own = baseline.family == "ours"
            line = sorted((row.neurons, row.loss) for row in rows if row.method == method)
            axes.plot(
                *zip(*line, strict=True),
                color=OWN if own else SERIES[place % len(SERIES)],
                linewidth=2.6 if own else 1.8,
                marker="o",
                markersize=5.5 if own else 4,
                label=baseline.label,
                zorder=3 if own else 2,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(FixedLocator(widths))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("neurons")
        axes.set_ylabel("training loss a row")
        axes.grid(color=GRID, linewidth=0.8)
        axes.spines[:].set_visible(False)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, labelcolor=INK)
        return standing_alone(svg(drawing, title))


def accuracy_chart(comparison: Comparison, data: str) -> str:
    """Test accuracy against bytes, every row a point with its interval."""
    spots = [_spot(row) for row in comparison.of(data)]
    title = f"{data}: test accuracy against bytes as deployed"
    labels = ("bytes as deployed", "test accuracy")
    return standing_alone(scatter(spots, ("B", "fraction"), labels, title=title, wide=True))


def _spot(row: Row) -> Spot:
    baseline, accuracy = BASELINES[row.method], row.test_accuracy
    half = accuracy.half or 0.0
    size = max(row.bytes, 1.0)
    label = baseline.label if row.neurons is None else f"{baseline.label} {row.neurons}"
    low, high = np.clip([accuracy.mean - half, accuracy.mean + half], 0.0, 1.0)
    return Spot(
        label,
        Estimate(size, size, size),
        Estimate(accuracy.mean, float(low), float(high)),
        series=baseline.label,
        own=baseline.family == "ours",
    )


def standing_alone(drawing: str) -> str:
    """An SVG file of a drawing that was made for a page."""
    start, _, rest = drawing.partition(">")
    namespace = '<svg xmlns="http://www.w3.org/2000/svg"'
    return f"{start.replace('<svg', namespace, 1)}>\n{_STYLE}{rest.rstrip()}\n"
