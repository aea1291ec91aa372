"""The trainer beside what people do today: the same splits, inputs, neurons and time for all.

A baseline is one module of `qdeploy.comparison.baselines`. Every run is kept on its own, so that a
comparison goes on where it stopped; what is told of the runs hides and sorts nothing.
"""

from qdeploy.comparison.baselines import BASELINES, Baseline, Fitted, Setting
from qdeploy.comparison.comparing import Comparison, compare
from qdeploy.comparison.runs import Plan, Result

__all__ = [
    "BASELINES",
    "Baseline",
    "Comparison",
    "Fitted",
    "Plan",
    "Result",
    "Setting",
    "compare",
]
