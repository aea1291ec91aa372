"""How many times better qdeploy's C library is than the others, measured side by side."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from qdeploy.benchmark.figures import Obtained
from qdeploy.benchmark.subjects import NATIVE, PIPELINE, PYTHON, Key
from qdeploy.benchmark.timing import Samples

__all__ = ["METRIC_OF", "Comparison", "compare_samples"]

METRIC_OF = {
    NATIVE: "latency_median",
    PYTHON: "latency_python_median",
    PIPELINE: "latency_pipeline_median",
}
"""The metric whose medians are compared, by the way of calling."""


class Comparison(BaseModel):
    """Ratio of two medians of the same run, above 1 where the baseline is faster.

    Attributes:
        baseline: the implementation below the fraction bar.
        implementation: the one above it.
        metric: whose figures are compared.
        batch: samples a call; at one batch size the ratio of throughputs is the same.
        ratio: of the medians.
        low: lower end of the 95 % interval of the ratio.
        high: upper end.
        obtained: how both figures were.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: str
    implementation: str
    metric: str
    batch: int
    ratio: float
    low: float
    high: float
    obtained: Obtained


def compare_samples(samples: Mapping[Key, Samples], baseline: str) -> tuple[Comparison, ...]:
    """Every implementation against the baseline, for every way of calling and batch size."""
    comparisons = []
    for (name, way, batch), taken in samples.items():
        reference = samples.get((baseline, way, batch))
        if name == baseline or reference is None:
            continue
        ratio = taken.ratio_to(reference)
        comparisons.append(
            Comparison(
                baseline=baseline,
                implementation=name,
                metric=METRIC_OF[way],
                batch=batch,
                ratio=ratio.value,
                low=ratio.low,
                high=ratio.high,
                obtained="measured",
            )
        )
    return tuple(comparisons)
