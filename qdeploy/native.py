"""The machine's C compiler: found, asked once for what it can do, used for shared libraries."""

import ctypes
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import platformdirs

from qdeploy.errors import QDeployError

__all__ = ["build_shared", "cached_library", "compiler_command", "run_compiler"]


@cache
def compiler_command() -> tuple[str, ...]:
    """The C compiler: ``$CC``, else cc, gcc or clang, else the one in the ziglang wheel.

    Raises:
        QDeployError: there is none.
    """
    if given := os.environ.get("CC"):
        command = tuple(shlex.split(given))
        if not shutil.which(command[0]):
            raise QDeployError(
                f"CC names {command[0]!r}, which is not on the path; correct or unset it"
            )
        return command
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return (found,)
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "cc")
    raise QDeployError(
        "no C compiler was found; install one (for instance Debian's gcc), set CC, "
        "or add the ziglang wheel with: pip install ziglang"
    )


def run_compiler(arguments: Sequence[str | Path]) -> None:
    """Run the compiler; what it complains of becomes the error.

    Raises:
        QDeployError: the compiler failed; its first error line is in the message.
    """
    command = [*compiler_command(), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
        raise QDeployError(f"the C compiler {command[0]} failed: {lines[0].strip()}")


def build_shared(sources: Sequence[Path], output: Path, flags: Sequence[str] = ()) -> None:
    """Compile C sources and objects to a shared library, put in place in one step.

    Args:
        sources: .c and .o files.
        output: the library to write.
        flags: more compiler flags.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        built = Path(folder) / output.name
        run_compiler(["-O3", "-shared", "-fPIC", *flags, *sources, "-o", built])
        built.replace(output)


def cached_library(source: Path, flags: Sequence[str] = ()) -> ctypes.CDLL:
    """Compile one C file for this machine, once, and load it.

    Args:
        source: the C file.
        flags: more compiler flags.
    """
    key = hashlib.sha256(source.read_bytes())
    for part in (*compiler_command(), *flags, platform.machine(), _processor()):
        key.update(b"\0" + part.encode())
    folder = Path(platformdirs.user_cache_dir("qdeploy")) / "native"
    library = folder / f"{source.stem}-{key.hexdigest()[:16]}.so"
    if not library.exists():
        build_shared([source], library, flags)
    return ctypes.CDLL(str(library))


@cache
def _processor() -> str:
    """What -march=native depends on: a cache shared between machines must not mix their code."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor()
    lines = information.read_text().splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
