"""One number with all that is needed to read it: unit, interval, and how it was obtained.

The metric names and their units are fixed here (docs/benchmark.md lists them for users); a figure
that is not tagged, or whose unit is not the metric's, cannot be made.
"""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from qdeploy.benchmark.timing import Estimate
from qdeploy.targets.cycles import INSTRUCTION_CLASSES
from qdeploy.targets.pipeline import PIPELINE_CLASSES

__all__ = ["METRICS", "Figure", "FigureSheet", "Metric", "Obtained"]

Obtained = Literal["measured", "emulated", "estimated"]
"""A clock or meter on the device, instruction counts, or a model with its sources."""


@dataclass(frozen=True)
class Metric:
    """What a metric name means.

    Attributes:
        unit: unit of every figure of this metric, without prefix.
        meaning: one line for tables and documentation.
        smaller_is_better: which way is up.
    """

    unit: str
    meaning: str
    smaller_is_better: bool = True


METRICS: dict[str, Metric] = {
    "latency_min": Metric("s", "fastest native call"),
    "latency_median": Metric("s", "median native call"),
    "latency_p95": Metric("s", "95th percentile of native calls"),
    "latency_p99": Metric("s", "99th percentile of native calls"),
    "latency_python_median": Metric("s", "median call from Python, on prepared arrays"),
    "latency_pipeline_median": Metric("s", "median call from Python, raw features to prediction"),
    "throughput": Metric("samples/s", "samples a second in native code", False),
    "latency": Metric("s", "time of one inference on the device"),
    "instructions": Metric("instructions", "instructions of one inference"),
    "cycles": Metric("cycles", "clock cycles of one inference"),
    "energy": Metric("J", "energy of one inference"),
    "battery_life": Metric("s", "life of a battery at a steady rate of inferences", False),
    "flash": Metric("B", "flash of the model: code, constants, initial values"),
    "flash_code": Metric("B", "machine code of the compiled model"),
    "flash_weights": Metric("B", "constant data of the compiled model"),
    "ram": Metric("B", "RAM of one inference: variables, input, output, stack"),
    "ram_static": Metric("B", "variables of the model, its scratch among them"),
    "ram_buffers": Metric("B", "one input and its scores"),
    "ram_scratch": Metric("B", "working memory of one inference"),
    "stack": Metric("B", "deepest stack of one inference"),
    "resident": Metric("B", "peak resident memory of the process that runs it"),
    "model_bytes": Metric("B", "what describes the model: ONNX file, or fitted parameters"),
    "accuracy": Metric("fraction", "test rows that are classified correctly", False),
    "r2": Metric("1", "coefficient of determination on the test rows", False),
    **{
        f"instructions_{name}": Metric("instructions", f"instructions of the class {name}")
        for name in dict.fromkeys((*INSTRUCTION_CLASSES, *PIPELINE_CLASSES))
    },
}


class Figure(BaseModel):
    """One figure of a benchmark.

    Attributes:
        target: name of the target.
        implementation: who computed ("qdeploy", "onnxruntime", …).
        batch: samples a call, or None where a batch means nothing (bytes, accuracy).
        metric: a key of `METRICS`.
        unit: that metric's unit.
        value: the figure, finite.
        low: lower end of its interval, or None where there is none.
        high: upper end of its interval.
        obtained: how; there is no default.
        note: what the figure covers and where its interval comes from.

    Raises:
        pydantic.ValidationError: an unknown metric, tag or unit, a value that is not finite, or one
            outside its interval, or an estimate without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    implementation: str
    batch: int | None
    metric: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    obtained: Obtained
    note: str

    @model_validator(mode="after")
    def _consistent(self) -> "Figure":
        if self.metric not in METRICS:
            raise ValueError(f"unknown metric {self.metric!r}; known: {', '.join(METRICS)}")
        if self.unit != METRICS[self.metric].unit:
            raise ValueError(f"{self.metric} is in {METRICS[self.metric].unit}, not {self.unit}")
        given = [end for end in (self.low, self.value, self.high) if end is not None]
        if not all(map(math.isfinite, given)):
            raise ValueError(f"{self.metric} must be finite, not {given}")
        if given != sorted(given):
            raise ValueError(f"{self.metric}: {self.value} lies outside {self.low} … {self.high}")
        if self.obtained == "estimated" and (self.low is None or self.high is None):
            raise ValueError(f"{self.metric} is an estimate and needs its error band")
        return self


class FigureSheet:
    """Collects the figures of one run; units come from the metrics.

    Attributes:
        figures: in the order in which they were added.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self.figures: list[Figure] = []

    def add(
        self,
        implementation: str,
        metric: str,
        value: Estimate | float,
        note: str,
        *,
        batch: int | None = None,
        obtained: Obtained,
    ) -> None:
        """Enter one figure; an `Estimate` brings its interval."""
        interval = value if isinstance(value, Estimate) else None
        self.figures.append(
            Figure(
                target=self._target,
                implementation=implementation,
                batch=batch,
                metric=metric,
                unit=METRICS[metric].unit,
                value=value.value if isinstance(value, Estimate) else value,
                low=None if interval is None else interval.low,
                high=None if interval is None else interval.high,
                obtained=obtained,
                note=note,
            )
        )
