"""Finding targets: the files that come with qdeploy, and those that users write.

Which tables a file may have is its family's matter (`FAMILIES`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import overload

from qdeploy.errors import QDeployError
from qdeploy.targets.arm import ArmTarget
from qdeploy.targets.arm_benchmark import ArmBenchmark
from qdeploy.targets.cpu import CpuBenchmark, CpuTarget, Processors, processor_name
from qdeploy.targets.mcu import McuTarget
from qdeploy.targets.mcu_benchmark import McuBenchmark
from qdeploy.targets.tables import (
    FAMILIES,
    BenchmarkDefinition,
    Power,
    Target,
    folder,
    read_table,
    toml,
    validated,
)
from qdeploy.wording import did_you_mean

__all__ = ["list_targets", "load_benchmark", "load_target", "power_of"]

PROCESSORS = "processors.toml"
"""File of a family with the power of its processors."""

BENCHMARK_PREFIX = "benchmark"
"""Files of a family that start so define benchmarks."""


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


@overload
def load_benchmark(target: CpuTarget) -> CpuBenchmark: ...


@overload
def load_benchmark(target: ArmTarget) -> ArmBenchmark: ...


@overload
def load_benchmark(target: McuTarget) -> McuBenchmark: ...


@overload
def load_benchmark(target: Target) -> BenchmarkDefinition: ...


def load_benchmark(target: Target) -> BenchmarkDefinition:
    """The benchmark definition that a target names.

    Raises:
        QDeployError: the family has no definition of that name, or it is not valid.
    """
    path = folder() / target.family / f"{target.benchmark}.toml"
    if not path.exists() or not _is_benchmark(path):
        raise QDeployError(
            f"target {target.name!r}: the family {target.family!r} has no benchmark definition "
            f"{target.benchmark!r}"
        )
    return read_table(path, target.definition)


def power_of(target: Target, processor: str | None = None) -> Power:
    """Power of a busy core or board: what the target states, else an estimate for the processor.

    Args:
        target: of any family that states its power, or of the cpu family.
        processor: model name of the processor; None asks this machine.

    Raises:
        QDeployError: nothing is known of the target's power.
    """
    stated = target.stated_power
    if stated is not None:
        return stated
    path = folder() / target.family / PROCESSORS
    if not path.exists():
        raise QDeployError(
            f"target {target.name!r} states no power; add a [{target.power_table}] table to its "
            "file"
        )
    return read_table(path, Processors).power(processor_name() if processor is None else processor)


def _is_benchmark(path: Path) -> bool:
    return path.stem.startswith(BENCHMARK_PREFIX)


def _target_files() -> Iterator[Path]:
    for path in sorted(folder().glob("*/*.toml")):
        if path.name != PROCESSORS and not _is_benchmark(path):
            yield path


def _read_target(path: Path) -> Target:
    values = toml(path)
    family, families = values.get("family"), FAMILIES.names()
    if not isinstance(family, str) or family not in families:
        given = "is missing" if family is None else f"is {family!r}"
        known = " or ".join(f'"{name}"' for name in families)
        raise QDeployError(f"{path.name}: the key 'family' {given}, but must be {known}")
    return validated(path, values, FAMILIES[family])
