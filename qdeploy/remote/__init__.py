"""Places where compiled programs run: this machine, QEMU's emulation of a core, a board by ssh."""

from qdeploy.remote.facts import board_facts, throttling
from qdeploy.remote.local import LocalPlace, QemuPlace, local_place
from qdeploy.remote.place import Place
from qdeploy.remote.program_session import (
    BenchResult,
    ProgramArtifact,
    ProgramSession,
    ProgramTimer,
    checksum,
    run_bench,
)
from qdeploy.remote.ssh import SshPlace

__all__ = [
    "BenchResult",
    "LocalPlace",
    "Place",
    "ProgramArtifact",
    "ProgramSession",
    "ProgramTimer",
    "QemuPlace",
    "SshPlace",
    "board_facts",
    "checksum",
    "local_place",
    "run_bench",
    "throttling",
]
