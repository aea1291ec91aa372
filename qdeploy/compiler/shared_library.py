"""The artifact of a host: kernels by TVM's LLVM, a shared library, a module, all verified here."""

import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy import onnx
from qdeploy.compiler.artifact import MODEL_FILE
from qdeploy.compiler.c_source import symbols_of
from qdeploy.compiler.elf_memory import library_memory
from qdeploy.compiler.graph import import_graph, match_network
from qdeploy.compiler.hosted_artifact import (
    PlanTable,
    keep_log,
)
from qdeploy.compiler.hosted_code import HostedCode
from qdeploy.compiler.isa import best_instruction_set
from qdeploy.compiler.library_artifact import LibraryManifest
from qdeploy.compiler.lowering import versions
from qdeploy.compiler.manifest import common_fields, digests
from qdeploy.compiler.plan import make_plan
from qdeploy.compiler.processor import processor_for, runs_here
from qdeploy.compiler.selection import Selection
from qdeploy.compiler.verify import (
    Implementation,
    library_batch,
    library_single,
    onnxruntime_implementation,
    verify,
)
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.native import build_shared, compiler_command
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.runners.host import LibrarySession
from qdeploy.runners.vm import MachineSession
from qdeploy.targets import CpuTarget

__all__ = ["build_library"]

_STAGES = ("import", "plan", "kernels", "library", "module", "verify")


def build_library(
    model: Model,
    target: CpuTarget,
    folder: Path,
    selection: Selection | None,
    real: NDArray[np.int8] | None,
    progress: Progress,
) -> LibraryManifest:
    """Fill an empty artifact folder.

    Args:
        model: what to compile.
        target: a host that this machine can stand in for.
        folder: where the files go.
        selection: kernels that a tuner chose; None for those of the least counted cost.
        real: inputs from data to verify on, int8 (n, d).
        progress: told of every stage.

    Raises:
        QDeployError: this machine lacks the target's instructions, or an implementation differs.
    """
    symbols = symbols_of(model)
    processor = processor_for(target)
    if not runs_here(processor):
        raise QDeployError(
            f"target {target.name!r} has instructions that this machine lacks, so its code cannot "
            "be verified here; compile on such a machine or choose another target"
        )

    def stage(name: str) -> None:
        progress(ProgressEvent(f"compile: {name}", _STAGES.index(name), len(_STAGES)))

    stage("import")
    model_file = onnx.save(model, folder / MODEL_FILE)
    graph = import_graph(onnx.export(model))
    match = match_network(graph)

    stage("plan")
    isa = best_instruction_set(processor.architecture, processor.features)
    planned = make_plan(match.network, isa, selection=selection)
    keep_log(selection, folder)

    stage("kernels")
    code = HostedCode(model, symbols, processor, planned, folder)
    kernels = code.kernels()

    stage("library")
    library = folder / f"lib{model.name}.so"
    build_shared([code.entry(), kernels], library)

    stage("module")
    module = code.module(graph, match, _link)

    stage("verify")
    network = model.network
    session = LibrarySession(
        library, model.name, network.inputs, network.outputs, network.score_dtype
    )
    implementations = (
        onnxruntime_implementation(network, model_file),
        Implementation("TVM's virtual machine", MachineSession(module, network.inputs)),
        library_batch(session, network),
        library_single(session, network),
    )
    return LibraryManifest(
        **common_fields(model, verify(network, implementations, real, progress)),
        family="cpu",
        target=target.name,
        triple=processor.triple,
        processor=processor.cpu,
        versions={**versions(), "compiler": _compiler_version()},
        files=digests(folder),
        memory=library_memory(library, code.scratch_bytes),
        plan=PlanTable.model_validate(asdict(planned.plan)),
    )


def _link(output: str, objects: Sequence[str], **_: Any) -> None:
    """Link for TVM, which on its own knows fewer compilers than qdeploy does."""
    build_shared([Path(item) for item in objects], Path(output))


def _compiler_version() -> str:
    done = subprocess.run(
        [*compiler_command(), "--version"], capture_output=True, text=True, check=False
    )
    return (done.stdout.splitlines() or [compiler_command()[0]])[0].strip()
