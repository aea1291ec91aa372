"""What a figure depends on besides the code: the machine and the versions of what was timed."""

import importlib.metadata
import platform
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from qdeploy import __version__

__all__ = ["MachineFact", "describe_machine", "describe_versions"]

PACKAGES = ("numpy", "scipy", "scikit-learn", "onnx", "onnxruntime", "apache-tvm")

MachineFact = str | int | float | bool | None


def describe_machine(root: Path = Path("/")) -> dict[str, MachineFact]:
    """Facts about this machine; None for what it does not tell.

    Args:
        root: where /proc and /sys are found.
    """
    import psutil

    processor = _processor_table(root / "proc/cpuinfo")
    flags = processor.get("flags", "").split()
    frequency = root / "sys/devices/system/cpu/cpu0/cpufreq"
    load, _, _ = psutil.getloadavg()
    return {
        "cpu": processor.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "os": platform.platform(),
        "virtualised": ("hypervisor" in flags) if flags else None,
        "governor": _line(frequency / "scaling_governor"),
        "frequency_khz": _number(frequency / "scaling_cur_freq"),
        "load_before": round(load, 2),
    }


def describe_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of qdeploy, Python and the packages that take part, where they are installed."""
    versions = {"qdeploy": __version__, "python": platform.python_version()}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _processor_table(path: Path) -> dict[str, str]:
    """The first processor's block of /proc/cpuinfo."""
    text = _text(path) or ""
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        # Absent on other systems and in containers: the report then says that it is not known.
        return None


def _line(path: Path) -> str | None:
    text = _text(path)
    return text.strip() if text else None


def _number(path: Path) -> int | None:
    line = _line(path)
    return int(line) if line and line.isdigit() else None
