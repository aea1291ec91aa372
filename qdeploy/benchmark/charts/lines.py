"""Lines: throughput over batch sizes, and training against its bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from qdeploy.benchmark.charts.drawing import (
    BOUND,
    GRID,
    MUTED,
    OWN,
    SERIES,
    canvas,
    legend,
    quantity_ticks,
    style,
    svg,
)

__all__ = ["Line", "TrainingPoint", "lines", "training_curve"]

FOCUS = 2.5
"""Training curves are cut above so many times the final objective."""


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
class Line:
    """One line of a chart over batch sizes."""

    label: str
    points: Mapping[int, float]
    own: bool


def lines(series: Sequence[Line], unit: str, *, title: str, x_label: str) -> str:
    """Lines over batch sizes, both axes logarithmic, with a legend above."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    with style(title):
        drawing = canvas(3.4)
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
        quantity_ticks(axes.yaxis, unit)
        axes.set_xlabel(x_label)
        axes.grid(color=GRID, linewidth=0.8)
        axes.spines[:].set_visible(False)
        legend(axes, columns=2)
        return svg(drawing, title)


def training_curve(history: Sequence[TrainingPoint], *, title: str) -> str:
    """Objective and bound over time, the gap between them shaded, the width below."""
    with style(title):
        drawing = canvas(3.9)
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
        legend(axes, columns=2)
        neurons = [point.neurons for point in history]
        width.step(seconds, neurons, where="post", color=MUTED, linewidth=1.8)
        width.set_ylabel("neurons")
        width.set_ylim(bottom=0)
        width.set_xlabel("seconds of training")
        for each in (axes, width):
            each.grid(color=GRID, linewidth=0.8)
            each.spines[:].set_visible(False)
        return svg(drawing, title)
