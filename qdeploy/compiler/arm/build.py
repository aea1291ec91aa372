"""From a model to the artifact of an ARM board: weigh, choose, build, verify, pack."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy import onnx
from qdeploy.compiler.arm.artifact import CandidateTable, Counted, LinuxManifest
from qdeploy.compiler.arm.counting import CandidateCounter
from qdeploy.compiler.artifact import MODEL_FILE
from qdeploy.compiler.c_source import symbols_of
from qdeploy.compiler.elf_memory import library_memory
from qdeploy.compiler.families import KernelSetting
from qdeploy.compiler.graph import import_graph, match_network
from qdeploy.compiler.hosted_artifact import (
    PlanTable,
    keep_log,
)
from qdeploy.compiler.hosted_code import HostedCode
from qdeploy.compiler.isa import best_instruction_set
from qdeploy.compiler.lowering import Processor, versions
from qdeploy.compiler.manifest import common_fields, digests
from qdeploy.compiler.plan import Evaluated, candidates, choose
from qdeploy.compiler.selection import Selection
from qdeploy.compiler.verify import (
    Implementation,
    library_batch,
    library_single,
    onnxruntime_implementation,
    verify,
)
from qdeploy.emulation import check_libraries, pipeline_cycles
from qdeploy.firmware.interface import ModelInterface
from qdeploy.model import Model
from qdeploy.network import QuantizedNetwork
from qdeploy.programs import build_programs
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.remote import ProgramSession, local_place
from qdeploy.runners.library_emulator import EmulatedLibrary
from qdeploy.targets import ArmCore, ArmTarget
from qdeploy.toolchains import usable
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS, LinuxToolchain

__all__ = ["build_linux_artifact", "kernel_setting", "linux_toolchain"]

_STAGES = ("import", "count the forms", "libraries", "programs", "module", "verify")
_VECTOR_BITS = 128


def kernel_setting(target: ArmTarget, toolchain: LinuxToolchain) -> KernelSetting:
    """The core for TVM's LLVM, and its pipeline model to weigh kernels by.

    Raises:
        QDeployError: LLVM does not know the core, or the emulator is not installed.
    """
    check_libraries()
    core = target.compiled_core
    processor = Processor(core.triple, core.cpu, core.features, vector_bits=_VECTOR_BITS)
    isa = best_instruction_set(processor.architecture, processor.features)
    return KernelSetting(processor, isa, CandidateCounter(isa, core, processor, toolchain))


def linux_toolchain(name: str, target: ArmTarget) -> LinuxToolchain:
    """A toolchain that can compile for a target.

    Raises:
        QDeployError: there is no such toolchain, or it is not installed.
    """
    otherwise = f"target {target.name!r} cannot be compiled for"
    return usable(LINUX_TOOLCHAINS, name, target.compiled_core, otherwise)


def build_linux_artifact(
    model: Model,
    target: ArmTarget,
    folder: Path,
    setting: KernelSetting,
    toolchain: LinuxToolchain,
    selection: Selection | None,
    real: NDArray[np.int8] | None,
    progress: Progress,
) -> LinuxManifest:
    """Fill an empty artifact folder.

    Args:
        model: what to compile.
        target: a board, or a bare core.
        folder: where the files go.
        setting: what its kernels are written for, and how they are weighed.
        toolchain: compiles and links.
        selection: kernels that a tuner chose; None for those of the least weight.
        real: inputs from data to verify on, int8 (n, d).
        progress: told of every stage.

    Raises:
        QDeployError: a compiler is missing, or an implementation differs.
    """

    def stage(name: str) -> None:
        progress(ProgressEvent(f"compile: {name}", _STAGES.index(name), len(_STAGES)))

    stage("import")
    core, processor = target.compiled_core, setting.processor
    symbols = symbols_of(model)
    model_file = onnx.save(model, folder / MODEL_FILE)
    graph = import_graph(onnx.export(model))
    match = match_network(graph)
    network = match.network
    interface = ModelInterface(model.name, network.inputs, network.outputs, network.score_dtype)

    stage("count the forms")
    found, rejected = candidates(network, setting.isa, every_block=selection is not None)
    assert setting.evaluate is not None, "boards are weighed by their own model"
    weighed = setting.evaluate(found if selection is None else selection.among(found))
    planned = choose(setting.isa, weighed, rejected)
    keep_log(selection, folder)

    stage("libraries")
    code = HostedCode(model, symbols, processor, planned, folder)
    kernels, entry = code.kernels(), code.entry()
    objects = [_compiled(entry, core, toolchain), kernels]
    toolchain.archive(objects, folder / f"lib{model.name}.a")
    library = folder / f"lib{model.name}.so"
    toolchain.shared(core, objects, library, [symbols.predict, symbols.predict_batch])

    stage("programs")
    programs = build_programs(core, objects, interface, folder, toolchain, header_folder=folder)

    stage("module")

    def link(output: str, files: Sequence[str], **_: Any) -> None:
        toolchain.module(core, [Path(file) for file in files], Path(output))

    code.module(graph, match, link)

    stage("verify")
    emulated = EmulatedLibrary(library, core, interface)
    implementations = (
        onnxruntime_implementation(model.network, model_file),
        library_batch(emulated, model.network),
        library_single(emulated, model.network),
        *_program(core, programs.run, interface),
    )
    verified = verify(model.network, implementations, real, progress)
    return LinuxManifest(
        **common_fields(model, verified),
        family="arm",
        target=target.name,
        triple=core.triple,
        processor=core.cpu,
        versions={**versions(), "compiler": toolchain.version()},
        files=digests(folder),
        memory=library_memory(library, code.scratch_bytes),
        plan=PlanTable.model_validate(asdict(planned.plan)),
        board=target,
        core=core,
        toolchain=toolchain.name,
        counted=_counted(emulated, network, core),
        candidates=_table(weighed),
    )


def _compiled(entry: Path, core: ArmCore, toolchain: LinuxToolchain) -> Path:
    """The object of an artifact's C file, beside it."""
    with tempfile.TemporaryDirectory(prefix="qdeploy-arm-") as temporary:
        (compiled,) = toolchain.compile(core, [entry], Path(temporary), include=[entry.parent])
        place = entry.parent / compiled.name
        place.write_bytes(compiled.read_bytes())
    return place


def _program(core: ArmCore, program: Path, interface: ModelInterface) -> list[Implementation]:
    """The run program as a process, where this machine can run it: it is an ARM, or has QEMU."""
    place = local_place(core)
    if place is None:
        return []
    session = ProgramSession(place, program, interface)
    return [Implementation(f"{program.name} ({place.title})", session)]


def _counted(emulated: EmulatedLibrary, network: QuantizedNetwork, core: ArmCore) -> Counted:
    sample = np.random.default_rng(0).integers(-128, 128, (1, network.inputs)).astype(np.int8)
    counts = emulated.count(sample)
    cycles = pipeline_cycles(counts, core)
    return Counted(
        instructions=counts.instructions,
        classes=dict(counts.classes),
        cycles=cycles.value,
        low=cycles.low,
        high=cycles.high,
        stack=counts.stack_bytes,
    )


def _table(weighed: Sequence[Evaluated]) -> tuple[CandidateTable, ...]:
    """All candidates, single samples first, the cheapest of each use first."""
    ordered = sorted(weighed, key=lambda entry: (entry[1].use != "single", entry[0].cycles))
    return tuple(
        CandidateTable(use=candidate.use, **asdict(choice)) for choice, candidate in ordered
    )
