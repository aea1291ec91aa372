"""Python packages: those that qdeploy requires, and those that add peers, boards and meters."""

import importlib
import re
import sys
from dataclasses import dataclass
from importlib import metadata

from qdeploy.doctor.findings import Finding

__all__ = ["EXTRAS", "LIBRARIES", "library", "requirement"]


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
    "ziglang": _Library("ziglang", "a C compiler for this machine and for microcontrollers"),
    "unicorn": _Library("unicorn", "microcontrollers, emulated in this process"),
    "capstone": _Library("capstone", "counts of instructions by class"),
    "pyserial": _Library("serial", "boards, over their serial port"),
    "intelhex": _Library("intelhex", "firmware as HEX files"),
}
"""Packages that qdeploy requires."""

EXTRAS = {
    "emlearn": _Library("emlearn", "trees and networks to compare with on microcontrollers"),
    "m2cgen": _Library("m2cgen", "models as C to compare with on microcontrollers"),
    "pyocd": _Library("pyocd", "flashing boards"),
    "paramiko": _Library("paramiko", "boards with Linux, over ssh"),
    "pyjoulescope_driver": _Library("pyjoulescope_driver", "energy by a Joulescope"),
    "ppk2-api": _Library("ppk2_api", "energy by a Nordic Power Profiler Kit II"),
    "otii-tcp-client": _Library("otii_tcp_client", "energy by a Qoitech Otii"),
}
"""Packages that qdeploy does without: each adds one thing."""


def library(name: str) -> Finding:
    """A package, by importing it: an installed one may still fail to load."""
    required = name in LIBRARIES
    entry = LIBRARIES[name] if required else EXTRAS[name]
    wanted = requirement(name)
    try:
        version: str | None = metadata.version(name)
        found = True
    except metadata.PackageNotFoundError:
        version, found = None, False
    if found:
        try:
            importlib.import_module(entry.module)
        except Exception as fault:  # whatever a broken package raises is the finding
            reason = str(fault).split("\n")[0]
            version, found = f"{version}, but it cannot be loaded: {reason}", False
        else:
            minimum = re.search(r">=\s*([\d.]+)", wanted)
            if minimum and version and _numbers(version) < _numbers(minimum.group(1)):
                version, found = f"{version}, older than {minimum.group(1)}", False
    return Finding(
        name, found, version, entry.adds, f"{sys.executable} -m pip install '{wanted}'", required
    )


def requirement(name: str) -> str:
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
