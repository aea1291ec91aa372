"""From a model to an artifact folder: import, plan, lower, link, verify, put in place."""

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray
from tvm.target import codegen

from qdeploy import __version__, onnx
from qdeploy.compiler import artifact as layout
from qdeploy.compiler.artifact import Artifact
from qdeploy.compiler.c_source import Symbols, symbols_of
from qdeploy.compiler.graph import import_graph, match_network, with_kernel
from qdeploy.compiler.isa import best_instruction_set
from qdeploy.compiler.kernel import batch_function, block_function
from qdeploy.compiler.library import entry_source, header_source
from qdeploy.compiler.lowering import Processor, lower_to_object
from qdeploy.compiler.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    CertificateSummary,
    Manifest,
    Memory,
    PlanTable,
    digest,
)
from qdeploy.compiler.plan import PlannedKernels, check_supported, make_plan
from qdeploy.compiler.processor import processor_for, runs_here
from qdeploy.compiler.verify import verify
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.native import build_shared, compiler_command
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.runners.host import LibrarySession
from qdeploy.runners.vm import MachineSession
from qdeploy.targets import CpuTarget, Target, load_target

__all__ = ["compile_model"]

_STAGES = ("import", "plan", "kernels", "library", "module", "verify")


def compile_model(
    model: Model,
    target: str | Target = "cpu",
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    samples: NDArray[Any] | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Compile a model, verify every implementation bit for bit, and write an artifact folder.

    Args:
        model: what to compile.
        target: a target, its name, or its TOML file.
        output: the folder to make; None for one that lives as long as this process.
        overwrite: replace `output` where it is an artifact folder.
        samples: real inputs to verify on besides the made ones: int8 (n, d), or raw features
            (n, D) for a model with a quantiser.
        progress: told of every stage.

    Returns:
        The artifact, opened.

    Raises:
        QDeployError: the model or the target is not supported, `output` is in the way, or an
            implementation differs from the network's exact meaning.
    """
    if isinstance(target, str):
        target = load_target(target)
    if not isinstance(target, CpuTarget):
        raise QDeployError(
            f"target {target.name!r}: models are not compiled for the family {target.family!r} yet"
        )
    symbols = symbols_of(model)
    check_supported(model.network)
    processor = processor_for(target)
    if not runs_here(processor):
        raise QDeployError(
            f"target {target.name!r} has instructions that this machine lacks, so its code cannot "
            "be verified here; compile on such a machine or choose another target"
        )
    real = None if samples is None else model.quantize(samples)
    folder = _temporary_output(model.name) if output is None else Path(output)
    with _replacing(folder, overwrite=overwrite) as building:
        _build(model, target, processor, symbols, building, real, progress)
    return Artifact.load(folder)


def _build(
    model: Model,
    target: Target,
    processor: Processor,
    symbols: Symbols,
    folder: Path,
    real: NDArray[np.int8] | None,
    progress: Progress,
) -> None:
    def stage(name: str) -> None:
        progress(ProgressEvent(f"compile: {name}", _STAGES.index(name), len(_STAGES)))

    stage("import")
    model_file = onnx.save(model, folder / layout.MODEL_FILE)
    graph = import_graph(onnx.export(model))
    match = match_network(graph)

    stage("plan")
    isa = best_instruction_set(processor.architecture, processor.features)
    planned = make_plan(match.network, isa)

    stage("kernels")
    tile = planned.plan.batch.tile
    batch = batch_function(planned.batch, symbols.batch_kernel, tile)
    functions = {
        symbols.single_kernel: block_function(planned.single, symbols.single_kernel),
        symbols.batch_kernel: batch,
    }
    kernel_file = folder / layout.KERNEL_FILE
    lower_to_object(functions, processor, kernel_file)

    stage("library")
    header = folder / layout.header_file(model.name)
    header.write_text(header_source(model, planned, symbols), encoding="ascii")
    entry = folder / layout.ENTRY_FILE
    entry.write_text(entry_source(planned, symbols), encoding="ascii")
    library = folder / f"lib{model.name}.so"
    build_shared([entry, kernel_file], library)

    stage("module")
    module = folder / layout.MODULE_FILE
    replaced = with_kernel(graph, match, planned.batch, batch, tile)
    executable = tvm.compile(replaced, target=processor.target)
    executable.export_library(str(module), fcompile=_link)

    stage("verify")
    network = model.network
    verified = verify(
        network,
        model_file,
        LibrarySession(library, model.name, network.inputs, network.outputs, network.score_dtype),
        MachineSession(module, network.inputs),
        real,
        progress,
    )
    manifest = _manifest(model, target, processor, planned, library, verified, folder)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _link(output: str, objects: Sequence[str], **_: Any) -> None:
    """Link for TVM, which on its own knows fewer compilers than qdeploy does."""
    build_shared([Path(item) for item in objects], Path(output))


def _manifest(
    model: Model,
    target: Target,
    processor: Processor,
    planned: PlannedKernels,
    library: Path,
    verified: int,
    folder: Path,
) -> Manifest:
    network, certificate = model.network, model.certificate
    summary = None
    if certificate is not None:
        summary = CertificateSummary(
            objective=certificate.objective,
            bound=certificate.bound,
            gap=certificate.gap,
            method=certificate.method,
            loss=certificate.loss,
            penalty=certificate.penalty,
        )
    plan = planned.plan
    scratch = max(plan.single.scratch_bytes, plan.batch.scratch_bytes)
    return Manifest(
        format=FORMAT_VERSION,
        name=model.name,
        target=target.name,
        triple=processor.triple,
        processor=processor.cpu,
        versions={
            "qdeploy": __version__,
            "tvm": str(tvm.__version__),
            "llvm": str(codegen.llvm_version_major()),
            "compiler": _compiler_version(),
        },
        files={path.name: digest(path) for path in sorted(folder.iterdir())},
        inputs=network.inputs,
        outputs=network.outputs,
        neurons=network.layers[0].width,
        score_type=network.score_dtype,
        scale=model.scale,
        memory=_memory(library, scratch),
        plan=PlanTable.model_validate(asdict(plan)),
        verified=verified,
        certificate=summary,
    )


def _compiler_version() -> str:
    done = subprocess.run(
        [*compiler_command(), "--version"], capture_output=True, text=True, check=False
    )
    return (done.stdout.splitlines() or [compiler_command()[0]])[0].strip()


def _memory(library: Path, scratch: int) -> Memory:
    """Sizes of the sections that hold our code and data."""
    code = constants = writable = 0
    with library.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            size, flags = section["sh_size"], section["sh_flags"]
            if not flags & SH_FLAGS.SHF_ALLOC:
                continue
            if section.name.startswith(".text"):
                code += size
            elif section.name.startswith(".rodata"):
                constants += size
            elif section.name.startswith((".data", ".bss")):
                writable += size
    return Memory(code=code, constants=constants, scratch=scratch, writable=writable)


def _temporary_output(name: str) -> Path:
    parent = Path(tempfile.mkdtemp(prefix="qdeploy-"))
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    return parent / name


@contextmanager
def _replacing(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary sibling that takes the folder's place when the block ends well.

    Raises:
        QDeployError: the folder is in the way, or its parent cannot be written.
    """
    folder = folder.absolute()
    _check_replaceable(folder, overwrite=overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise QDeployError(
            f"{folder} cannot be made ({error.strerror}); choose another output folder"
        ) from None
    try:
        yield building
        building.chmod(0o755)
        _check_replaceable(folder, overwrite=overwrite)
        if folder.exists():
            # A folder cannot be renamed over a full one: set the old one aside first.
            aside = building.with_name(f"{building.name}-old")
            folder.rename(aside)
            building.rename(folder)
            shutil.rmtree(aside)
        else:
            building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _check_replaceable(folder: Path, *, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise QDeployError(f"{folder} is a file; choose another output folder")
    if not any(folder.iterdir()):
        return
    if not overwrite:
        raise QDeployError(
            f"{folder} exists and is not empty; choose another output folder or allow overwriting"
        )
    if not (folder / MANIFEST).is_file():
        raise QDeployError(
            f"{folder} is not an artifact folder, so it is not replaced; "
            "choose another output folder"
        )
