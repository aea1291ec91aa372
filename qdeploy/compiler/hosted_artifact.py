"""What artifacts for an operating system have in common: C library, TVM module, plan, memory."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from qdeploy.compiler.artifact import Artifact
from qdeploy.compiler.manifest import Count, Manifest, Table
from qdeploy.compiler.selection import Pick, Selection

__all__ = [
    "ENTRY_FILE",
    "KERNEL_FILE",
    "MODULE_FILE",
    "TUNING_FILE",
    "ChoiceTable",
    "HostedArtifact",
    "HostedManifest",
    "Memory",
    "PlanTable",
    "keep_log",
]

MODULE_FILE = "module.so"
KERNEL_FILE = "kernels.o"
ENTRY_FILE = "entry.c"
TUNING_FILE = "tuning.json"


def keep_log(selection: Selection | None, folder: Path) -> None:
    """Put the log of a tuner into an artifact folder, where there is one."""
    if selection is not None:
        (folder / TUNING_FILE).write_text(selection.log, encoding="utf-8")


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
    vectors: Annotated[int, Field(ge=1)] = 1
    accumulators: dict[str, str]
    operations: dict[str, float]
    cycles: float
    weight_bytes: Count
    scratch_bytes: Count

    @property
    def pick(self) -> Pick:
        """Which candidate it is."""
        return Pick(self.form, self.tile, self.vectors)


class PlanTable(Table):
    """The plan, as `qdeploy.compiler.plan.Plan`."""

    instruction_set: str
    single: ChoiceTable
    batch: ChoiceTable
    rejected: dict[str, str]


class HostedManifest(Manifest):
    """What an artifact for an operating system says of itself.

    Attributes:
        memory: bytes.
        plan: forms, widths, counted operations.
    """

    memory: Memory
    plan: PlanTable


class HostedArtifact(Artifact):
    """A model compiled for a machine with an operating system."""

    manifest_type: ClassVar[type[HostedManifest]]
    manifest: HostedManifest

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

    @property
    def tuning_log(self) -> Path | None:
        """The log of the tuner that chose the kernels; None where the compiler chose them."""
        path = self.folder / TUNING_FILE
        return path if path.is_file() else None
