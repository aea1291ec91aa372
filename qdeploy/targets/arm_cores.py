"""64-bit Arm cores: what code is generated for, by each compiler, and what kernels may use.

A core is ``targets/arm/cores/NAME.toml``; boards name theirs. Which core a machine with Linux has
is read from the part numbers and features in its ``/proc/cpuinfo``.
"""

import platform
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from qdeploy.errors import QDeployError
from qdeploy.targets.cores import CompilerCore
from qdeploy.targets.pipeline import Pipeline
from qdeploy.targets.tables import Positive, Table, folder, read_table
from qdeploy.wording import did_you_mean

__all__ = [
    "ArmCore",
    "ArmExtension",
    "Part",
    "core_of_parts",
    "host_core",
    "list_arm_cores",
    "load_arm_core",
]

ArmExtension = Literal["dotprod", "i8mm"]
"""What kernels may use beyond NEON: SDOT and UDOT, then SMMLA, UMMLA, USMMLA and USDOT."""

_FLAGS: dict[ArmExtension, str] = {"dotprod": "asimddp", "i8mm": "i8mm"}
"""How Linux calls the extensions in /proc/cpuinfo (elf_hwcaps.rst of its documentation)."""

_CPUINFO = Path("/proc/cpuinfo")


class Part(Table):
    """A core by its main identification register MIDR_EL1.

    Attributes:
        implementer: bits 31 to 24; 0x41 is Arm itself.
        part: bits 15 to 4.
    """

    implementer: int = Field(ge=0, le=0xFF, description="a number of 8 bits")
    part: int = Field(ge=0, le=0xFFF, description="a number of 12 bits")


class ArmCore(CompilerCore):
    """A 64-bit Arm core under Linux.

    Attributes:
        extensions: what kernels may use beyond NEON; the processor and features of LLVM have them.
        qemu_cpu: ``-cpu`` of ``qemu-aarch64``; it has all the extensions, and may have more.
        parts: how it tells its name (numbers of arch/arm64/include/asm/cputype.h in Linux).
        first_level_kibibytes: first-level cache for data, of each core.
        second_level_kibibytes: second-level cache, which some processors share among cores.
        caches_source: where both come from.
        pipeline: what its instructions cost.
    """

    architecture: Literal["aarch64"] = Field(description='"aarch64"')
    extensions: Annotated[tuple[ArmExtension, ...], Field(strict=False)] = Field(
        description='a list of some of "dotprod" and "i8mm"'
    )
    qemu_cpu: str = Field(min_length=1, description='a processor of QEMU such as "cortex-a72"')
    parts: Annotated[tuple[Part, ...], Field(strict=False)] = Field(
        default=(), description="tables with implementer and part"
    )
    first_level_kibibytes: Positive = Field(description="a positive number of kibibytes")
    second_level_kibibytes: Positive = Field(description="a positive number of kibibytes")
    caches_source: str = Field(min_length=1, description="the documents, in words")
    pipeline: Pipeline = Field(
        description="a table with order, dispatch, units, classes, band and source"
    )


@cache
def load_arm_core(name: str) -> ArmCore:
    """The core of a name.

    Raises:
        QDeployError: there is no such core, or its file says something that it must not.
    """
    known = list_arm_cores()
    if name not in known:
        raise QDeployError(
            f"there is no ARM core {name!r}{did_you_mean(name, known)}; known are "
            f"{', '.join(known)}"
        )
    return read_table(folder() / "arm" / "cores" / f"{name}.toml", ArmCore)


def list_arm_cores() -> tuple[str, ...]:
    """Names of all 64-bit Arm cores, sorted."""
    return tuple(sorted(path.stem for path in (folder() / "arm" / "cores").glob("*.toml")))


def core_of_parts(cpuinfo: str) -> str | None:
    """Name of the commonest known core of a machine; None where none of its cores is known.

    Args:
        cpuinfo: text of its ``/proc/cpuinfo``.
    """
    names = {
        (part.implementer, part.part): name
        for name in list_arm_cores()
        for part in load_arm_core(name).parts
    }
    implementers = re.findall(r"^CPU implementer\s*:\s*(\w+)", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(\w+)", cpuinfo, re.MULTILINE)
    numbers = [(int(a, 0), int(b, 0)) for a, b in zip(implementers, parts, strict=False)]
    found = Counter(name for number in numbers if (name := names.get(number)) is not None)
    return found.most_common(1)[0][0] if found else None


def host_core() -> ArmCore:
    """The core of this machine, with the extensions that its kernel tells of.

    A core that has no file here is the generic one with these extensions.

    Raises:
        QDeployError: this machine is not a 64-bit ARM with Linux.
    """
    if platform.machine() != "aarch64" or not _CPUINFO.exists():
        raise QDeployError(
            "the target 'host' is for 64-bit ARM machines with Linux, and this is "
            f"{platform.system()} on {platform.machine()}; take the target 'cpu' here, or name a "
            "board"
        )
    return _with_extensions(*_described(_CPUINFO.read_text(encoding="utf-8")))


def _described(cpuinfo: str) -> tuple[ArmCore, tuple[ArmExtension, ...]]:
    """Core and extensions that a ``/proc/cpuinfo`` tells of: those that all processors have."""
    lines = re.findall(r"^Features\s*:(.*)$", cpuinfo, re.MULTILINE)
    flags = set.intersection(*(set(line.split()) for line in lines)) if lines else set()
    core = load_arm_core(core_of_parts(cpuinfo) or "generic")
    return core, tuple(name for name, flag in _FLAGS.items() if flag in flags)


def _with_extensions(core: ArmCore, extensions: tuple[ArmExtension, ...]) -> ArmCore:
    """A core as a kernel or hypervisor lets programs see it."""
    if extensions == core.extensions:
        return core
    signed = [("+" if name in extensions else "-") + name for name in _FLAGS]
    # GCC writes "no" where LLVM and zig write a minus.
    ending = "".join(f"+{'' if sign[0] == '+' else 'no'}{sign[1:]}" for sign in signed)
    gcc = core.gcc and tuple(
        flag + ending if flag.startswith(("-mcpu=", "-march=")) else flag for flag in core.gcc
    )
    return core.model_copy(
        update={
            "extensions": extensions,
            "features": (*core.features, *signed),
            "zig_cpu": core.zig_cpu + "".join(signed),
            "gcc": gcc,
            "qemu_cpu": "max",
        }
    )
