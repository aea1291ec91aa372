"""The machine itself: Python, compilers, cores, memory, cache folder, energy counter."""

import ctypes
import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path

from qdeploy.doctor.findings import Finding, first_line
from qdeploy.doctor.libraries import requirement
from qdeploy.errors import QDeployError

__all__ = [
    "cache",
    "compiler",
    "cores_and_memory",
    "energy_counter",
    "linear_algebra",
    "llvm",
    "python",
]


def python() -> Finding:
    """The Python that runs this."""
    return Finding(
        name="Python",
        found=sys.version_info >= (3, 11),
        version=platform.python_version(),
        adds="everything",
        get="install Python 3.11 or later and make the environment anew",
        required=True,
    )


def compiler() -> Finding:
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
        version = first_line([*command, "--version"]) or " ".join(command)
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


def llvm() -> Finding:
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
        get=f"{sys.executable} -m pip install --force-reinstall '{requirement('apache-tvm')}'",
        required=True,
    )


def _host_architecture() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def linear_algebra() -> Finding:
    """The libraries behind numpy and scipy, and their threads."""
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


def cores_and_memory() -> Finding:
    """How much of each there is."""
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


def cache(folder: Path) -> Finding:
    """The folder of compiled helpers, by writing to it."""
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


def energy_counter(powercap: Path) -> Finding:
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
