"""What this machine has of the things that qdeploy uses, tried out rather than looked up.

Findings are data; the command line prints them.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import platformdirs

from qdeploy.doctor import boards, libraries, machine, tools
from qdeploy.doctor.findings import Finding
from qdeploy.progress import Progress, ProgressEvent, silent

__all__ = ["Finding", "diagnose"]

POWERCAP = Path("/sys/class/powercap")


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
    yield "Python", machine.python
    for name in libraries.LIBRARIES:
        yield name, partial(libraries.library, name)
    yield "C compiler", machine.compiler
    yield "LLVM in TVM", machine.llvm
    yield "linear algebra", machine.linear_algebra
    yield "cores and memory", machine.cores_and_memory
    yield "cache folder", partial(machine.cache, Path(platformdirs.user_cache_dir("qdeploy")))
    yield "energy counter", partial(machine.energy_counter, POWERCAP)
    for name in libraries.EXTRAS:
        yield name, partial(libraries.library, name)
    for entry in tools.TOOLS:
        yield entry.name, partial(tools.tool, entry)
    yield "connected boards", boards.boards
