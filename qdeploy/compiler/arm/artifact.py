"""Artifacts of 64-bit ARM Linux boards: libraries, two programs, a module for TVM's runtime."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from qdeploy.compiler.artifact import ARTIFACTS
from qdeploy.compiler.hosted_artifact import ChoiceTable, HostedArtifact, HostedManifest
from qdeploy.compiler.manifest import Count, Table
from qdeploy.firmware.interface import ModelInterface
from qdeploy.runners import RUNNERS, Session
from qdeploy.targets import ArmCore, ArmTarget

__all__ = ["CandidateTable", "Counted", "LinuxArtifact", "LinuxManifest"]

Cycles = Annotated[float, Field(gt=0)]


class Counted(Table):
    """One inference at batch 1, counted in the emulator.

    Attributes:
        instructions: exact.
        classes: instructions by class.
        cycles: by the pipeline model of the core.
        low: lower end of its band.
        high: upper end.
        stack: deepest stack, in bytes.
    """

    instructions: Annotated[int, Field(ge=1)]
    classes: dict[str, Count]
    cycles: Cycles
    low: Cycles
    high: Cycles
    stack: Count


class CandidateTable(ChoiceTable):
    """One form for one use, as it was weighed.

    Attributes:
        use: single samples or batches.
    """

    use: Literal["single", "batch"]


class LinuxManifest(HostedManifest):
    """What an artifact of an ARM board says of itself.

    Attributes:
        board: the target, whole.
        core: what it was compiled for, whole.
        toolchain: C compiler and linker.
        counted: one inference.
        candidates: all that was weighed, the cheapest of each use first.
        tuning: name of the log that the plan was tuned by; None for the counted plan.
    """

    family: Literal["arm"]
    board: ArmTarget
    core: ArmCore
    toolchain: str
    counted: Counted
    candidates: tuple[CandidateTable, ...]
    tuning: str | None = None


class LinuxArtifact(HostedArtifact):
    """A model compiled for an ARM board with Linux."""

    manifest_type = LinuxManifest
    manifest: LinuxManifest

    @property
    def board(self) -> ArmTarget:
        """The target, whole."""
        return self.manifest.board

    @property
    def core(self) -> ArmCore:
        """What it was compiled for."""
        return self.manifest.core

    @property
    def interface(self) -> ModelInterface:
        """How the model is called."""
        manifest = self.manifest
        return ModelInterface(manifest.name, manifest.inputs, manifest.outputs, manifest.score_type)

    @property
    def archive(self) -> Path:
        """The static library."""
        return self.folder / f"lib{self.manifest.name}.a"

    @property
    def run_program(self) -> Path:
        """The program that turns rows of inputs into rows of scores; static."""
        return self.folder / f"{self.manifest.name}-run"

    @property
    def bench_program(self) -> Path:
        """The program that times the model; static."""
        return self.folder / f"{self.manifest.name}-bench"

    @cached_property
    def _session(self) -> Session:
        return RUNNERS["library-emulator"].open(self)


ARTIFACTS.register("arm")(LinuxArtifact)
