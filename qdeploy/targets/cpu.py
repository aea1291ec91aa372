"""Family ``cpu``: desktop and server processors, this machine among them.

Their power is stated in the file or comes from a table of processors, with a wide band.
"""

import platform
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from qdeploy.targets.tables import (
    FAMILIES,
    Batches,
    BenchmarkDefinition,
    Percentages,
    Positive,
    Power,
    Table,
    Target,
)

__all__ = ["Codegen", "CpuBenchmark", "CpuTarget", "Processors", "processor_name"]


class Codegen(Table):
    """What code is generated for."""

    triple: str = Field(
        min_length=1,
        description='an LLVM triple such as "x86_64-unknown-linux-gnu", or "native"',
    )
    cpu: str = Field(
        min_length=1, description='an LLVM processor name such as "x86-64-v3", or "native"'
    )
    features: Literal["native"] | Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description='a list of LLVM features beyond those of the processor, such as ["+avx2"], '
        'or "native" for all that this machine has',
    )

    @field_validator("features")
    @classmethod
    def _signed(cls, features: Any) -> Any:
        if features != "native" and not all(re.fullmatch(r"[+-][\w.-]+", f) for f in features):
            raise ValueError("every feature starts with + or -")
        return features


class CpuBenchmark(BenchmarkDefinition):
    """How hosts are measured.

    Attributes:
        batches: batch sizes of the throughput, 1 among them.
        seconds: time for each implementation and batch size.
        rounds: turns that implementations take, so that disturbances meet all of them alike.
        percentiles: of the latency at batch 1.
    """

    batches: Batches
    seconds: Positive = Field(description="a positive number of seconds")
    rounds: int = Field(ge=6, description="a whole number of at least 6")
    percentiles: Percentages


@FAMILIES.register("cpu")
class CpuTarget(Target):
    """A desktop or server processor: the machine that qdeploy runs on, or one like it.

    Attributes:
        codegen: what code is generated for.
        power: None where it depends on the machine at hand.
    """

    definition: ClassVar[type[BenchmarkDefinition]] = CpuBenchmark

    family: Literal["cpu"] = Field(description='"cpu"')
    codegen: Codegen = Field(description="a table with triple, cpu and features")
    power: Power | None = Field(
        default=None, description="a table with low, typical, high, kind and source"
    )

    @property
    def stated_power(self) -> Power | None:
        """The power table of the file."""
        return self.power


class Processor(Table):
    """One model of processor, from its maker's specification."""

    match: str = Field(description="a regular expression on the processor's model name")
    tdp_watts: Positive = Field(description="a positive number of watts")
    cores: int = Field(gt=0, description="a positive number of physical cores")
    source: str = Field(min_length=1, description="the document, in words")

    @field_validator("match")
    @classmethod
    def _compiles(cls, expression: str) -> str:
        try:
            re.compile(expression)
        except re.error as fault:
            raise ValueError(str(fault)) from None
        return expression


class Processors(Table):
    """Power of host processors: a share of the design power, with a wide band."""

    low_factor: Positive = Field(description="a positive factor on TDP/cores")
    high_factor: Positive = Field(description="a positive factor on TDP/cores")
    basis: str = Field(min_length=1, description="what the factors rest on, in words")
    fallback: Power = Field(description="a table with low, typical, high, kind and source")
    processors: Annotated[tuple[Processor, ...], Field(strict=False)] = Field(
        description="tables with match, tdp_watts, cores and source"
    )

    def power(self, name: str) -> Power:
        """Power of one busy core of the processor of that model name."""
        for entry in self.processors:
            if re.search(entry.match, name):
                share = entry.tdp_watts / entry.cores
                return Power(
                    low=share * self.low_factor,
                    typical=share,
                    high=share * self.high_factor,
                    kind="datasheet",
                    source=f"{entry.source}: {entry.tdp_watts:g} W over {entry.cores} cores; "
                    f"{self.basis}",
                )
        return self.fallback


@cache
def processor_name() -> str:
    """Model name of this machine's processor, as its kernel tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
