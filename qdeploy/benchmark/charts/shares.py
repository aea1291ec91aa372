"""Shares of a whole, one stacked bar a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qdeploy.benchmark.charts.drawing import INK, MUTED, SERIES, canvas, legend, style, svg

__all__ = ["Shares", "shares"]


@dataclass(frozen=True)
class Shares:
    """One row.

    Attributes:
        label: written above its bar.
        total: what the whole is, in words.
        parts: amount by name; a part has the same colour in every row.
        own: whether it is qdeploy's.
    """

    label: str
    total: str
    parts: Mapping[str, float]
    own: bool


def shares(rows: Sequence[Shares], *, title: str) -> str:
    """Stacked bars of equal length under their labels.

    Args:
        rows: from top to bottom, with the same names of parts, at most eight of them.
        title: what a screen reader says.
    """
    with style(title):
        drawing = canvas(0.52 * len(rows) + 0.8)
        axes = drawing.subplots()
        for place, row in enumerate(reversed(rows)):
            whole, start = sum(row.parts.values()) or 1.0, 0.0
            for color, (name, amount) in zip(SERIES, row.parts.items(), strict=False):
                axes.barh(
                    place,
                    amount / whole,
                    left=start,
                    height=0.24,
                    color=color,
                    label=name if place == 0 else None,
                )
                start += amount / whole
            weight, color = ("bold", INK) if row.own else ("normal", MUTED)
            above = place + 0.19
            axes.text(0, above, row.label, va="bottom", color=INK, weight=weight)
            axes.text(1, above, row.total, va="bottom", ha="right", color=color, weight=weight)
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.4, len(rows) - 0.3)
        axes.set_axis_off()
        legend(axes, columns=3)
        return svg(drawing, title)
