"""What compilers with GCC's command line have in common: flags, order of work, error sentences."""

import os
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from qdeploy.errors import QDeployError
from qdeploy.targets import CompilerCore

__all__ = ["CoreT", "Driver"]

_COMMON = (
    "-Wall",
    "-Wextra",
    # One section a function and object, so that the linker can leave out what is not reached.
    "-ffunction-sections",
    "-fdata-sections",
    # A frame pointer costs two instructions a call, unwind tables cost flash; nothing reads them.
    "-fomit-frame-pointer",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-common",
    "-g0",
)
"""Flags of every compilation."""

_OVERFLOW = re.compile(r"region [`'](\w+)'(?:[^\n]*? overflowed by (\d+) bytes)?")
"""GNU's linker does not always tell by how much."""
_MEMORIES = {"FLASH": "the flash", "RAM": "the RAM"}
_UNDEFINED = re.compile(r"undefined (?:symbol|reference to)[: ]+[`']?([\w.$]+)")

CoreT = TypeVar("CoreT", bound=CompilerCore)


class Driver(ABC, Generic[CoreT]):
    """A compiler whose driver takes GCC's options. A kind says how it is called for a core."""

    name: str
    title: str

    language: ClassVar[tuple[str, ...]]
    """Flags that choose the language and the C library, or that there is none."""

    @abstractmethod
    def obstacle(self, core: CoreT) -> str | None:
        """Why it cannot be used here for a core; None when it can."""

    @abstractmethod
    def version(self) -> str:
        """Version of the compiler."""

    @abstractmethod
    def _driver(self, core: CoreT) -> list[str]:
        """The command with the flags that choose the core."""

    @abstractmethod
    def _archiver(self) -> list[str]:
        """The command of an ``ar``."""

    @abstractmethod
    def _helpers(self) -> list[str]:
        """Flags that link the compiler's helper functions."""

    def _environment(self) -> dict[str, str]:
        """Environment of the compiler's processes."""
        return dict(os.environ)

    @contextmanager
    def _headers(self) -> Iterator[list[str]]:
        """Flags of header folders that are there while a compilation runs."""
        yield []

    def compile(
        self,
        core: CoreT,
        sources: Sequence[Path],
        folder: Path,
        *,
        include: Sequence[Path] = (),
        defines: Mapping[str, str] | None = None,
        optimize: str = "-O2",
        flags: Sequence[str] = (),
    ) -> list[Path]:
        """Compile C or assembler sources, see `qdeploy.toolchains.Compiler.compile`."""
        self._require(core)
        stems = [source.stem for source in sources]
        if len(set(stems)) != len(stems):
            raise ValueError(f"two sources would give one object: {', '.join(sorted(stems))}")
        folder.mkdir(parents=True, exist_ok=True)
        common = [*self._driver(core), *self.language, *_COMMON, optimize]
        common += [f"-I{path}" for path in include]
        common += [f"-D{name}={text}" for name, text in (defines or {}).items()]
        with self._headers() as headers:

            def compile_one(source: Path) -> Path:
                output = folder / f"{source.stem}.o"
                self._run(
                    [*common, *headers, *flags, "-c", source, "-o", output],
                    f"compile {source.name} for {core.name}",
                )
                return output

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(compile_one, sources))

    def archive(self, objects: Sequence[Path], output: Path) -> None:
        """Write a static library, see `qdeploy.toolchains.Compiler.archive`."""
        output.parent.mkdir(parents=True, exist_ok=True)
        # An archiver adds to a file that exists: what was in it before must not stay.
        output.unlink(missing_ok=True)
        self._run([*self._archiver(), "rcsD", output, *objects], f"write the library {output.name}")

    def _link(self, core: CoreT, command: Sequence[str | Path], output: Path) -> None:
        """Run a command that ends in a linked file, once the compiler is known to be there."""
        self._require(core)
        output.parent.mkdir(parents=True, exist_ok=True)
        self._run([*command, "-o", output], f"link {output.name} for {core.name}")

    def _require(self, core: CoreT) -> None:
        if obstacle := self.obstacle(core):
            raise QDeployError(obstacle)

    def _run(self, command: Sequence[str | Path], purpose: str) -> None:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=self._environment(),
        )
        if done.returncode:
            raise QDeployError(f"{self.title} could not {purpose}: {_reason(done.stderr)}")


def _reason(text: str) -> str:
    """The first error of a compiler's or linker's messages, as the end of a sentence."""
    if overflow := _OVERFLOW.search(text):
        memory, count = overflow.groups()
        lack = f"{count} bytes too small" if count else "too small"
        return f"{_MEMORIES[memory]} is {lack}; make the model smaller or take a larger target"
    if missing := _UNDEFINED.search(text):
        return f"nothing defines the function or variable {missing.group(1)!r}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it gave no reason"])[0]
