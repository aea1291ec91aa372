"""C compilers for 64-bit ARM with Linux: one module a compiler, one small interface.

Objects of one compiler link with objects of another and with those of TVM's LLVM: all of them use
the procedure call standard of AArch64.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from qdeploy.registry import Registry
from qdeploy.targets import ArmCore

__all__ = ["DEFAULT_TOOLCHAIN", "LINUX_TOOLCHAINS", "LinuxToolchain"]

DEFAULT_TOOLCHAIN = "zig"
"""What compiles where nothing else is asked for: a wheel."""


class LinuxToolchain(Protocol):
    """Compiles C11 with POSIX to code that may lie anywhere, and links libraries and programs.

    Attributes:
        name: identifier.
        title: what it is, in words, for messages and tables.
    """

    name: str
    title: str

    def obstacle(self, core: ArmCore) -> str | None:
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
        core: ArmCore,
        sources: Sequence[Path],
        folder: Path,
        *,
        include: Sequence[Path] = (),
        defines: Mapping[str, str] | None = None,
        optimize: str = "-O2",
        flags: Sequence[str] = (),
        static: bool = True,
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
            static: whether a program made of them will be; where static and dynamic programs have
                different C libraries, their headers differ too.

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

    def shared(
        self, core: ArmCore, objects: Sequence[Path], output: Path, exports: Sequence[str]
    ) -> None:
        """Link a shared library that needs no other, so that it runs with every C library.

        What compilers call without being asked (memcpy, 128-bit division) is linked into it.

        Args:
            core: what to link for.
            objects: .o and .a files.
            output: the library; its soname is the file's name.
            exports: the functions and variables that others may use; no other is visible.

        Raises:
            QDeployError: a symbol is missing, an export among them.
        """
        ...

    def module(self, core: ArmCore, objects: Sequence[Path], output: Path) -> None:
        """Link a shared library against the dynamic C library; what it lacks, its loader has.

        Raises:
            QDeployError: the linker refuses.
        """
        ...

    def program(
        self, core: ArmCore, objects: Sequence[Path], output: Path, *, static: bool = True
    ) -> None:
        """Link a program with the C and mathematics library.

        Args:
            core: what to link for.
            objects: .o and .a files, compiled with the same `static`.
            output: the program.
            static: whether it holds its C library; a dynamic program needs glibc where it runs.

        Raises:
            QDeployError: a symbol is missing.
        """
        ...


LINUX_TOOLCHAINS: Registry[LinuxToolchain] = Registry("toolchain for Linux", __name__)
