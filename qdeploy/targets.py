"""Targets and benchmark definitions: TOML files, checked when they are read.

A target is ``targets/<family>/NAME.toml``, or any file a user names. A family adds its own tables
in a subclass of `Target`. Nothing here compiles, runs or measures.
"""

import platform
import re
import tomllib
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from qdeploy.errors import QDeployError
from qdeploy.wording import did_you_mean

__all__ = [
    "BenchmarkDefinition",
    "Codegen",
    "CpuTarget",
    "Power",
    "Target",
    "list_targets",
    "load_benchmark",
    "load_target",
    "power_of",
    "processor_name",
]

PROCESSORS = "processors.toml"
"""File of a family with the power of its processors."""

BENCHMARK_PREFIX = "benchmark"
"""Files of a family that start so define benchmarks."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    """A TOML table: no unknown keys, no silent conversions. Descriptions end up in messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Codegen(_Table):
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


class Power(_Table):
    """Power of one busy core (or board) in watts, for energy estimates.

    Attributes:
        low: lower end of the band.
        typical: likely value.
        high: upper end of the band.
        kind: whether the figure was measured, is of a datasheet, or only bounds what is plausible.
        source: where it comes from.
    """

    low: Positive = Field(description="a positive number of watts")
    typical: Positive = Field(description="a positive number of watts")
    high: Positive = Field(description="a positive number of watts")
    kind: Literal["measured", "datasheet", "bound"] = Field(
        description='"measured", "datasheet" or "bound"'
    )
    source: str = Field(min_length=1, description="the document or instrument, in words")

    @model_validator(mode="after")
    def _ordered(self) -> "Power":
        if not self.low <= self.typical <= self.high:
            raise ValueError("low, typical and high must be in this order")
        return self


class Target(_Table):
    """What every family has in common.

    Attributes:
        name: what users type.
        family: the kind of machine; chooses the tables that the file may have.
        description: one sentence.
        benchmark: name of the benchmark definition in the family's folder.
        codegen: what code is generated for.
        clock_megahertz: None where it is not known, as for hosts.
        power: None where it depends on the machine at hand (`power_of`).
    """

    name: Name = Field(description="lower-case letters, digits, dots, dashes and underscores")
    family: str = Field(description="a family of targets")
    description: str = Field(min_length=1, description="one sentence")
    benchmark: Name = Field(
        default="benchmark", description="the name of a benchmark definition of the family"
    )
    codegen: Codegen = Field(description="a table with triple, cpu and features")
    clock_megahertz: Positive | None = Field(
        default=None, description="a positive number of megahertz"
    )
    power: Power | None = Field(
        default=None, description="a table with low, typical, high, kind and source"
    )


class CpuTarget(Target):
    """A desktop or server processor: the machine that qdeploy runs on, or one like it."""

    family: Literal["cpu"] = Field(description='"cpu"')


FAMILIES: dict[str, type[Target]] = {"cpu": CpuTarget}


class BenchmarkDefinition(_Table):
    """How the targets of one family are measured.

    Attributes:
        family: whose definition it is.
        description: one sentence.
        batches: batch sizes of the throughput, 1 among them.
        seconds: time for each implementation and batch size.
        rounds: turns that implementations take, so that disturbances meet all of them alike.
        percentiles: of the latency at batch 1.
        peers: implementations to compare, by name, ours first.
        meters: sources of energy, by name, in order of preference.
    """

    family: str = Field(description="a family of targets")
    description: str = Field(min_length=1, description="one sentence")
    batches: Annotated[tuple[int, ...], Field(strict=False)] = Field(
        description="a list of growing batch sizes that starts with 1"
    )
    seconds: Positive = Field(description="a positive number of seconds")
    rounds: int = Field(ge=6, description="a whole number of at least 6")
    percentiles: Annotated[tuple[float, ...], Field(strict=False)] = Field(
        min_length=1, description="a list of growing percentages between 0 and 100"
    )
    peers: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        min_length=1, description="a list of names of implementations, none twice"
    )
    meters: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        min_length=1, description="a list of names of energy meters, none twice"
    )

    @field_validator("batches")
    @classmethod
    def _from_one(cls, batches: tuple[int, ...]) -> tuple[int, ...]:
        if batches[:1] != (1,) or list(batches) != sorted(set(batches)):
            raise ValueError("not growing from 1")
        return batches

    @field_validator("percentiles")
    @classmethod
    def _percentages(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if list(values) != sorted(set(values)) or values[0] < 0 or values[-1] > 100:
            raise ValueError("not growing percentages")
        return values

    @field_validator("peers", "meters")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("a name appears twice")
        return names


class _Processor(_Table):
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


class _Processors(_Table):
    """Power of host processors: a share of the design power, with a wide band."""

    low_factor: Positive = Field(description="a positive factor on TDP/cores")
    high_factor: Positive = Field(description="a positive factor on TDP/cores")
    basis: str = Field(min_length=1, description="what the factors rest on, in words")
    fallback: Power = Field(description="a table with low, typical, high, kind and source")
    processors: Annotated[tuple[_Processor, ...], Field(strict=False)] = Field(
        description="tables with match, tdp_watts, cores and source"
    )


TableT = TypeVar("TableT", bound=_Table)


def load_target(name_or_path: str | Path) -> Target:
    """The target of a name, or of a TOML file (a path ends in .toml or has a slash in it).

    Raises:
        QDeployError: there is no such target, or the file says something that it must not.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text or "\\" in text:
        return _read_target(Path(name_or_path))
    files = {path.stem: path for path in _target_files()}
    if text not in files:
        raise QDeployError(
            f"there is no target {text!r}{did_you_mean(text, files)}; known are "
            f"{', '.join(sorted(files))}, and any file that ends in .toml"
        )
    return _read_target(files[text])


def list_targets() -> tuple[Target, ...]:
    """Every target that comes with qdeploy, by family and name."""
    return tuple(_read_target(path) for path in _target_files())


def load_benchmark(target: Target) -> BenchmarkDefinition:
    """The benchmark definition that a target names.

    Raises:
        QDeployError: the family has no definition of that name, or it is not valid.
    """
    path = _folder() / target.family / f"{target.benchmark}.toml"
    if not path.exists() or not _is_benchmark(path):
        raise QDeployError(
            f"target {target.name!r}: the family {target.family!r} has no benchmark definition "
            f"{target.benchmark!r}"
        )
    return _validated(path, _toml(path), BenchmarkDefinition)


def power_of(target: Target, processor: str | None = None) -> Power:
    """Power of a busy core: what the target states, else an estimate for the processor.

    Args:
        target: of any family that states its power, or of the cpu family.
        processor: model name of the processor; None asks this machine.

    Raises:
        QDeployError: nothing is known of the target's power.
    """
    if target.power is not None:
        return target.power
    path = _folder() / target.family / PROCESSORS
    if not path.exists():
        raise QDeployError(
            f"target {target.name!r} states no power; add a [power] table to its file"
        )
    table = _validated(path, _toml(path), _Processors)
    name = processor_name() if processor is None else processor
    for entry in table.processors:
        if re.search(entry.match, name):
            share = entry.tdp_watts / entry.cores
            return Power(
                low=share * table.low_factor,
                typical=share,
                high=share * table.high_factor,
                kind="datasheet",
                source=f"{entry.source}: {entry.tdp_watts:g} W over {entry.cores} cores; "
                f"{table.basis}",
            )
    return table.fallback


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


def _is_benchmark(path: Path) -> bool:
    return path.stem.startswith(BENCHMARK_PREFIX)


def _folder() -> Path:
    """The targets: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).parent
    installed = package / "_targets"
    return installed if installed.is_dir() else package.parent / "targets"


def _target_files() -> Iterator[Path]:
    for path in sorted(_folder().glob("*/*.toml")):
        if path.name != PROCESSORS and not _is_benchmark(path):
            yield path


def _read_target(path: Path) -> Target:
    values = _toml(path)
    family = values.get("family")
    if not isinstance(family, str) or family not in FAMILIES:
        given = "is missing" if family is None else f"is {family!r}"
        known = " or ".join(f'"{name}"' for name in FAMILIES)
        raise QDeployError(f"{path.name}: the key 'family' {given}, but must be {known}")
    return _validated(path, values, FAMILIES[family])


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise QDeployError(f"{path}: there is no such file") from None
    except OSError as fault:
        raise QDeployError(f"{path}: cannot be read ({fault.strerror})") from None
    except UnicodeDecodeError:
        raise QDeployError(f"{path.name}: the text is not UTF-8") from None
    except tomllib.TOMLDecodeError as fault:
        raise QDeployError(f"{path.name}: not valid TOML ({fault})") from None


def _validated(path: Path, values: dict[str, Any], model: type[TableT]) -> TableT:
    try:
        return model.model_validate(values)
    except ValidationError as fault:
        # An unknown key first: a misspelt one is also reported as missing.
        details = min(fault.errors(), key=lambda each: each["type"] != "extra_forbidden")
    key, table, description = _locate(model, details["loc"])
    match details["type"]:
        case "extra_forbidden":
            unknown = str(details["loc"][-1])
            known = list(table.model_fields)
            told = did_you_mean(unknown, known) or f"; known here are {', '.join(known)}"
            full = f"{key}.{unknown}" if key else unknown
            raise QDeployError(f"{path.name}: the key {full!r} is not known{told}")
        case "missing":
            raise QDeployError(f"{path.name}: the key {key!r} is missing; it is {description}")
        case "value_error" if isinstance(details["input"], dict):
            raise QDeployError(f"{path.name}: table {key!r}: {details['ctx']['error']}")
        case _:
            raise QDeployError(
                f"{path.name}: the key {key!r} is {details['input']!r}, but must be {description}"
            )


def _locate(model: type[_Table], place: tuple[int | str, ...]) -> tuple[str, type[_Table], str]:
    """Dotted key, innermost table and description of the place of an error.

    Places hold the branches of unions too; what is not a key or an index is passed over.
    """
    key, table, description = "", model, ""
    for part in place:
        if isinstance(part, int):
            key += f"[{part + 1}]"
        elif part in table.model_fields:
            field = table.model_fields[part]
            key = f"{key}.{part}" if key else part
            description = field.description or ""
            table = _inner_table(field.annotation) or table
    return key, table, description


def _inner_table(annotation: Any) -> type[_Table] | None:
    if isinstance(annotation, type) and issubclass(annotation, _Table):
        return annotation
    for part in typing.get_args(annotation):
        if found := _inner_table(part):
            return found
    return None
