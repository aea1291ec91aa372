"""Artifacts of microcontrollers: C sources, static libraries, project files, and a firmware."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from qdeploy.compiler.artifact import ARTIFACTS, Artifact
from qdeploy.compiler.families import Goal
from qdeploy.compiler.manifest import Count, Manifest, Table
from qdeploy.firmware.interface import ModelInterface
from qdeploy.runners import RUNNERS, Session
from qdeploy.targets import Core, McuTarget, Region, load_core

__all__ = [
    "FIRMWARE_FOLDER",
    "IMAGE_FILE",
    "CandidateTable",
    "FirmwareArtifact",
    "FirmwareManifest",
    "FirmwareMemory",
]

IMAGE_FILE = "image.elf"
"""The model alone, linked for the target's memories: what the emulator runs and sizes are from."""

FIRMWARE_FOLDER = "firmware"


class FirmwareMemory(Table):
    """Bytes that the model needs on the chip, without start-up code and serial port.

    Attributes:
        code: machine instructions.
        constants: read-only data.
        scratch: the static arena.
        writable: all static variables, the arena among them.
        stack: deepest stack of a call.
        input: int8 inputs that the caller holds.
        output: scores that the caller holds.
    """

    code: Count
    constants: Count
    scratch: Count
    writable: Count
    stack: Count
    input: Count
    output: Count

    @property
    def flash(self) -> int:
        """Bytes of flash."""
        return self.code + self.constants

    @property
    def ram(self) -> int:
        """Bytes of RAM, all of them."""
        return self.writable + self.stack + self.input + self.output


class CandidateTable(Table):
    """One form, as one generator wrote it, counted in the emulator.

    Attributes:
        form: name of the kernel form.
        generator: "llvm" for TVM's LLVM, "c" for TVM's C and the C compiler.
        level: optimisation of what the C compiler compiled.
        instructions: of one inference, exact.
        cycles: of one inference by the cycle model.
        flash: bytes of code and constants.
        ram: bytes of variables, stack, input and output.
    """

    form: str
    generator: Literal["llvm", "c"]
    level: Literal["-O2", "-Os"]
    instructions: Annotated[int, Field(ge=1)]
    cycles: Annotated[float, Field(gt=0)]
    flash: Count
    ram: Count


class FirmwareManifest(Manifest):
    """What an artifact of a microcontroller says of itself.

    Attributes:
        board: the target, whole.
        optimize: what was asked for.
        toolchain: C compiler.
        front: whether raw features are taken too.
        form: kernel form of the library.
        weights: how it keeps the weights, in words.
        generator: of the library.
        accumulators: proven integer width of each sum.
        memory: bytes.
        instructions: of one inference, by class.
        candidates: all that was counted, the chosen one first.
        rejected: forms that were not, and why.
        firmware: whether there is a benchmark firmware.
    """

    family: Literal["mcu"]
    board: McuTarget
    optimize: Goal
    toolchain: str
    front: bool
    form: str
    weights: str
    generator: Literal["llvm", "c"]
    accumulators: dict[str, str]
    memory: FirmwareMemory
    instructions: dict[str, int]
    candidates: tuple[CandidateTable, ...]
    rejected: dict[str, str]
    firmware: bool


class FirmwareArtifact(Artifact):
    """A model compiled for a microcontroller."""

    manifest_type = FirmwareManifest
    manifest: FirmwareManifest

    @property
    def board(self) -> McuTarget:
        """The target, whole."""
        return self.manifest.board

    @cached_property
    def core(self) -> Core:
        """The target's core."""
        return load_core(self.board.core)

    @property
    def memories(self) -> tuple[Region, Region]:
        """The target's flash and RAM."""
        return self.board.flash, self.board.ram

    @property
    def interface(self) -> ModelInterface:
        """How the model is called."""
        manifest = self.manifest
        return ModelInterface(manifest.name, manifest.inputs, manifest.outputs, manifest.score_type)

    @property
    def form(self) -> str:
        """Kernel form of the library."""
        return self.manifest.form

    @property
    def flash_bytes(self) -> int:
        """Bytes of code and read-only data of the model."""
        return self.manifest.memory.flash

    @property
    def ram_bytes(self) -> int:
        """Bytes of variables, stack, input and output of the model."""
        return self.manifest.memory.ram

    @property
    def source(self) -> Path:
        """The C source."""
        return self.folder / f"{self.manifest.name}.c"

    @property
    def library(self) -> Path:
        """The static library of the better of the two generators."""
        return self.folder / f"lib{self.manifest.name}.a"

    @property
    def image_elf(self) -> Path:
        """The firmware where there is one, else the model alone, linked."""
        return self.firmware_elf or self.folder / IMAGE_FILE

    @property
    def firmware_elf(self) -> Path | None:
        """The benchmark firmware, for targets that can carry one."""
        return self._firmware("performance")

    @property
    def energy_firmware_elf(self) -> Path | None:
        """The benchmark firmware whose time stamps are pulses, for targets with a pin for them."""
        return self._firmware("energy")

    def _firmware(self, build: str) -> Path | None:
        path = self.folder / FIRMWARE_FOLDER / build / "firmware.elf"
        return path if path.is_file() else None

    @cached_property
    def _session(self) -> Session:
        return RUNNERS["emulator"].open(self)


ARTIFACTS.register("mcu")(FirmwareArtifact)
