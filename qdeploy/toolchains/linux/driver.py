"""What compilers for 64-bit ARM with Linux have in common: linking of libraries and programs."""

import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from qdeploy.errors import QDeployError
from qdeploy.targets import ArmCore
from qdeploy.toolchains.driver import Driver

__all__ = ["LinuxDriver"]

# Stripped: zig's helpers bring debug information a hundred times their size.
_LINKED = ("-O2", "-Wl,--gc-sections", "-Wl,--build-id=none", "-s")


class LinuxDriver(Driver[ArmCore]):
    """A compiler with a C library."""

    language: ClassVar[tuple[str, ...]] = (
        "-std=c11",
        "-D_POSIX_C_SOURCE=200809L",
        "-fPIC",
        "-fno-stack-protector",
    )

    @abstractmethod
    def _library(self, static: bool) -> list[str]:
        """Flags that choose the C library for static or dynamic programs."""

    @abstractmethod
    def _linker(self, static: bool) -> list[str]:
        """The command that links, with the C library for static or dynamic programs."""

    def _memory_functions(self, core: ArmCore, folder: Path) -> list[Path]:
        """Objects with memcpy and its like, made in `folder`; none where the helpers have them."""
        return []

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
        """Compile sources, see `qdeploy.toolchains.linux.LinuxToolchain.compile`."""
        return super().compile(
            core,
            sources,
            folder,
            include=include,
            defines=defines,
            optimize=optimize,
            flags=[*self._library(static), *flags],
        )

    def shared(
        self, core: ArmCore, objects: Sequence[Path], output: Path, exports: Sequence[str]
    ) -> None:
        """Link a library alone, see `qdeploy.toolchains.linux.LinuxToolchain.shared`."""
        with tempfile.TemporaryDirectory(prefix="qdeploy-") as temporary:
            visible = Path(temporary) / "exports.map"
            names = "".join(f"{name}; " for name in exports)
            visible.write_text(f"{{ global: {names}local: *; }};\n", encoding="ascii")
            command: list[str | Path] = [
                *self._linker(static=False),
                *_LINKED,
                "-shared",
                "-nostdlib",
                "-Wl,-z,defs",
                # Calls among the library's own functions are not for others to take over.
                "-Wl,-Bsymbolic",
                f"-Wl,-soname,{output.name}",
                "-Wl,--undefined-version",
                f"-Wl,--version-script={visible}",
                # Members of archives are taken when something asks for them.
                *(f"-Wl,-u,{name}" for name in exports),
                *objects,
                *self._memory_functions(core, Path(temporary)),
                *self._helpers(),
            ]
            self._link(core, command, output)
        missing = [name for name in exports if name not in _visible(output)]
        if missing:
            raise QDeployError(
                f"{self.title} could not link {output.name} for {core.name}: nothing defines the "
                f"function or variable {missing[0]!r}"
            )

    def module(self, core: ArmCore, objects: Sequence[Path], output: Path) -> None:
        """Link a module, see `qdeploy.toolchains.linux.LinuxToolchain.module`."""
        command = [*self._linker(static=False), *_LINKED, "-shared"]
        self._link(core, [*command, *objects, "-lm"], output)

    def program(
        self, core: ArmCore, objects: Sequence[Path], output: Path, *, static: bool = True
    ) -> None:
        """Link a program, see `qdeploy.toolchains.linux.LinuxToolchain.program`."""
        kind = ["-static"] if static else []
        self._link(core, [*self._linker(static), *_LINKED, *kind, *objects, "-lm"], output)


def _visible(library: Path) -> set[str]:
    """Names that a shared library defines for others."""
    from elftools.elf.elffile import ELFFile

    with library.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".dynsym")
        symbols = [] if table is None else list(table.iter_symbols())
        return {each.name for each in symbols if each["st_shndx"] != "SHN_UNDEF"}
