"""Artifacts of hosts: a shared library with its header, and a module for TVM's virtual machine."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qdeploy.compiler.artifact import ARTIFACTS, Artifact
from qdeploy.compiler.manifest import Count, Manifest, Table
from qdeploy.runners import RUNNERS, Session

if TYPE_CHECKING:
    from qdeploy.runners.vm import MachineSession

__all__ = ["ENTRY_FILE", "KERNEL_FILE", "MODULE_FILE", "LibraryArtifact", "LibraryManifest"]

MODULE_FILE = "module.so"
KERNEL_FILE = "kernels.o"
ENTRY_FILE = "entry.c"


class Memory(Table):
    """Bytes that the C library needs.

    Attributes:
        code: machine instructions.
        constants: read-only data.
        scratch: stack that the larger of the two functions needs for working memory.
        writable: static writable data.
    """

    code: Count
    constants: Count
    scratch: Count
    writable: Count


class ChoiceTable(Table):
    """One form for one use, as `qdeploy.compiler.plan.Choice`."""

    form: str
    tile: Annotated[int, Field(ge=1)]
    accumulators: dict[str, str]
    operations: dict[str, float]
    cycles: float
    weight_bytes: Count
    scratch_bytes: Count


class PlanTable(Table):
    """The plan, as `qdeploy.compiler.plan.Plan`."""

    instruction_set: str
    single: ChoiceTable
    batch: ChoiceTable
    rejected: dict[str, str]


class LibraryManifest(Manifest):
    """What an artifact of a host says of itself.

    Attributes:
        memory: bytes.
        plan: forms, widths, counted operations.
    """

    family: Literal["cpu"]
    memory: Memory
    plan: PlanTable


class LibraryArtifact(Artifact):
    """A model compiled for a host."""

    manifest_type = LibraryManifest
    manifest: LibraryManifest

    @property
    def form(self) -> str:
        """Kernel form for one sample, and the one for batches where it is another."""
        single, batch = self.manifest.plan.single.form, self.manifest.plan.batch.form
        return single if single == batch else f"{single} (batches: {batch})"

    @property
    def flash_bytes(self) -> int:
        """Bytes of code and read-only data of the C library."""
        return self.manifest.memory.code + self.manifest.memory.constants

    @property
    def ram_bytes(self) -> int:
        """Bytes of working memory and writable data of the C library."""
        return self.manifest.memory.scratch + self.manifest.memory.writable

    @property
    def library(self) -> Path:
        """The shared library with the C interface."""
        return self.folder / f"lib{self.manifest.name}.so"

    @property
    def module(self) -> Path:
        """The module for TVM's Relax virtual machine."""
        return self.folder / MODULE_FILE

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
