"""What compilers for bare-metal cores have in common: no C library, and memory from a script."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from qdeploy.targets import Core
from qdeploy.toolchains.driver import Driver

__all__ = ["BareMetalDriver"]


class BareMetalDriver(Driver[Core]):
    """A compiler for cores without an operating system."""

    language: ClassVar[tuple[str, ...]] = ("-std=c99", "-ffreestanding")

    @contextmanager
    def _headers(self) -> Iterator[list[str]]:
        with tempfile.TemporaryDirectory(prefix="qdeploy-") as empty:
            # Generated C asks for math.h even where it uses none of it; freestanding has no such
            # header. An empty one, looked at last, satisfies it.
            (Path(empty) / "math.h").touch()
            yield ["-idirafter", empty]

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
        """Link objects and archives, see `qdeploy.toolchains.Toolchain.link`."""
        command: list[str | Path] = [
            *self._driver(core),
            "-O2",
            "-nostdlib",
            "-static",
            "-T",
            script,
            f"-Wl,-e,{entry}",
            "-Wl,--gc-sections",
            "-Wl,--build-id=none",
            *flags,
            *objects,
            *self._helpers(),
        ]
        self._link(core, command, output)
