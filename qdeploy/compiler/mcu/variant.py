"""One kernel form written by one code generator: built, linked, and counted in the emulator."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from qdeploy.compiler.c_source import Symbols
from qdeploy.compiler.lowering import Processor, lower_to_object
from qdeploy.compiler.mcu.artifact import CandidateTable, FirmwareMemory
from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.mcu.front import FloatFront
from qdeploy.compiler.mcu.kernel import McuKernel, kernel_functions
from qdeploy.compiler.mcu.memory import ArenaPlan, plan_arena
from qdeploy.compiler.mcu.operations import llvm_definitions
from qdeploy.compiler.mcu.sources import entry_source, header_source, model_source
from qdeploy.emulation import Counts, cycles
from qdeploy.firmware import Image, ModelInterface, link_plain
from qdeploy.model import Model
from qdeploy.runners.emulator import EmulatorSession
from qdeploy.targets import Core, McuTarget
from qdeploy.toolchains import Toolchain

__all__ = ["WRITINGS", "Variant", "Workshop", "Writing"]

_NO_VECTORS = 32
"""Kernels compute one word at a time."""

Generator = Literal["llvm", "c"]


@dataclass(frozen=True)
class Writing:
    """How a form becomes machine code.

    Attributes:
        generator: "llvm" for TVM's LLVM, "c" for TVM's C and the C compiler.
        level: optimisation of what the C compiler compiles.
    """

    generator: Generator
    level: Literal["-O2", "-Os"]

    def __str__(self) -> str:
        return f"{self.generator}{self.level}"


WRITINGS = (Writing("llvm", "-O2"), Writing("c", "-O2"), Writing("c", "-Os"))
"""All of them."""


@dataclass(frozen=True, eq=False)
class Variant:
    """A form as one generator wrote it.

    Attributes:
        form: name of the form.
        writing: by what.
        kernel: the form bound to the network.
        arena: its working memory.
        folder: where its sources and objects lie.
        objects: what its library holds.
        image: the model alone, linked.
        memory: bytes.
        counts: of one inference.
        cycles: of one inference, by the cycle model.
    """

    form: str
    writing: Writing
    kernel: McuKernel
    arena: ArenaPlan
    folder: Path
    objects: tuple[Path, ...]
    image: Image
    memory: FirmwareMemory
    counts: Counts
    cycles: float

    @property
    def table(self) -> CandidateTable:
        """Its figures."""
        return CandidateTable(
            form=self.form,
            generator=self.writing.generator,
            level=self.writing.level,
            instructions=self.counts.instructions,
            cycles=round(self.cycles, 1),
            flash=self.memory.flash,
            ram=self.memory.ram,
        )

    @property
    def classes(self) -> Mapping[str, int]:
        """Instructions of one inference, by class."""
        return self.counts.classes


@dataclass(frozen=True, eq=False)
class Workshop:
    """Builds variants of one model for one target.

    Attributes:
        model: the model.
        symbols: its names in C.
        target: the target.
        core: its core.
        toolchain: compiles C and links.
        front: what quantises raw features, where that was asked for.
        folder: for what is built.
    """

    model: Model
    symbols: Symbols
    target: McuTarget
    core: Core
    toolchain: Toolchain
    front: FloatFront | None
    folder: Path

    @cached_property
    def interface(self) -> ModelInterface:
        """How the model is called."""
        network = self.model.network
        return ModelInterface(self.model.name, network.inputs, network.outputs, network.score_dtype)

    @cached_property
    def processor(self) -> Processor:
        """What TVM's LLVM compiles for.

        Raises:
            QDeployError: it does not know the core.
        """
        processor = Processor(
            self.core.triple, self.core.cpu, self.core.features, vector_bits=_NO_VECTORS
        )
        _ = processor.features
        return processor

    def session(self, image: Path, *, strict: int = 0) -> EmulatorSession:
        """An image of this target in the emulator; `strict` as there."""
        memories = (self.target.flash, self.target.ram)
        return EmulatorSession(image, self.core, *memories, self.interface, strict=strict)

    def build(self, form: str, kernel: McuKernel, writing: Writing) -> Variant:
        """Compile, link and count one form.

        Raises:
            QDeployError: a compiler refuses, or a memory of the target is too small.
        """
        folder = self.folder / f"{form}-{writing}"
        folder.mkdir(parents=True)
        arena = plan_arena(kernel.scratch)
        name = self.symbols.name
        header = header_source(self.model, self.symbols, self._how(form, kernel), arena, self.front)
        (folder / f"{name}.h").write_text(header, encoding="ascii")
        write = self._c_objects if writing.generator == "c" else self._llvm_objects
        objects = write(kernel, arena, folder, writing.level)
        keep = [self.symbols.predict]
        if self.front is not None:
            keep.append(f"{name}_predict_features")
        elf = folder / "image.elf"
        image = link_plain(
            self.core, self.target.flash, self.target.ram, objects, elf, self.toolchain, keep
        )
        network = self.model.network
        sample = np.random.default_rng(0).integers(-128, 128, network.inputs).astype(np.int8)
        counts = self.session(elf).count(sample)
        memory = FirmwareMemory(
            code=image.code,
            constants=image.constants,
            scratch=arena.bytes,
            writable=image.ram_bytes,
            stack=counts.stack_bytes,
            input=network.inputs,
            output=network.outputs * np.dtype(network.score_dtype).itemsize,
        )
        return Variant(
            form=form,
            writing=writing,
            kernel=kernel,
            arena=arena,
            folder=folder,
            objects=tuple(objects),
            image=image,
            memory=memory,
            counts=counts,
            cycles=cycles(counts, self.core, self.target).value,
        )

    def _how(self, form: str, kernel: McuKernel) -> str:
        return f"Kernel form {form} for {self.core.name}; weights: {FORMS[form].weights}."

    def _c_objects(
        self, kernel: McuKernel, arena: ArenaPlan, folder: Path, level: str
    ) -> list[Path]:
        source = folder / f"{self.symbols.name}.c"
        source.write_text(model_source(kernel, self.symbols, arena, self.front), encoding="ascii")
        return self._compile(source, folder, level)

    def _llvm_objects(
        self, kernel: McuKernel, arena: ArenaPlan, folder: Path, level: str
    ) -> list[Path]:
        entry = folder / f"{self.symbols.name}_entry.c"
        entry.write_text(entry_source(kernel, self.symbols, arena, self.front), encoding="ascii")
        objects = self._compile(entry, folder, level)
        for symbol, function in kernel_functions(kernel, self.symbols.single_kernel).items():
            path = folder / f"{symbol}.o"
            lower_to_object({symbol: function}, self.processor, path, llvm_definitions(self.core))
            objects.append(path)
        return objects

    def _compile(self, source: Path, folder: Path, level: str) -> list[Path]:
        return self.toolchain.compile(self.core, [source], folder, include=[folder], optimize=level)

    def archive(self, variant: Variant, output: Path) -> None:
        """Write the static library of a variant."""
        self.toolchain.archive(variant.objects, output)

    def copy_sources(self, variant: Variant, folder: Path) -> None:
        """Put the header and the C source of a form into a folder."""
        for ending in ("h", "c"):
            name = f"{self.symbols.name}.{ending}"
            shutil.copyfile(variant.folder / name, folder / name)
