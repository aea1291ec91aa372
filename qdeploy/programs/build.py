"""Builds the programs of an ARM artifact: one that runs the model, one that times it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qdeploy.errors import QDeployError
from qdeploy.firmware.interface import ModelInterface
from qdeploy.programs.glue import Glue, agreement_source, bench_configuration, run_configuration
from qdeploy.targets import ArmCore

if TYPE_CHECKING:
    from qdeploy.toolchains.linux import LinuxToolchain

__all__ = ["Programs", "build_bench", "build_programs"]

_SOURCES = Path(__file__).parent
_HARNESS = Path(__file__).parents[1] / "benchmark" / "harness.c"
"""The loop that times functions in this process, too."""


@dataclass(frozen=True)
class Programs:
    """Static programs of a model.

    Attributes:
        run: turns rows of inputs into rows of scores.
        bench: times the model.
    """

    run: Path
    bench: Path


def build_programs(
    core: ArmCore,
    objects: Sequence[Path],
    interface: ModelInterface,
    folder: Path,
    toolchain: "LinuxToolchain",
    *,
    header_folder: Path,
) -> Programs:
    """Build NAME-run and NAME-bench.

    Args:
        core: what to compile for.
        objects: the model's objects or archives, with NAME_predict and NAME_predict_batch.
        interface: how the model is called.
        folder: where the programs go.
        toolchain: what to compile and link with.
        header_folder: where NAME.h is; it must declare what the programs call.

    Raises:
        QDeployError: the compiler refuses, or the header declares another interface.
    """
    programs = Programs(folder / f"{interface.name}-run", folder / f"{interface.name}-bench")
    with tempfile.TemporaryDirectory(prefix="qdeploy-") as temporary:
        work = Path(temporary)
        _check_header(core, interface, header_folder, work, toolchain)
        configuration = run_configuration(interface, programs.run.name)
        built = _compile(core, [_SOURCES / "run.c"], configuration, work, toolchain)
        toolchain.program(core, [*built, *objects], programs.run)
    build_bench(core, objects, Glue.of_model(interface), programs.bench, toolchain)
    return programs


def build_bench(
    core: ArmCore, objects: Sequence[Path], glue: Glue, output: Path, toolchain: "LinuxToolchain"
) -> None:
    """Build a program that times a compiled function, of a model or of a peer.

    Args:
        core: what to compile for.
        objects: objects or archives that define the function.
        glue: what is called, and how.
        output: the program.
        toolchain: what to compile and link with.

    Raises:
        QDeployError: the compiler or the linker refuses.
    """
    with tempfile.TemporaryDirectory(prefix="qdeploy-") as temporary:
        configuration = bench_configuration(glue, output.name)
        sources = [_SOURCES / "bench.c", _HARNESS]
        built = _compile(core, sources, configuration, Path(temporary), toolchain)
        toolchain.program(core, [*built, *objects], output)


def _compile(
    core: ArmCore,
    sources: Sequence[Path],
    configuration: str,
    work: Path,
    toolchain: "LinuxToolchain",
) -> list[Path]:
    (work / "configuration.h").write_text(configuration, encoding="ascii")
    return toolchain.compile(
        core,
        sources,
        work,
        include=[work, _HARNESS.parent],
        defines={"HARNESS_CLOCK": "CLOCK_MONOTONIC_RAW"},
    )


def _check_header(
    core: ArmCore,
    interface: ModelInterface,
    header_folder: Path,
    work: Path,
    toolchain: "LinuxToolchain",
) -> None:
    """Compile the header that users get against what the programs take for granted."""
    header = f"{interface.name}.h"
    source = work / "agreement.c"
    source.write_text(agreement_source(header, interface), encoding="ascii")
    try:
        toolchain.compile(core, [source], work, include=[header_folder])
    except QDeployError as error:
        raise QDeployError(
            f"{header_folder / header} does not declare the functions that the programs of "
            f"{interface.name!r} call ({error}); compile the model again"
        ) from error
