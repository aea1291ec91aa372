"""What this machine has of the things that qdeploy uses, tried out rather than looked up.

Findings are data; the command line prints them.
"""

import ctypes
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import platformdirs

from qdeploy.errors import QDeployError
from qdeploy.progress import Progress, ProgressEvent, silent

__all__ = ["Finding", "diagnose"]

POWERCAP = Path("/sys/class/powercap")
TOOL_SECONDS = 20
"""A tool that does not tell its version by then is taken for broken."""


@dataclass(frozen=True)
class Finding:
    """One thing that qdeploy uses.

    Attributes:
        name: what was looked for.
        found: whether it is there and works.
        version: version or extent when found; what went wrong when it is there but fails.
        adds: what it is for.
        get: how to get it.
        required: whether qdeploy cannot do without it.
    """

    name: str
    found: bool
    version: str | None
    adds: str
    get: str
    required: bool


@dataclass(frozen=True)
class _Library:
    module: str
    adds: str


LIBRARIES = {
    "numpy": _Library("numpy", "arrays; everything"),
    "scipy": _Library("scipy.linalg", "eigenvalues of the relaxation"),
    "scikit-learn": _Library("sklearn", "data sets, splits and the float models to compare with"),
    "cvxpy": _Library("cvxpy", "the reference solver of the relaxation"),
    "clarabel": _Library("clarabel", "the reference solver of the relaxation"),
    "onnx": _Library("onnx", "the model format"),
    "onnxruntime": _Library("onnxruntime", "one of the implementations that must agree"),
    "apache-tvm": _Library("tvm", "compilation"),
    "typer": _Library("typer", "the command line"),
    "rich": _Library("rich", "tables and progress in the terminal"),
    "pydantic": _Library("pydantic", "targets and manifests"),
    "polars": _Library("polars", "CSV, TSV and Parquet"),
    "jinja2": _Library("jinja2", "the report and the C header"),
    "matplotlib": _Library("matplotlib", "plots in the report"),
    "pyelftools": _Library("elftools", "sizes of code and weights"),
    "platformdirs": _Library("platformdirs", "the place of the cache"),
    "joblib": _Library("joblib", "work on several cores"),
    "psutil": _Library("psutil", "facts about the machine"),
    "threadpoolctl": _Library("threadpoolctl", "one thread in small matrix products"),
}


@dataclass(frozen=True)
class _Tool:
    name: str
    version_flag: str
    adds: str
    get: str


TOOLS = (
    _Tool("valgrind", "--version", "counts of instructions that repeat", "Debian: valgrind"),
    _Tool(
        "qemu-system-arm",
        "--version",
        "whole microcontrollers, emulated",
        "Debian: qemu-system-arm",
    ),
    _Tool(
        "qemu-aarch64", "--version", "64-bit ARM programs on other machines", "Debian: qemu-user"
    ),
    _Tool(
        "arm-none-eabi-gcc",
        "--version",
        "a second compiler for microcontrollers",
        "Debian: gcc-arm-none-eabi",
    ),
)


def diagnose(progress: Progress = silent) -> tuple[Finding, ...]:
    """Look for everything; what is required comes first.

    A thing that is missing or broken is a finding, never an exception.
    """
    checks = tuple(_checks())
    findings = []
    for number, (name, check) in enumerate(checks):
        progress(ProgressEvent(f"looking for {name}", number, len(checks)))
        findings.append(check())
    return tuple(sorted(findings, key=lambda finding: not finding.required))


def _checks() -> Iterator[tuple[str, Callable[[], Finding]]]:
    yield "Python", _python
    for name in LIBRARIES:
        yield name, partial(_library, name)
    yield "C compiler", _compiler
    yield "LLVM in TVM", _llvm
    yield "linear algebra", _linear_algebra
    yield "cores and memory", _machine
    yield "cache folder", partial(_cache, Path(platformdirs.user_cache_dir("qdeploy")))
    yield "energy counter", partial(_energy_counter, POWERCAP)
    yield "ziglang", _zig
    for tool in TOOLS:
        yield tool.name, partial(_tool, tool)


def _python() -> Finding:
    return Finding(
        name="Python",
        found=sys.version_info >= (3, 11),
        version=platform.python_version(),
        adds="everything",
        get="install Python 3.11 or later and make the environment anew",
        required=True,
    )


def _library(name: str) -> Finding:
    """A required package, by importing it: an installed one may still fail to load."""
    library = LIBRARIES[name]
    requirement = _requirement(name)
    try:
        version: str | None = metadata.version(name)
        found = True
    except metadata.PackageNotFoundError:
        version, found = None, False
    if found:
        try:
            importlib.import_module(library.module)
        except Exception as fault:  # whatever a broken package raises is the finding
            reason = str(fault).split("\n")[0]
            version, found = f"{version}, but it cannot be loaded: {reason}", False
        else:
            minimum = re.search(r">=\s*([\d.]+)", requirement)
            if minimum and version and _numbers(version) < _numbers(minimum.group(1)):
                version, found = f"{version}, older than {minimum.group(1)}", False
    return Finding(
        name, found, version, library.adds, f"{sys.executable} -m pip install '{requirement}'", True
    )


def _requirement(name: str) -> str:
    """What the installed qdeploy asks of a package; its bare name where that is not recorded."""
    try:
        required = metadata.requires("qdeploy") or []
    except metadata.PackageNotFoundError:
        return name
    for line in required:
        head = re.match(r"[\w.-]+", line)
        if head and head.group() == name and "extra ==" not in line:
            return line.partition(";")[0].strip()
    return name


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def _compiler() -> Finding:
    """The C compiler, by building a library with it and calling the library."""
    from qdeploy.native import build_shared, compiler_command

    version: str | None = None
    found = False
    try:
        command = compiler_command()
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder) / "answer.c", Path(folder) / "answer.so"
            source.write_text("int answer(void) { return 42; }\n", encoding="utf-8")
            build_shared([source], library)
            found = ctypes.CDLL(str(library)).answer() == 42
        version = _first_line([*command, "--version"]) or " ".join(command)
    except (QDeployError, OSError) as fault:
        version = str(fault)
    return Finding(
        name="C compiler",
        found=found,
        version=version,
        adds="proofs by enumeration, artifacts, latency in native code",
        get="install gcc or clang, set CC, or: pip install ziglang",
        required=True,
    )


def _llvm() -> Finding:
    """The processors that TVM's own LLVM generates code for."""
    version: str | None = None
    found = False
    try:
        from tvm.target import codegen

        known = {str(name) for name in codegen.llvm_get_targets()}
        ours = [name for name in ("x86_64", "aarch64", "arm", "thumb", "riscv32") if name in known]
        version = f"LLVM {codegen.llvm_version_major()} for {', '.join(ours)}"
        found = _host_architecture() in known
    except Exception as fault:  # a broken TVM may raise anything while it loads
        version = f"cannot be loaded: {str(fault).splitlines()[0] if str(fault) else fault!r}"
    return Finding(
        name="LLVM in TVM",
        found=found,
        version=version,
        adds="machine code for this processor and for boards",
        get=f"{sys.executable} -m pip install --force-reinstall '{_requirement('apache-tvm')}'",
        required=True,
    )


def _host_architecture() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def _linear_algebra() -> Finding:
    try:
        importlib.import_module("scipy.linalg")
        threads = importlib.import_module("threadpoolctl")
        pools = [pool for pool in threads.threadpool_info() if pool["user_api"] == "blas"]
    except ImportError:
        pools = []
    told = [
        f"{pool['internal_api']} {pool['version'] or ''}".strip()
        + f", {pool['num_threads']} threads"
        for pool in pools
    ]
    return Finding(
        name="linear algebra",
        found=bool(pools),
        version="; ".join(dict.fromkeys(told)) or None,
        adds="fast training on all cores",
        get="comes with the numpy and scipy wheels; OPENBLAS_NUM_THREADS limits its threads",
        required=False,
    )


def _machine() -> Finding:
    version: str | None = None
    try:
        import psutil

        cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
        memory = psutil.virtual_memory()
        version = (
            f"{cores} cores, {psutil.cpu_count()} threads, {memory.total / 2**30:.1f} GiB, "
            f"{memory.available / 2**30:.1f} GiB free"
        )
    except ImportError:
        cores = os.cpu_count() or 1
        version = f"{cores} threads"
    return Finding(
        name="cores and memory",
        found=True,
        version=version,
        adds="proofs and training use every core",
        get="nothing to install",
        required=False,
    )


def _cache(folder: Path) -> Finding:
    version = str(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            found = True
    except OSError as fault:
        version, found = f"{folder}: {fault.strerror or fault}", False
    return Finding(
        name="cache folder",
        found=found,
        version=version,
        adds="compiled helpers, kept between runs",
        get="make it writable, or name another place in XDG_CACHE_HOME",
        required=True,
    )


def _energy_counter(powercap: Path) -> Finding:
    """RAPL, by reading its counters: many machines have them and let only root read them."""
    counters = sorted(powercap.glob("intel-rapl:*/energy_uj"))
    get = "a machine of one's own (virtual ones rarely pass it on) with Linux 5.8 or later"
    readable = 0
    for counter in counters:
        try:
            int(counter.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        readable += 1
    version = f"RAPL, {readable} of {len(counters)} counters readable" if counters else None
    if counters and not readable:
        get = f"sudo chmod a+r {powercap}/intel-rapl:*/energy_uj (holds until the next start)"
    return Finding(
        name="energy counter",
        found=readable > 0,
        version=version,
        adds="measured energy; without it energy is estimated, and tagged so",
        get=get,
        required=False,
    )


def _zig() -> Finding:
    try:
        version: str | None = metadata.version("ziglang")
    except metadata.PackageNotFoundError:
        version = None
    return Finding(
        name="ziglang",
        found=version is not None,
        version=version,
        adds="a C compiler for this machine and for boards, without system packages",
        get=f"{sys.executable} -m pip install ziglang",
        required=False,
    )


def _tool(tool: _Tool) -> Finding:
    path = shutil.which(tool.name)
    version = _first_line([path, tool.version_flag]) if path else None
    return Finding(tool.name, version is not None, version, tool.adds, tool.get, required=False)


def _first_line(command: list[str]) -> str | None:
    """The first line that a command prints, or None when it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None
