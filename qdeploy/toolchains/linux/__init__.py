"""C compilers for 64-bit ARM with Linux: one module a compiler, one small interface.

Objects of one compiler link with objects of another and with those of TVM's LLVM: all of them use
the procedure call standard of AArch64.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from qdeploy.registry import Registry
from qdeploy.targets import ArmCore
from qdeploy.toolchains import Compiler

__all__ = ["DEFAULT_TOOLCHAIN", "LINUX_TOOLCHAINS", "LinuxToolchain"]

DEFAULT_TOOLCHAIN = "zig"
"""What compiles where nothing else is asked for: a wheel."""


class LinuxToolchain(Compiler[ArmCore], Protocol):
    """Compiles C11 with POSIX to code that may lie anywhere, and links libraries and programs."""

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
        """Compile sources, see `Compiler.compile`.

        `static` tells whether a program made of them will be: where static and dynamic programs
        have different C libraries, their headers differ too.
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
