"""How many times better qdeploy is than the others, obtained side by side."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from qdeploy.benchmark.figures import Figure, Obtained
from qdeploy.benchmark.subjects import NATIVE, PIPELINE, PYTHON, Key
from qdeploy.benchmark.timing import Samples

__all__ = ["METRIC_OF", "Comparison", "compare_figures", "compare_samples"]

METRIC_OF = {
    NATIVE: "latency_median",
    PYTHON: "latency_python_median",
    PIPELINE: "latency_pipeline_median",
}
"""The metric whose medians are compared, by the way of calling."""


class Comparison(BaseModel):
    """Ratio of two figures of the same run, above 1 where the baseline is the smaller one.

    Attributes:
        baseline: the implementation below the fraction bar.
        implementation: the one above it.
        metric: whose figures are compared.
        batch: samples a call (at one batch size the ratio of throughputs is the same), or None
            where a batch means nothing.
        ratio: of medians, where the figures are medians.
        low: lower end of the interval of the ratio: 95 % where it was measured, what both bands
            allow where it is estimated, the ratio itself where both figures are exact.
        high: upper end.
        obtained: how both figures were.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: str
    implementation: str
    metric: str
    batch: int | None
    ratio: float
    low: float
    high: float
    obtained: Obtained


def compare_samples(
    samples: Mapping[Key, Samples], baseline: str, *, natively: bool = False
) -> tuple[Comparison, ...]:
    """Every implementation against the baseline, for every way of calling and batch size.

    Args:
        samples: of one `interleave`.
        baseline: the implementation below the fraction bar.
        natively: whether native calls of the baseline stand below all, however others are called.
    """
    comparisons = []
    for (name, way, batch), taken in samples.items():
        reference = samples.get((baseline, NATIVE if natively else way, batch))
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


def compare_figures(
    figures: Sequence[Figure], baseline: str, metrics: Sequence[str]
) -> tuple[Comparison, ...]:
    """Every implementation against the baseline, figure by figure, where both are positive.

    Counts are exact, whatever their range over the rows. Of estimates, the ratio may lie wherever
    both bands allow: the errors of one model have the same sign for many programs, but not for all.

    Args:
        figures: of one run; only those that were obtained alike are compared.
        baseline: the implementation below the fraction bar.
        metrics: what to compare.
    """
    own = {
        (figure.metric, figure.batch, figure.obtained): figure
        for figure in figures
        if figure.implementation == baseline
    }
    comparisons = []
    for figure in figures:
        reference = own.get((figure.metric, figure.batch, figure.obtained))
        if (
            figure.metric not in metrics
            or figure.implementation == baseline
            or reference is None
            or reference.value <= 0
        ):
            continue
        ratio = low = high = figure.value / reference.value
        if figure.obtained == "estimated" and reference.low:
            low = (figure.low or 0.0) / (reference.high or reference.value)
            high = (figure.high or figure.value) / reference.low
        comparisons.append(
            Comparison(
                baseline=baseline,
                implementation=figure.implementation,
                metric=figure.metric,
                batch=figure.batch,
                ratio=ratio,
                low=low,
                high=high,
                obtained=figure.obtained,
            )
        )
    return tuple(comparisons)
