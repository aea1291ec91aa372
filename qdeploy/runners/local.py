"""The shared library of an ARM artifact, called in this process where it is an ARM machine."""

from pathlib import Path
from typing import Protocol

from qdeploy.remote import LocalPlace
from qdeploy.runners import RUNNERS, Interface
from qdeploy.runners.host import LibrarySession

__all__ = ["LocalRunner"]


class NativeLibrary(Protocol):
    """What this runner needs to know of an artifact."""

    @property
    def interface(self) -> Interface:
        """How the model is called."""

    @property
    def library(self) -> Path:
        """The shared library with the C interface."""


class LocalRunner:
    """Calls the C library through ctypes.

    Args:
        machine: what ``uname -m`` must tell here.
    """

    name = "local"
    family = "arm"
    title = "C library on this machine"

    def __init__(self, machine: str = "aarch64") -> None:
        self._machine = machine

    def open(self, artifact: NativeLibrary) -> LibrarySession:
        """Load the artifact's library.

        Raises:
            QDeployError: this machine is another kind, or cannot load it.
        """
        LocalPlace(self._machine).close()
        interface = artifact.interface
        return LibrarySession(
            artifact.library,
            interface.name,
            interface.inputs,
            interface.outputs,
            interface.score_type,
        )


RUNNERS.register(LocalRunner.name)(LocalRunner())
