"""Artifacts of hosts: a shared library with its header, and a module for TVM's virtual machine."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.artifact import ARTIFACTS
from qdeploy.compiler.hosted_artifact import HostedArtifact, HostedManifest
from qdeploy.runners import RUNNERS, Session

if TYPE_CHECKING:
    from qdeploy.runners.vm import MachineSession

__all__ = ["LibraryArtifact", "LibraryManifest"]


class LibraryManifest(HostedManifest):
    """What an artifact of a host says of itself."""

    family: Literal["cpu"]


class LibraryArtifact(HostedArtifact):
    """A model compiled for a host."""

    manifest_type = LibraryManifest
    manifest: LibraryManifest

    @cached_property
    def _session(self) -> Session:
        return RUNNERS["host"].open(self)

    @cached_property
    def _machine(self) -> "MachineSession":
        from qdeploy.runners.vm import MachineSession

        return MachineSession(self.module, self.manifest.inputs)

    @property
    def vm(self) -> Any:
        """TVM's Relax virtual machine with the compiled module loaded."""
        return self._machine.machine

    def vm_scores(self, features: NDArray[Any]) -> NDArray[np.integer]:
        """Integer scores (n, K) through the Relax virtual machine; features as in `scores`."""
        return self._machine(self._inputs(features))


ARTIFACTS.register("cpu")(LibraryArtifact)
