"""Points with bands on both axes, each with its name beside it: how good against how costly."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qdeploy.benchmark.charts.drawing import (
    GRID,
    INK,
    MUTED,
    OWN,
    SERIES,
    WIDE,
    WIDTH,
    canvas,
    quantity_ticks,
    style,
    svg,
)
from qdeploy.benchmark.charts.labels import Box, place_labels
from qdeploy.benchmark.timing import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Spot", "scatter"]

LABEL_POINTS = 9.5
OWN_MARKER, MARKER = 9.0, 6.5
"""Points across."""
BAND_ROOM = 1.5
"""Points above and below the line of a band that no name should cover."""
MARKERS = "osD^vPXh"


@dataclass(frozen=True)
class Spot:
    """One point.

    Attributes:
        label: its name.
        x: how costly, positive.
        y: how good.
        series: points of one series share colour and marker and are joined by a line.
        own: whether it is qdeploy's.
    """

    label: str
    x: Estimate
    y: Estimate
    series: str
    own: bool


def scatter(
    spots: Sequence[Spot],
    units: tuple[str, str],
    labels: tuple[str, str],
    *,
    title: str,
    wide: bool = False,
) -> str:
    """Points over a logarithmic axis of costs.

    What would be better than qdeploy on both axes lies in the shaded corner.

    Args:
        spots: at least one.
        units: of x and y.
        labels: of x and y.
        title: what a screen reader says.
        wide: whether the drawing has a wide screen for itself.
    """
    with style(f"{title}, wide" if wide else title):
        drawing = canvas(5.4, WIDE) if wide else canvas(5.6, WIDTH)
        axes = drawing.subplots()
        axes.set_xscale("log")
        _limits(axes, spots, most=1.0 if units[1] in ("fraction", "1") else math.inf)
        series = list(dict.fromkeys(spot.series for spot in spots if not spot.own))
        for number, name in enumerate(series):
            _draw(axes, [spot for spot in spots if spot.series == name and not spot.own], number)
        for spot in spots:
            if spot.own:
                _bands(axes, spot, OWN)
                axes.plot(spot.x.value, spot.y.value, "o", color=OWN, markersize=OWN_MARKER)
        _corner(axes, [spot for spot in spots if spot.own])
        _decade_ticks(axes, units[0])
        quantity_ticks(axes.yaxis, units[1])
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        # Where points lie on the drawing is known once everything else has its room.
        drawing.draw_without_rendering()
        _names(axes, spots)
        return svg(drawing, title)


def _limits(axes: "Axes", spots: Sequence[Spot], most: float) -> None:
    left = min(min(spot.x.low, spot.x.value) for spot in spots)
    right = max(max(spot.x.high, spot.x.value) for spot in spots)
    margin = 1.1 * (right / left) ** 0.06
    axes.set_xlim(left / margin, right * margin)
    # Bands of small test sets are wide; what matters is where the points lie.
    values = [spot.y.value for spot in spots]
    span = max(values) - min(values) or 0.02
    # Nothing is better than the best possible, but its mark needs room.
    top = min(max(values) + 0.15 * span, most + 0.03 * span)
    axes.set_ylim(min(values) - 0.12 * span, top)


def _draw(axes: "Axes", spots: Sequence[Spot], number: int) -> None:
    """One series of the others."""
    color = SERIES[1 + number % (len(SERIES) - 1)]
    marker = MARKERS[number % len(MARKERS)]
    for spot in spots:
        _bands(axes, spot, color)
    ordered = sorted(spots, key=lambda spot: spot.x.value)
    axes.plot(
        [spot.x.value for spot in ordered],
        [spot.y.value for spot in ordered],
        color=color,
        linewidth=1.2,
        linestyle=(0, (1, 2)),
        marker=marker,
        markersize=MARKER,
        zorder=3,
    )


def _bands(axes: "Axes", spot: Spot, color: str) -> None:
    """The band of the cost clearly, that of the quality faintly: it is long, and alike for all."""
    for low, high, place, alpha in (
        (spot.x.low, spot.x.high, axes.hlines, 0.75),
        (spot.y.low, spot.y.high, axes.vlines, 0.22),
    ):
        at = spot.y.value if place == axes.hlines else spot.x.value
        place(at, low, high, color=color, alpha=alpha, linewidth=1.5, zorder=2)


def _corner(axes: "Axes", own: Sequence[Spot]) -> None:
    """Shade what would be better on both axes than the best of qdeploy's own points."""
    if not own:
        return
    best = max(own, key=lambda spot: spot.y.value)
    left, top = axes.get_xlim()[0], axes.get_ylim()[1]
    axes.fill_between([left, best.x.value], best.y.value, top, color=OWN, alpha=0.09, linewidth=0)


def _decade_ticks(axes: "Axes", unit: str) -> None:
    from matplotlib.ticker import LogLocator

    left, right = axes.get_xlim()
    few = math.log10(right / left) < 1.3
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    quantity_ticks(axes.xaxis, unit)


def _names(axes: "Axes", spots: Sequence[Spot]) -> None:
    """Write every name where it meets no point and no other name."""
    scale = 72 / axes.figure.dpi
    corners = axes.get_window_extent()
    frame = Box(corners.x0 * scale, corners.y0 * scale, corners.x1 * scale, corners.y1 * scale)
    sizes = [_size(spot.label, bold=spot.own) for spot in spots]
    order = sorted(range(len(spots)), key=lambda i: not spots[i].own)

    def place(x: float, y: float) -> tuple[float, float]:
        right, up = axes.transData.transform((x, y)) * scale
        return float(right), float(up)

    centres = [place(spot.x.value, spot.y.value) for spot in spots]
    bands = [
        Box(place(spot.x.low, 0)[0], up - BAND_ROOM, place(spot.x.high, 0)[0], up + BAND_ROOM)
        for spot, (_, up) in zip(spots, centres, strict=True)
    ]
    offsets = place_labels(centres, sizes, frame, order, OWN_MARKER, bands)
    for spot, (right, up), (width, _) in zip(spots, offsets, sizes, strict=True):
        far = math.hypot(max(0.0, abs(right) - width / 2), up) > 2.2 * LABEL_POINTS
        axes.annotate(
            spot.label,
            (spot.x.value, spot.y.value),
            xytext=(right, up),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=LABEL_POINTS,
            weight="bold" if spot.own else "normal",
            color=INK if spot.own else MUTED,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5} if far else None,
            zorder=4,
        )


def _size(text: str, *, bold: bool) -> tuple[float, float]:
    """Width and height of a name in points, by a font that is wider than most."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font: Any = FontProperties(size=LABEL_POINTS, weight="bold" if bold else "normal")
    width, height, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(width), max(float(height), LABEL_POINTS)
