"""What all charts share: stand-in colours that become the page's, fonts, ticks, the SVG element.

matplotlib draws with stand-in colours; they are replaced by CSS variables, so that one drawing
serves light and dark.
"""

import io
import re
from contextlib import AbstractContextManager
from html import escape
from typing import TYPE_CHECKING, Any

from qdeploy.benchmark.wording import COUNTS, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

__all__ = [
    "BOUND",
    "GRID",
    "INK",
    "MUTED",
    "OTHER",
    "OWN",
    "SERIES",
    "WIDE",
    "WIDTH",
    "canvas",
    "legend",
    "quantity_ticks",
    "style",
    "svg",
]

WIDTH = 4.9
"""Inches at 72 points: about 350 points, the width of a telephone."""

WIDE = 10.4
"""Inches of a chart that has a wide screen for itself."""

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


def canvas(height: float, width: float = WIDTH) -> "Drawing":
    """An empty drawing of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def quantity_ticks(axis: Any, unit: str) -> None:
    """Label the ticks of an axis with short quantities; those between have none."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, unit)))
    axis.set_minor_formatter(NullFormatter())


def _tick(value: float, unit: str) -> str:
    """A short tick label: "100 ns", "10 k", "90 %"; the axis says what is counted."""
    if unit == "fraction":
        return f"{100 * value:.4g} %"
    if unit in ("samples/s", *COUNTS):
        unit = "1/s"
    figure, _, rest = quantity(value, unit).partition(" ")
    return f"{float(figure):g} {rest.removesuffix('1/s')}".strip()


def legend(axes: "Axes", columns: int) -> None:
    """A legend above the axes."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        frameon=False,
        borderaxespad=0,
        handlelength=1.6,
        labelcolor=INK,
    )


def style(title: str) -> AbstractContextManager[Any]:
    """Settings for one drawing; titles, or what is added to them, differ within a page."""
    import matplotlib

    return matplotlib.rc_context(
        {
            # References inside the drawing are salted hashes, lest two drawings share one.
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


def svg(drawing: "Drawing", title: str) -> str:
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
