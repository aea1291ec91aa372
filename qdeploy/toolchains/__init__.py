"""C compilers for bare-metal cores: one module a compiler, one small interface.

Objects of one compiler link with objects of another and with those of TVM's LLVM: all of them use
the soft-float calling convention.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from qdeploy.errors import QDeployError
from qdeploy.registry import Registry
from qdeploy.targets import CompilerCore, Core

__all__ = ["TOOLCHAINS", "Compiler", "Toolchain", "usable"]

AnyCore = TypeVar("AnyCore", bound=CompilerCore, contravariant=True)


class Compiler(Protocol[AnyCore]):
    """What every toolchain can do, with an operating system or without.

    Attributes:
        name: identifier.
        title: what it is, in words, for messages and tables.
    """

    name: str
    title: str

    def obstacle(self, core: AnyCore) -> str | None:
        """Why it cannot be used here for a core and what would mend that; None when it can."""
        ...

    def version(self) -> str:
        """Version of the compiler, as it tells it.

        Raises:
            QDeployError: it is not installed.
        """
        ...

    def compile(
        self,
        core: AnyCore,
        sources: Sequence[Path],
        folder: Path,
        *,
        include: Sequence[Path] = (),
        defines: Mapping[str, str] | None = None,
        optimize: str = "-O2",
        flags: Sequence[str] = (),
    ) -> list[Path]:
        """Compile C or assembler sources; equal sources give equal objects wherever they lie.

        Args:
            core: what to compile for.
            sources: .c and .S files whose names differ.
            folder: where the objects go, made when missing.
            include: folders of headers.
            defines: macros and their text.
            optimize: level of optimisation.
            flags: more compiler flags.

        Returns:
            One object a source, ``folder/NAME.o``, in the order of the sources.

        Raises:
            QDeployError: the compiler refuses; its first error line is in the message.
        """
        ...

    def archive(self, objects: Sequence[Path], output: Path) -> None:
        """Write a static library without times and owners, so that equal objects give equal bytes.

        Raises:
            QDeployError: the archiver refuses.
        """
        ...


class Toolchain(Compiler[Core], Protocol):
    """Compiles C99 without a C library, and links it at given addresses."""

    def link(
        self,
        core: Core,
        objects: Sequence[Path],
        script: Path,
        output: Path,
        *,
        entry: str,
        flags: Sequence[str] = (),
    ) -> None:
        """Link objects and archives to an ELF file; what `entry` does not reach is left out.

        The compiler's own helpers (64-bit division, software floating point) are found by
        themselves.

        Args:
            core: what to link for.
            objects: .o and .a files.
            script: linker script with the memory map.
            output: the ELF file.
            entry: symbol of the entry point.
            flags: more flags of the compiler's driver.

        Raises:
            QDeployError: a symbol is missing or a memory is too small.
        """
        ...


TOOLCHAINS: Registry[Toolchain] = Registry("toolchain", __name__)

CompilerT = TypeVar("CompilerT", bound=Compiler[Any])


def usable(
    toolchains: Registry[CompilerT], name: str, core: CompilerCore, otherwise: str
) -> CompilerT:
    """A toolchain that can compile for a core here.

    Args:
        toolchains: of the core's family.
        name: of the toolchain.
        core: what to compile for.
        otherwise: what is not possible without it, the start of the error's sentence.

    Raises:
        QDeployError: there is no such toolchain, or it is not installed or lacks the core.
    """
    toolchain = toolchains[name]
    if obstacle := toolchain.obstacle(core):
        raise QDeployError(f"{otherwise}: {obstacle}")
    return toolchain
