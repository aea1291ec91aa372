"""``qdeploy compile`` and ``qdeploy run``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import RenderableType
from rich.table import Table

from qdeploy.cli.figures import byte_count
from qdeploy.cli.options import (
    AcceptNewHostKey,
    Force,
    Host,
    Identity,
    Json,
    ModelFile,
    ModelOrArtifact,
    Quiet,
    Rpc,
    TargetName,
    checked,
)
from qdeploy.cli.terminal import Terminal, pairs
from qdeploy.errors import QDeployError
from qdeploy.ranges import BYTES, TIME_LIMIT

if TYPE_CHECKING:
    from qdeploy.compiler.arm.artifact import LinuxArtifact
    from qdeploy.compiler.mcu.artifact import FirmwareArtifact
    from qdeploy.compiler.selection import Pick
    from qdeploy.tuning import TuningLog

__all__ = ["compile_model", "run"]

Goal = Literal["speed", "size", "balanced"]
_CONTROLLERS = "Microcontrollers"
_TUNING = "Tuning"
_GENERATORS = {"llvm": "TVM's LLVM", "c": "TVM's C and the C compiler"}


def compile_model(
    model: ModelFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The artifact folder to write.")
    ],
    target: TargetName = "cpu",
    optimize: Annotated[
        Goal | None,
        typer.Option(
            help="Microcontrollers: fewest cycles, least flash, or the least product of both "
            "(the default).",
            rich_help_panel=_CONTROLLERS,
        ),
    ] = None,
    max_flash: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES",
            parser=checked(BYTES),
            help="Flash that the model may take.",
            rich_help_panel=_CONTROLLERS,
        ),
    ] = None,
    max_ram: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES",
            parser=checked(BYTES),
            help="RAM that the model may take: variables, stack, input and output.",
            rich_help_panel=_CONTROLLERS,
        ),
    ] = None,
    toolchain: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="C compiler for microcontrollers and ARM boards: zig (a wheel, the default) "
            "or gcc.",
            rich_help_panel="Boards",
        ),
    ] = None,
    front: Annotated[
        bool,
        typer.Option(
            "--front",
            metavar="",
            help="Also take raw features as float.",
            rich_help_panel=_CONTROLLERS,
        ),
    ] = False,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            metavar="",
            help="Search for faster kernels: on this machine, on a board, or by the core's model; "
            "never takes one that is not faster than the default.",
            rich_help_panel=_TUNING,
        ),
    ] = False,
    tune_seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            parser=checked(TIME_LIMIT),
            help="Time for each candidate.",
            rich_help_panel=_TUNING,
        ),
    ] = 0.3,
    tune_log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take the kernels of an earlier search: tuning.json of its artifact.",
            rich_help_panel=_TUNING,
        ),
    ] = None,
    host: Host = None,
    identity: Identity = None,
    accept_new_host_key: AcceptNewHostKey = False,
    rpc: Rpc = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compile a model for a target, and verify the result bit for bit.

    [bold]Example[/bold]:  qdeploy compile cancer.onnx --target raspberry-pi-5 -o cancer-pi
    """
    from qdeploy import onnx
    from qdeploy.compiler import compile_model as build
    from qdeploy.compiler.arm.artifact import LinuxArtifact
    from qdeploy.compiler.mcu.artifact import FirmwareArtifact
    from qdeploy.files import check_writable
    from qdeploy.targets import load_target
    from qdeploy.tuning import Access, TuningLog, read_log
    from qdeploy.tuning import tune as search

    terminal = Terminal(json_output=json_output, quiet=quiet)
    check_writable(output, overwrite=force)
    loaded, described = onnx.load(model), load_target(target)
    access = Access(host, identity, accept_new_host_key, rpc)
    if not tune and not access.empty:
        raise QDeployError("a board has nothing to do here without --tune; add it, or leave it out")
    if tune and tune_log is not None:
        raise QDeployError("--tune makes a log and --tune-log takes one; give only one of them")
    with terminal.progress() as progress:
        log: TuningLog | None = None
        if tune:
            log = search(
                loaded,
                described,
                access=access,
                toolchain=toolchain,
                seconds=tune_seconds,
                progress=progress,
            )
        elif tune_log is not None:
            log = read_log(tune_log)
            log.check(loaded, described)
        artifact = build(
            loaded,
            described,
            output,
            selection=None if log is None else log.selection(),
            optimize=optimize,
            max_flash=max_flash,
            max_ram=max_ram,
            toolchain=toolchain,
            front=front,
            overwrite=force,
            progress=progress,
        )
    values = {
        "target": artifact.target,
        "artifact": str(artifact.folder),
        "verified": artifact.verified,
        "form": artifact.form,
        "flash_bytes": artifact.flash_bytes,
        "ram_bytes": artifact.ram_bytes,
        "header": str(artifact.header),
        "library": str(artifact.library),
        "tuning": log and log.model_dump(mode="json"),
    }
    tuned = _tuning_lines(log) if log else ()
    verified = f"{artifact.verified} samples, equal bits in every implementation"
    if isinstance(artifact, FirmwareArtifact):
        manifest = artifact.manifest
        values |= {
            "optimize": manifest.optimize,
            "generator": manifest.generator,
            "toolchain": manifest.toolchain,
            "memory": manifest.memory.model_dump(),
            "candidates": [each.model_dump() for each in manifest.candidates],
            "rejected": manifest.rejected,
            "source": str(artifact.source),
            "firmware": artifact.firmware_elf and str(artifact.firmware_elf),
        }
        terminal.result(values, *_controller_lines(artifact, verified))
        return
    if isinstance(artifact, LinuxArtifact):
        values |= {
            "toolchain": artifact.manifest.toolchain,
            "archive": str(artifact.archive),
            "run_program": str(artifact.run_program),
            "bench_program": str(artifact.bench_program),
            "module": str(artifact.module),
            "counted": artifact.manifest.counted.model_dump(),
            "candidates": [each.model_dump() for each in artifact.manifest.candidates],
            "rejected": artifact.manifest.plan.rejected,
        }
        terminal.result(values, *_linux_lines(artifact, verified), *tuned)
        return
    terminal.result(
        values,
        pairs(
            ("artifact", f"{artifact.folder} (target {artifact.target})"),
            ("form", artifact.form),
            ("verified", verified),
            ("code and weights", byte_count(artifact.flash_bytes)),
            ("scratch", byte_count(artifact.ram_bytes)),
            ("library", artifact.library.name),
            ("header", artifact.header.name),
        ),
        *tuned,
    )


def _controller_lines(artifact: "FirmwareArtifact", verified: str) -> Iterator[RenderableType]:
    """What compilation for a microcontroller gave: memory, counts, and what else was counted."""
    manifest, memory = artifact.manifest, artifact.manifest.memory
    chosen = manifest.candidates[0]
    firmware = artifact.firmware_elf
    yield pairs(
        ("artifact", f"{artifact.folder} (target {artifact.target}, {artifact.core.name})"),
        ("form", artifact.form),
        ("weights", manifest.weights),
        ("verified", verified),
        (
            "flash",
            f"{byte_count(memory.flash)}: code {byte_count(memory.code)}, "
            f"weights {byte_count(memory.constants)}",
        ),
        (
            "RAM",
            f"{byte_count(memory.ram)}: variables {byte_count(memory.writable)}, "
            f"stack {byte_count(memory.stack)} (emulated), input {byte_count(memory.input)}, "
            f"output {byte_count(memory.output)}",
        ),
        ("one inference", f"{chosen.instructions} instructions (emulated)"),
        ("sources", f"{artifact.header.name}, {artifact.source.name}"),
        ("library", f"{artifact.library.name}, by {_GENERATORS[manifest.generator]}"),
        (
            "firmware",
            str(firmware.relative_to(artifact.folder)) if firmware else "none: no serial port",
        ),
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("counted", "by", "instructions\nemulated", "flash", "RAM"):
        table.add_column(heading, justify="left" if heading in ("counted", "by") else "right")
    for each in manifest.candidates:
        table.add_row(
            each.form,
            f"{_GENERATORS[each.generator]}{f', {each.level}' if each.generator == 'c' else ''}",
            str(each.instructions),
            byte_count(each.flash),
            byte_count(each.ram),
        )
    yield ""
    yield table


def _tuning_lines(log: "TuningLog") -> Iterator[RenderableType]:
    """What the search found, and whether it is better than the default."""
    yield ""
    for race in log.races:
        use = "one sample" if race.use == "single" else "batches"
        compared = f"{race.ratio:.3f} ({race.low:.3f} to {race.high:.3f}) of the default's time"
        if race.fastest == race.default:
            told = "the default is the fastest of those tried"
        elif race.taken:
            told = f"{_pick(race.fastest)} takes {compared} [{log.obtained}]; taken"
        else:
            told = f"{_pick(race.fastest)} takes {compared} [{log.obtained}]; the default stays"
        yield f"tuned for {use} on {log.where}: {told}"
    yield f"{len(log.trials)} candidates; the log is tuning.json in the artifact"


def _pick(pick: "Pick") -> str:
    return f"{pick.form} ({pick.vectors} vectors a block, {pick.tile} at a time)"


def _linux_lines(artifact: "LinuxArtifact", verified: str) -> Iterator[RenderableType]:
    """What compilation for an ARM board gave: libraries, programs, and what was counted."""
    manifest = artifact.manifest
    counted, memory = manifest.counted, manifest.memory
    yield pairs(
        ("artifact", f"{artifact.folder} (target {artifact.target}, {artifact.core.name})"),
        ("form", artifact.form),
        ("verified", verified),
        (
            "library",
            f"{byte_count(artifact.flash_bytes)}: code {byte_count(memory.code)}, "
            f"weights {byte_count(memory.constants)}",
        ),
        ("stack", f"{byte_count(counted.stack)} (emulated)"),
        (
            "one inference",
            f"{counted.instructions} instructions (emulated), {counted.cycles:.0f} cycles "
            f"(estimated, {counted.low:.0f} to {counted.high:.0f})",
        ),
        ("libraries", f"{artifact.archive.name}, {artifact.library.name}; {artifact.header.name}"),
        ("programs", f"{artifact.run_program.name}, {artifact.bench_program.name}"),
        ("TVM module", artifact.module.name),
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("counted", "use", "samples\ntogether", "cycles a sample\nestimated", "weights"):
        table.add_column(heading, justify="left" if heading in ("counted", "use") else "right")
    for each in manifest.candidates:
        table.add_row(
            each.form,
            each.use,
            str(each.tile),
            f"{each.cycles:.0f}",
            byte_count(each.weight_bytes),
        )
    yield ""
    yield table


def run(
    model: ModelOrArtifact,
    data: Annotated[
        str, typer.Option(metavar="DATA", help="Rows to predict; a label column is ignored.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the predictions as CSV."),
    ] = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict with a compiled artifact or a model file.

    [bold]Example[/bold]:  qdeploy run cancer-cpu --data new.csv -o predictions.csv
    """
    from qdeploy.files import check_writable
    from qdeploy.inference import predict_file

    terminal = Terminal(json_output=json_output, quiet=quiet)
    if output is not None:
        check_writable(output, overwrite=force)
    predictions = predict_file(model, data)
    values: dict[str, Any] = {"predictions": predictions.values, "scores": predictions.scores}
    if output is not None:
        predictions.save(output, overwrite=force)
        values["output"] = str(output)
        terminal.result(values, f"{output}: {len(predictions.values)} predictions")
    else:
        terminal.result(values, predictions.to_csv().rstrip("\n"))
