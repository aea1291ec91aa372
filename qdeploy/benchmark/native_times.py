"""Latency and throughput figures of native calls, from their samples."""

from collections.abc import Mapping, Sequence

from qdeploy.benchmark.figures import METRICS, FigureSheet
from qdeploy.benchmark.timing import Estimate, Samples
from qdeploy.errors import QDeployError

__all__ = ["enter_native", "enter_throughput", "quantile_metrics"]


def quantile_metrics(percentiles: Sequence[float], target: str) -> dict[str, float]:
    """Shares of samples by the metric that they are reported as.

    Args:
        percentiles: of a benchmark definition.
        target: whose definition it is, for the message.

    Raises:
        QDeployError: a percentile is no metric.
    """
    quantiles = {_percentile_metric(share): share / 100 for share in percentiles}
    unknown = [metric for metric in quantiles if metric not in METRICS]
    if unknown:
        raise QDeployError(
            f"the benchmark definition of target {target!r} asks for {unknown[0]}, which "
            f"is no metric; known are {', '.join(METRICS)}"
        )
    return quantiles


def enter_native(
    sheet: FigureSheet,
    name: str,
    batch: int,
    taken: Samples,
    note: str,
    quantiles: Mapping[str, float],
) -> None:
    """Quantiles of the latency at batch 1, and the throughput at every batch size.

    Args:
        sheet: takes the figures.
        name: implementation.
        batch: samples a call.
        taken: seconds a call.
        note: what a call covers.
        quantiles: shares by metric.
    """
    note = f"{note}; {taken.note}"
    if batch == 1:
        for metric, share in quantiles.items():
            sheet.add(name, metric, taken.quantile(share), note, batch=1, obtained="measured")
    enter_throughput(sheet, name, batch, taken, note)


def enter_throughput(sheet: FigureSheet, name: str, batch: int, taken: Samples, note: str) -> None:
    """Samples a second, from the median call."""
    median = taken.quantile(0.5)
    rate = Estimate(batch / median.value, batch / median.high, batch / median.low)
    note = f"batch / median call; {note}"
    sheet.add(name, "throughput", rate, note, batch=batch, obtained="measured")


def _percentile_metric(share: float) -> str:
    return {0.0: "latency_min", 50.0: "latency_median"}.get(share, f"latency_p{share:g}")
