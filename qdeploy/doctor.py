"""What this machine has of the things that qdeploy uses, tried out rather than looked up."""

import ctypes
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import platformdirs

from qdeploy.errors import QDeployError
from qdeploy.progress import Progress, ProgressEvent, silent

__all__ = ["Finding", "diagnose"]

Status = Literal["found", "missing", "optional"]

_ENERGY_COUNTERS = Path("/sys/class/powercap")
_INSTRUCTION_SETS = ("avx2", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


@dataclass(frozen=True)
class Finding:
    """One part of the machine.

    Attributes:
        part: what was looked for.
        status: "found"; "missing" when qdeploy cannot do without it; "optional" when it can.
        detail: what was found, or what went wrong.
        adds: what the part is for.
        remedy: how to get it.
    """

    part: str
    status: Status
    detail: str
    adds: str
    remedy: str


def diagnose(progress: Progress = silent) -> tuple[Finding, ...]:
    """Look at every part, in the order in which a user would mend them."""
    checks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("Python", _python),
        ("Python packages", _packages),
        ("C compiler", _compiler),
        ("TVM", _tvm),
        ("processor", _processor),
        ("energy counter", _energy),
        ("cache folder", _cache),
    )
    findings = []
    for number, (part, check) in enumerate(checks):
        progress(ProgressEvent(f"checking: {part}", number, len(checks)))
        findings.append(check())
    return tuple(findings)


def _python() -> Finding:
    return Finding(
        part="Python",
        status="found" if sys.version_info >= (3, 11) else "missing",
        detail=f"{platform.python_version()} ({sys.executable})",
        adds="everything",
        remedy="install Python 3.11 or later and make the environment anew",
    )


def _packages() -> Finding:
    """Every dependency that the installed distribution names, with the version that is there."""
    try:
        required = metadata.requires("qdeploy") or []
    except metadata.PackageNotFoundError:
        required = []
    names = [_distribution(line) for line in required if "extra ==" not in line]
    present, absent = [], []
    for name in names:
        try:
            present.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            absent.append(name)
    return Finding(
        part="Python packages",
        status="missing" if absent or not names else "found",
        detail=f"missing: {', '.join(absent)}" if absent else ", ".join(present) or "not installed",
        adds="training, export and compilation",
        remedy=f"{sys.executable} -m pip install qdeploy",
    )


def _compiler() -> Finding:
    """The C compiler, by building a library with it and calling the library."""
    from qdeploy.native import build_shared, compiler_command

    adds = "proofs by enumeration, artifacts and latency measured in native code"
    remedy = "install gcc or clang, set CC, or: pip install ziglang"
    try:
        command = compiler_command()
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder) / "answer.c", Path(folder) / "answer.so"
            source.write_text("int answer(void) { return 42; }\n", encoding="utf-8")
            build_shared([source], library)
            works = ctypes.CDLL(str(library)).answer() == 42
        version = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    except (QDeployError, OSError) as error:
        return Finding("C compiler", "missing", str(error), adds, remedy)
    name = f"{' '.join(command)}: {version.partition(chr(10))[0]}"
    detail = name if works else f"{name}: what it builds gives wrong results"
    return Finding("C compiler", "found" if works else "missing", detail, adds, remedy)


def _tvm() -> Finding:
    adds = "compilation of models"
    remedy = f"{sys.executable} -m pip install --force-reinstall 'apache-tvm>=0.27,<0.28'"
    try:
        import tvm
        from tvm.target import codegen

        if not tvm.runtime.enabled("llvm"):
            return Finding("TVM", "missing", "built without LLVM", adds, remedy)
        detail = f"{tvm.__version__} with LLVM {codegen.llvm_version_major()}"
    except (ImportError, OSError, RuntimeError) as error:
        return Finding("TVM", "missing", f"cannot be loaded: {error}", adds, remedy)
    return Finding("TVM", "found", detail, adds, remedy)


def _processor() -> Finding:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    known = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set((known.get("flags") or known.get("Features") or "").split())
    name = known.get("model name") or platform.processor() or platform.machine()
    sets = [flag for flag in _INSTRUCTION_SETS if flag in flags]
    cores = os.cpu_count() or 1
    return Finding(
        part="processor",
        status="found",
        detail=f"{name}, {cores} core{'s' if cores > 1 else ''}" + "".join(f", {s}" for s in sets),
        adds="int8 dot products make large batches faster",
        remedy="nothing to install",
    )


def _energy() -> Finding:
    """RAPL, by reading its counter: it exists on many machines where only root may read it."""
    adds = "measured energy; without it, energy is estimated and says so"
    counters = sorted(_ENERGY_COUNTERS.glob("intel-rapl:*/energy_uj"))
    if not counters:
        remedy = "run on a machine itself, not in a virtual one, with Linux 5.8 or later"
        return Finding("energy counter", "optional", "RAPL is not offered here", adds, remedy)
    try:
        counters[0].read_text(encoding="ascii")
    except OSError:
        remedy = f"sudo chmod a+r {_ENERGY_COUNTERS}/intel-rapl:*/energy_uj (until the next start)"
        return Finding("energy counter", "optional", "RAPL may not be read", adds, remedy)
    return Finding("energy counter", "found", f"RAPL, {len(counters)} domains", adds, "")


def _cache() -> Finding:
    folder = Path(platformdirs.user_cache_dir("qdeploy"))
    adds = "compiled helpers that are kept between runs"
    remedy = "make it writable, or name another place in XDG_CACHE_HOME"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        detail = f"{folder}: {error.strerror or error}"
        return Finding("cache folder", "missing", detail, adds, remedy)
    return Finding("cache folder", "found", str(folder), adds, remedy)


def _distribution(requirement: str) -> str:
    """The name at the head of a requirement such as ``apache-tvm<0.28,>=0.27``."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return match.group() if match else requirement
