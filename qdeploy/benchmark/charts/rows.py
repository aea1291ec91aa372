"""One row a figure: bars on a logarithmic axis, dots on a linear one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qdeploy.benchmark.charts.drawing import (
    GRID,
    INK,
    MUTED,
    OTHER,
    OWN,
    canvas,
    quantity_ticks,
    style,
    svg,
)
from qdeploy.benchmark.figures import Obtained
from qdeploy.benchmark.wording import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

__all__ = ["Bar", "bars", "dots"]


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


def bars(rows: Sequence[Bar], unit: str, *, title: str) -> str:
    """Horizontal bars on a logarithmic axis, each under its label, with error bars and values.

    Args:
        rows: from top to bottom; values are positive.
        unit: of the values.
        title: what a screen reader says.
    """
    with style(title):
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
        return svg(drawing, title)


def dots(rows: Sequence[Bar], unit: str, *, title: str) -> str:
    """Dots with intervals on a linear axis that shows only where they are.

    Args:
        rows: from top to bottom.
        unit: of the values.
        title: what a screen reader says.
    """
    with style(title):
        drawing, axes = _rows(rows, unit, scale="linear")
        low, high = min(_ends(rows)), max(_ends(rows))
        margin = 0.06 * (high - low) or 0.01
        for place, row in enumerate(reversed(rows)):
            axes.axhline(place, color=GRID, linewidth=0.8, zorder=1)
            axes.plot(row.value, place, "o", color=_color(row), markersize=9, zorder=4)
        axes.set_xlim(low - margin, high + margin)
        return svg(drawing, title)


def _rows(rows: Sequence[Bar], unit: str, scale: str) -> "tuple[Drawing, Axes]":
    """Everything about a chart of rows but its marks: labels, values, intervals, axes."""
    drawing = canvas(0.52 * len(rows) + 0.4)
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
    quantity_ticks(axes.xaxis, unit)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    return drawing, axes


def _ends(rows: Sequence[Bar]) -> list[float]:
    return [end for row in rows for end in (row.low, row.value, row.high) if end is not None]


def _color(row: Bar) -> str:
    return OWN if row.own else OTHER
