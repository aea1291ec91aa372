"""Charts as SVG text that goes into a page: its colours and its font are the page's own.

matplotlib draws with stand-in colours; they are replaced by CSS variables, so that one drawing
serves light and dark. Widths are those of a telephone, and a wide screen shows them side by side.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from qdeploy.benchmark.figures import Obtained
from qdeploy.benchmark.wording import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

__all__ = ["Bar", "Line", "TrainingPoint", "bars", "dots", "lines", "training_curve"]

WIDTH = 4.9
"""Inches at 72 points: about 350 points, the width of a telephone."""

FOCUS = 2.5
"""Training curves are cut above so many times the final objective."""

INK, MUTED, GRID, OWN, OTHER, BOUND = (f"#0000{place:02x}" for place in range(1, 7))
SERIES = tuple(f"#0001{place:02x}" for place in range(8))
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    OWN: "--own",
    OTHER: "--other",
    BOUND: "--bound",
    **{color: f"--series-{place}" for place, color in enumerate(SERIES)},
}


class TrainingPoint(Protocol):
    """A moment of training."""

    @property
    def seconds(self) -> float:
        """Since the start."""

    @property
    def objective(self) -> float:
        """Of the best network so far."""

    @property
    def bound(self) -> float:
        """Best proven lower bound so far."""

    @property
    def neurons(self) -> int:
        """Of the best network so far."""


@dataclass(frozen=True)
class Bar:
    """One row of a chart.

    Attributes:
        label: written above the bar.
        value: where its mark ends.
        low: lower end of its interval, or None.
        high: upper end.
        obtained: written behind the value; what is not measured is hatched.
        own: whether it is qdeploy's.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    obtained: Obtained
    own: bool


@dataclass(frozen=True)
class Line:
    """One line of a chart over batch sizes."""

    label: str
    points: Mapping[int, float]
    own: bool


def bars(rows: Sequence[Bar], unit: str, *, title: str) -> str:
    """Horizontal bars on a logarithmic axis, each under its label, with error bars and values.

    Args:
        rows: from top to bottom; values are positive.
        unit: of the values.
        title: what a screen reader says.
    """
    with _style(title):
        drawing, axes = _rows(rows, unit, scale="log")
        start = 10.0 ** math.floor(math.log10(min(_ends(rows))) - 0.15)
        for place, row in enumerate(reversed(rows)):
            firm, color = row.obtained == "measured", _color(row)
            axes.barh(
                place,
                row.value - start,
                left=start,
                height=0.24,
                facecolor=color if firm else "none",
                edgecolor=color,
                hatch=None if firm else "/////",
                linewidth=0 if firm else 1,
                zorder=2,
            )
        axes.set_xlim(start, max(_ends(rows)) * 1.6)
        return _svg(drawing, title)


def dots(rows: Sequence[Bar], unit: str, *, title: str) -> str:
    """Dots with intervals on a linear axis that shows only where they are.

    Args:
        rows: from top to bottom.
        unit: of the values.
        title: what a screen reader says.
    """
    with _style(title):
        drawing, axes = _rows(rows, unit, scale="linear")
        low, high = min(_ends(rows)), max(_ends(rows))
        margin = 0.06 * (high - low) or 0.01
        for place, row in enumerate(reversed(rows)):
            axes.axhline(place, color=GRID, linewidth=0.8, zorder=1)
            axes.plot(row.value, place, "o", color=_color(row), markersize=9, zorder=4)
        axes.set_xlim(low - margin, high + margin)
        return _svg(drawing, title)


def lines(series: Sequence[Line], unit: str, *, title: str, x_label: str) -> str:
    """Lines over batch sizes, both axes logarithmic, with a legend above."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    with _style(title):
        drawing = _drawing(3.4)
        axes = drawing.subplots()
        for place, line in enumerate(series):
            axes.plot(
                list(line.points),
                list(line.points.values()),
                color=OWN if line.own else SERIES[place % len(SERIES)],
                linewidth=2.6 if line.own else 1.8,
                marker="o",
                markersize=5.5 if line.own else 4,
                label=line.label,
                zorder=3 if line.own else 2,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        batches = sorted({batch for line in series for batch in line.points})
        axes.xaxis.set_major_locator(FixedLocator(batches))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        _quantity_ticks(axes.yaxis, unit)
        axes.set_xlabel(x_label)
        axes.grid(color=GRID, linewidth=0.8)
        axes.spines[:].set_visible(False)
        _legend(axes, columns=2)
        return _svg(drawing, title)


def training_curve(history: Sequence[TrainingPoint], *, title: str) -> str:
    """Objective and bound over time, the gap between them shaded, the width below."""
    with _style(title):
        drawing = _drawing(3.9)
        axes, width = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        seconds = [point.seconds for point in history]
        objective = [point.objective for point in history]
        bound = [point.bound for point in history]
        axes.fill_between(seconds, bound, objective, step="post", color=GRID, linewidth=0)
        axes.step(seconds, objective, where="post", color=OWN, linewidth=2.4, label="objective")
        axes.step(seconds, bound, where="post", color=BOUND, linewidth=2.4, label="proven bound")
        axes.plot(seconds[-1:], objective[-1:], "o", color=OWN, markersize=5)
        axes.plot(seconds[-1:], bound[-1:], "o", color=BOUND, markersize=5)
        # Early networks and bounds are far off; what matters is where the two lines end.
        top = min(max(objective), FOCUS * objective[-1]) or 1.0
        bottom = max(min(bound), 0.0)
        margin = 0.05 * (top - bottom) or 0.05 * top
        axes.set_ylim(bottom - margin, top + margin)
        _legend(axes, columns=2)
        neurons = [point.neurons for point in history]
        width.step(seconds, neurons, where="post", color=MUTED, linewidth=1.8)
        width.set_ylabel("neurons")
        width.set_ylim(bottom=0)
        width.set_xlabel("seconds of training")
        for each in (axes, width):
            each.grid(color=GRID, linewidth=0.8)
            each.spines[:].set_visible(False)
        return _svg(drawing, title)


def _rows(rows: Sequence[Bar], unit: str, scale: str) -> "tuple[Drawing, Axes]":
    """Everything about a chart of rows but its marks: labels, values, intervals, axes."""
    drawing = _drawing(0.52 * len(rows) + 0.4)
    axes = drawing.subplots()
    axes.set_xscale(scale)
    frame = axes.get_yaxis_transform()
    for place, row in enumerate(reversed(rows)):
        if row.low is not None and row.high is not None:
            errors = [[row.value - row.low], [row.high - row.value]]
            axes.errorbar(
                row.value, place, xerr=errors, color=INK, elinewidth=1.3, capsize=3.5, zorder=3
            )
        weight, color = ("bold", INK) if row.own else ("normal", MUTED)
        above = place + 0.19
        value = f"{quantity(row.value, unit)} · {row.obtained}"
        axes.text(0, above, row.label, transform=frame, va="bottom", color=INK, weight=weight)
        axes.text(
            1, above, value, transform=frame, va="bottom", ha="right", color=color, weight=weight
        )
    axes.set_ylim(-0.4, len(rows) - 0.3)
    axes.set_yticks([])
    _quantity_ticks(axes.xaxis, unit)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    return drawing, axes


def _ends(rows: Sequence[Bar]) -> list[float]:
    return [end for row in rows for end in (row.low, row.value, row.high) if end is not None]


def _color(row: Bar) -> str:
    return OWN if row.own else OTHER


def _drawing(height: float) -> "Drawing":
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def _quantity_ticks(axis: Any, unit: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, unit)))
    axis.set_minor_formatter(NullFormatter())


def _tick(value: float, unit: str) -> str:
    """A short tick label: "100 ns", "10 k", "90 %"."""
    if unit == "fraction":
        return f"{100 * value:.4g} %"
    text = quantity(value, "1/s" if unit == "samples/s" else unit)
    figure, _, rest = text.partition(" ")
    return f"{float(figure):g} {rest.removesuffix('1/s')}".strip()


def _legend(axes: "Axes", columns: int) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        frameon=False,
        borderaxespad=0,
        handlelength=1.6,
        labelcolor=INK,
    )


def _style(title: str) -> AbstractContextManager[Any]:
    import matplotlib

    return matplotlib.rc_context(
        {
            # References inside the drawing are salted hashes; titles differ within a page.
            "svg.hashsalt": title,
            "text.parse_math": False,
            "svg.fonttype": "none",
            "font.size": 11,
            "axes.labelcolor": MUTED,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "text.color": INK,
            "xtick.major.size": 0,
            "xtick.minor.size": 0,
            "ytick.major.size": 0,
            "ytick.minor.size": 0,
            "hatch.linewidth": 0.9,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
        }
    )


def _svg(drawing: "Drawing", title: str) -> str:
    """The drawing as an SVG element for HTML: no prologue, no metadata, no fixed identifiers."""
    buffer = io.StringIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for part in ("metadata", "style"):
        text = re.sub(rf"<{part}\b.*?</{part}>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = text.replace("xlink:href=", "href=")
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None, "matplotlib writes a viewBox"
    body = text[text.index(">") + 1 :]
    return f'<svg {box[0]} role="img" aria-label="{escape(title)}">{body}'
