"""From a model to the artifact of a microcontroller: count, choose, verify, pack, flash files."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy import onnx
from qdeploy.compiler.artifact import MODEL_FILE
from qdeploy.compiler.c_source import symbols_of
from qdeploy.compiler.families import Options
from qdeploy.compiler.graph import import_graph, match_network
from qdeploy.compiler.lowering import versions
from qdeploy.compiler.manifest import common_fields, digests
from qdeploy.compiler.mcu.artifact import FIRMWARE_FOLDER, IMAGE_FILE, FirmwareManifest
from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.mcu.front import float_front
from qdeploy.compiler.mcu.front_check import verify_front
from qdeploy.compiler.mcu.packaging import write_project_files
from qdeploy.compiler.mcu.plan import McuPlan, choose, shortlist
from qdeploy.compiler.mcu.variant import Variant, Workshop
from qdeploy.compiler.verify import Implementation, onnxruntime_implementation, verify
from qdeploy.emulation import check_libraries
from qdeploy.firmware import build_firmware
from qdeploy.model import Model
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.targets import McuTarget, load_core
from qdeploy.toolchains import TOOLCHAINS, usable

__all__ = ["build_firmware_artifact"]

_STAGES = ("import", "count the forms", "verify", "pack", "firmware")
_STRICT = 12
"""Samples whose memory accesses are checked one by one."""
_GENERATORS = {"llvm": "TVM's LLVM", "c": "TVM's C"}


def build_firmware_artifact(
    model: Model,
    target: McuTarget,
    folder: Path,
    options: Options,
    real: NDArray[np.int8] | None,
    progress: Progress,
) -> FirmwareManifest:
    """Fill an empty artifact folder.

    Args:
        model: what to compile.
        target: a board, a bare core or an emulated machine.
        folder: where the files go.
        options: goal, limits, toolchain, float front.
        real: inputs from data to verify on, int8 (n, d).
        progress: told of every stage.

    Raises:
        QDeployError: a compiler is missing, nothing fits the memories or limits, or an
            implementation differs.
    """

    def stage(name: str) -> None:
        progress(ProgressEvent(f"compile: {name}", _STAGES.index(name), len(_STAGES)))

    stage("import")
    core = load_core(target.core)
    goal = options.optimize or "balanced"
    otherwise = f"target {target.name!r} cannot be compiled for"
    toolchain = usable(TOOLCHAINS, options.toolchain or "zig", core, otherwise)
    check_libraries()
    front = float_front(model) if options.front else None
    model_file = onnx.save(model, folder / MODEL_FILE)
    network = match_network(import_graph(onnx.export(model))).network

    with tempfile.TemporaryDirectory(prefix="qdeploy-mcu-") as temporary:
        workshop = Workshop(
            model, symbols_of(model), target, core, toolchain, front, Path(temporary)
        )
        stage("count the forms")
        kernels, rejected = shortlist(
            network,
            frozenset(core.extensions),
            goal,
            target.flash.bytes,
            limited=options.limited,
        )
        plan = choose(kernels, rejected, workshop.build, goal, options)

        stage("verify")
        pair = _same_form(plan)
        implementations = [
            onnxruntime_implementation(model.network, model_file),
            *(
                Implementation(
                    f"the code of {_GENERATORS[variant.writing.generator]} "
                    f"({variant.writing.level}) on {core.name}",
                    workshop.session(variant.image.elf, strict=_STRICT),
                )
                for variant in pair
            ),
        ]
        verified = verify(model.network, implementations, real, progress)
        if front is not None:
            for variant in pair:
                verify_front(model, workshop, variant.image.elf)

        stage("pack")
        _pack(workshop, plan, pair, folder)
        stage("firmware")
        has_firmware = target.uart is not None
        if has_firmware:
            _build_firmware(workshop, plan.chosen, folder)

    return FirmwareManifest(
        **common_fields(model, verified),
        family="mcu",
        target=target.name,
        triple=core.triple,
        processor=core.cpu,
        versions={**versions(), "compiler": toolchain.version()},
        files=digests(folder),
        board=target,
        optimize=goal,
        toolchain=toolchain.name,
        front=front is not None,
        form=plan.chosen.form,
        weights=FORMS[plan.chosen.form].weights,
        generator=plan.chosen.writing.generator,
        accumulators=dict(plan.chosen.kernel.accumulators),
        memory=plan.chosen.memory,
        instructions=dict(plan.chosen.classes),
        candidates=tuple(variant.table for variant in plan.variants),
        rejected=dict(plan.rejected),
        firmware=has_firmware,
    )


def _same_form(plan: McuPlan) -> list[Variant]:
    """The chosen form as every generator wrote it, the chosen variant first."""
    return [variant for variant in plan.variants if variant.form == plan.chosen.form]


def _pack(workshop: Workshop, plan: McuPlan, same: Sequence[Variant], folder: Path) -> None:
    name = workshop.symbols.name
    # The chosen variant is the first: of the two levels of the C compiler, the better is kept.
    best = {variant.writing.generator: variant for variant in reversed(same)}
    workshop.copy_sources(best["c"], folder)
    for generator, variant in best.items():
        workshop.archive(variant, folder / f"lib{name}-{generator}.a")
    workshop.archive(plan.chosen, folder / f"lib{name}.a")
    (folder / IMAGE_FILE).write_bytes(plan.chosen.image.elf.read_bytes())
    write_project_files(workshop, plan.chosen, folder)


def _build_firmware(workshop: Workshop, chosen: Variant, folder: Path) -> None:
    builds = {"performance": False}
    if workshop.target.pulse is not None:
        builds["energy"] = True
    for build, energy in builds.items():
        place = folder / FIRMWARE_FOLDER / build
        place.mkdir(parents=True)
        build_firmware(
            workshop.target,
            workshop.core,
            chosen.objects,
            workshop.interface,
            place,
            workshop.toolchain,
            energy=energy,
        )
