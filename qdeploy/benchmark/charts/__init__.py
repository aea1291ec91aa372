"""Charts as SVG text that goes into a page: its colours and its font are the page's own.

Widths are those of a telephone, and a wide screen shows them side by side; a chart that needs more
room is drawn twice.
"""

from qdeploy.benchmark.charts.lines import Line, TrainingPoint, lines, training_curve
from qdeploy.benchmark.charts.rows import Bar, bars, dots
from qdeploy.benchmark.charts.scatter import Spot, scatter
from qdeploy.benchmark.charts.shares import Shares, shares

__all__ = [
    "Bar",
    "Line",
    "Shares",
    "Spot",
    "TrainingPoint",
    "bars",
    "dots",
    "lines",
    "scatter",
    "shares",
    "training_curve",
]
