"""The program of an ARM artifact under QEMU's user-mode emulation, where that is installed."""

from typing import Protocol

from qdeploy.remote import ProgramArtifact, ProgramSession, QemuPlace
from qdeploy.runners import RUNNERS, Session
from qdeploy.targets import ArmCore

__all__ = ["QemuAarch64Runner"]


class ProgramForCore(ProgramArtifact, Protocol):
    """What this runner needs to know of an artifact."""

    @property
    def core(self) -> ArmCore:
        """What it was compiled for."""


class QemuAarch64Runner:
    """Runs NAME-run, one process a call."""

    name = QemuPlace.name
    family = "arm"
    title = "program in QEMU's user-mode emulation"

    def open(self, artifact: ProgramForCore) -> Session:
        """Get the program ready.

        Raises:
            QDeployError: QEMU is not installed.
        """
        return ProgramSession(QemuPlace(artifact.core), artifact.run_program, artifact.interface)


RUNNERS.register(QemuAarch64Runner.name)(QemuAarch64Runner())
