"""Cores: what code is generated for, by each compiler, and what kernels may use.

A microcontroller core is ``targets/mcu/cores/NAME.toml``; boards name theirs. The soft-float
calling convention holds for all of these, so that objects of all compilers link together.
"""

from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from qdeploy.errors import QDeployError
from qdeploy.targets.cycles import CycleTable
from qdeploy.targets.tables import Name, Table, folder, read_table
from qdeploy.wording import did_you_mean

__all__ = ["CompilerCore", "Core", "Extension", "list_cores", "load_core"]

Extension = Literal["dsp", "unaligned", "long-multiply", "mve", "divide", "many-registers"]
"""What kernels may use: the DSP instructions (SMLAD, USADA8, SADD16 …), loads and stores that are
not aligned, products of 64 bits (UMULL, SMLAL; MULH on RISC-V), the vectors of Helium, division."""


class CompilerCore(Table):
    """A processor core as compilers name it; a family adds what it alone needs.

    Attributes:
        name: what boards call it.
        description: one sentence.
        architecture: of its instructions.
        triple: of TVM's LLVM.
        cpu: processor of TVM's LLVM.
        features: of TVM's LLVM, beyond those of the processor.
        zig_cpu: ``-mcpu`` of ``zig cc``.
        gcc: flags of the family's gcc; None where it has no such core.
    """

    name: Name = Field(description="lower-case letters, digits, dots, dashes and underscores")
    description: str = Field(min_length=1, description="one sentence")
    architecture: str = Field(min_length=1, description="an architecture")
    triple: str = Field(min_length=1, description='an LLVM triple such as "thumbv7em-none-eabi"')
    cpu: str = Field(min_length=1, description='an LLVM processor such as "cortex-m4"')
    features: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[+-][\w.-]+$")], ...], Field(strict=False)
    ] = Field(default=(), description='a list of LLVM features, such as ["+m", "+c"]')
    zig_cpu: str = Field(min_length=1, description='a processor of zig such as "cortex_m4"')
    gcc: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description='a list of flags of gcc, such as ["-mthumb"]'
    )


class Core(CompilerCore):
    """A core of a microcontroller.

    Attributes:
        architecture: chooses the emulator and the start-up code.
        zig_target: ``-target`` of ``zig cc``.
        extensions: what kernels may use.
        cycles: what its instructions cost.
    """

    architecture: Literal["arm", "riscv32"] = Field(description='"arm" or "riscv32"')
    zig_target: str = Field(
        min_length=1, description='a target of zig such as "thumb-freestanding-eabi"'
    )
    extensions: Annotated[tuple[Extension, ...], Field(strict=False)] = Field(
        description='a list of some of "dsp", "unaligned", "long-multiply", "mve", "divide" and '
        '"many-registers"'
    )
    cycles: CycleTable = Field(description="a table with instructions, taken_branch, band, source")


@cache
def load_core(name: str) -> Core:
    """The core of a name.

    Raises:
        QDeployError: there is no such core, or its file says something that it must not.
    """
    known = list_cores()
    if name not in known:
        raise QDeployError(
            f"there is no core {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}"
        )
    return read_table(folder() / "mcu" / "cores" / f"{name}.toml", Core)


def list_cores() -> tuple[str, ...]:
    """Names of all cores, sorted."""
    return tuple(sorted(path.stem for path in (folder() / "mcu" / "cores").glob("*.toml")))
