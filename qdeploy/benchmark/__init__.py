"""Latency, energy, memory and accuracy, side by side with what a user would otherwise deploy."""

from qdeploy.benchmark.comparison import Comparison
from qdeploy.benchmark.figures import METRICS, Figure, Metric, Obtained
from qdeploy.benchmark.metering import Metering
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.benchmark.running import bench
from qdeploy.benchmark.suites import Duty, HostAccess

__all__ = [
    "METRICS",
    "BenchmarkReport",
    "Comparison",
    "Duty",
    "Figure",
    "HostAccess",
    "Metering",
    "Metric",
    "Obtained",
    "bench",
]
