"""Family ``arm``: everybody built alike and counted in one emulator; on a board, timed in turns.

Nothing here needs a board. With one, latency, throughput, memory and energy are also measured.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from qdeploy.benchmark.comparison import compare_figures
from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.machine import MachineFact, describe_versions
from qdeploy.benchmark.native_times import quantile_metrics
from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_arm import (
    ARM_PEERS,
    ArmSubject,
    BoardPeer,
    BoardSubject,
    CompiledPeer,
)
from qdeploy.benchmark.quality import quality
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.benchmark.rows import make_context, make_rows
from qdeploy.benchmark.suites import OWN, SUITES, Request, Suite, compiled, now
from qdeploy.benchmark.taking_part import take_part
from qdeploy.benchmark.timing import Schedule
from qdeploy.errors import QDeployError
from qdeploy.progress import ProgressEvent
from qdeploy.registry import Registry
from qdeploy.targets import ArmCore, ArmTarget, load_benchmark
from qdeploy.targets.arm import NATIVE
from qdeploy.toolchains import usable
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS, LinuxToolchain

if TYPE_CHECKING:
    from qdeploy.benchmark.arm.execution import Execution
    from qdeploy.benchmark.report import ReportSection
    from qdeploy.benchmark.report.parts import Presentation
    from qdeploy.compiler.arm.artifact import LinuxArtifact
    from qdeploy.remote import Place

__all__ = ["ArmSuite"]

PACKAGES = ("ziglang", "apache-tvm", "unicorn", "capstone", "scikit-learn", "emlearn", "m2cgen")
"""What figures depend on."""

ESTIMATE = "estimate"
"""The meter that stands for the power that the target states."""


class ArmSuite(Suite):
    """Accuracy, bytes, instructions, cycles, time, throughput and energy on a 64-bit ARM board."""

    family = "arm"
    peers: ClassVar[Registry[Any]] = ARM_PEERS
    options = frozenset({"seconds", "host", "rpc"})
    columns: ClassVar[Mapping[str, str]] = {
        "accuracy": "test\naccuracy",
        "r2": "test R²",
        "flash": "code and\nconstants",
        "instructions": "instruc-\ntions",
        "cycles": "cycles",
        "latency": "one\ninference",
        "latency_median": "one call,\nnative",
        "latency_python_median": "one call,\nPython",
        "throughput": "samples\na second",
        "energy": "energy",
        "resident": "process",
    }

    def measure(self, request: Request) -> BenchmarkReport:
        """Build, run and count every implementation; time all of them where there is a board.

        Raises:
            QDeployError: as for every suite; or there is no compiler, or the board cannot be
                reached.
        """
        from qdeploy.benchmark.arm.costs import COMPARED, Costs
        from qdeploy.benchmark.arm.execution import execute
        from qdeploy.benchmark.arm.own import own_subject
        from qdeploy.benchmark.arm.rpc_board import RpcBoard

        target, progress, started = request.target, request.progress, now()
        assert isinstance(target, ArmTarget), "the registry goes by the family"
        definition, core = load_benchmark(target), target.compiled_core
        otherwise = f"implementations cannot be built for {target.name!r}"
        toolchain = usable(LINUX_TOOLCHAINS, definition.toolchain, core, otherwise)
        quantiles = quantile_metrics(definition.percentiles, target.name)
        schedule = Schedule(_seconds(request.seconds, definition.seconds), definition.rounds)
        batches = definition.batches
        sheet = FigureSheet(target.name)
        with ExitStack() as stack:
            # A board that cannot be reached is told now, rather than after minutes.
            place = _place(request, target)
            if place is not None:
                stack.enter_context(place)
            lent = None if request.rpc is None else RpcBoard(request.rpc)
            artifact = cast("LinuxArtifact", compiled(request, stack))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qdeploy-arm-")))
            context = make_context(artifact, request.dataset, definition.emulated_rows)
            rows = make_rows(context, definition.counted_rows)

            def run(name: str) -> "Execution | BoardSubject":
                peer, own_folder = ARM_PEERS[name], folder / name
                if isinstance(peer, BoardPeer):
                    assert place is not None, "its obstacle is that there is none"
                    return peer.prepare(context, place, batches, own_folder)
                assert isinstance(peer, CompiledPeer), "there are these two kinds"
                subject = peer.prepare(context, core, batches, own_folder)
                return execute(subject, core, toolchain, rows, batches, own_folder)

            peers = definition.peers if request.peers is None else request.peers
            names = tuple(name for name in peers if name != OWN)
            progress(ProgressEvent("emulating qdeploy", 0, 1 + len(names)))
            own = own_subject(artifact)
            first = execute(own, core, toolchain, rows, batches, folder / OWN)
            more, skipped = take_part(
                names,
                lambda name: ARM_PEERS[name].obstacle(context, place),
                run,
                request.peers is not None,
                progress,
            )
            others = [each for each in more if isinstance(each, BoardSubject)]
            executions = [first, *(each for each in more if not isinstance(each, BoardSubject))]
            costs = Costs(sheet, target, core, energy=place is None)
            for execution in executions:
                _quality(sheet, execution, context)
                costs.enter(execution)
            comparisons = compare_figures(sheet.figures, OWN, COMPARED)
            facts, missing = _device(target, core, toolchain), dict(costs.missing)
            notes = _notes(context, len(rows.counted), toolchain, executions)
            warnings: list[str] = []
            if place is not None:
                from qdeploy.benchmark.arm.board import Board, measure_board

                board = Board(
                    place,
                    target,
                    core,
                    toolchain,
                    schedule,
                    quantiles,
                    batches,
                    [name for name in definition.meters if name != ESTIMATE],
                    folder / "programs",
                    progress,
                )
                outcome = measure_board(board, executions, others, sheet)
                comparisons += outcome.comparisons
                facts |= outcome.facts
                notes += outcome.notes
                missing |= outcome.missing
                warnings = outcome.warnings
            titles = {}
            if lent is not None:
                lent.measure(
                    artifact, context.inputs, batches, schedule, quantiles, sheet, progress
                )
                titles[lent.name] = lent.title
                notes.append(f"{lent.name}: {lent.note}")
        subjects: list[ArmSubject | BoardSubject] = [each.subject for each in executions]
        subjects += others
        return BenchmarkReport(
            family=self.family,
            model=context.model.name,
            target=target.name,
            started=started,
            finished=now(),
            results=tuple(sheet.figures),
            comparisons=comparisons,
            titles={subject.name: subject.title for subject in subjects} | titles,
            skipped=skipped,
            missing=missing,
            machine=facts,
            versions=describe_versions(PACKAGES),
            notes=(*notes, *(f"{each.name}: {each.note}" for each in subjects)),
            warnings=tuple(warnings),
        )

    def present(self, section: "ReportSection") -> "Presentation":
        """Cards, one table, one plot, throughput, classes of instructions."""
        from qdeploy.benchmark.report.boards import present

        return present(section)


SUITES.register(ArmSuite.family)(ArmSuite())


def _seconds(asked: float | None, default: float) -> float:
    if asked is None:
        return default
    if not 0 < asked < float("inf"):
        raise QDeployError(f"seconds for each measurement must be positive, not {asked:g}")
    return asked


def _place(request: Request, target: ArmTarget) -> "Place | None":
    """The board: by ssh, or this machine where the target says that it is one; or none."""
    if request.host is not None:
        return request.host.open()
    if target.core == NATIVE:
        from qdeploy.remote import LocalPlace

        return LocalPlace()
    return None


def _quality(sheet: FigureSheet, execution: "Execution", context: Context) -> None:
    """How good the emulated bits are on the test rows."""
    if context.test is None:
        return
    metric, value, note = quality(execution.predictions, context.test)
    sheet.add(execution.subject.name, metric, value, f"emulated bits; {note}", obtained="emulated")


def _device(target: ArmTarget, core: ArmCore, toolchain: LinuxToolchain) -> dict[str, MachineFact]:
    """The target in a few facts."""
    return {
        "device": target.description,
        "core": core.name,
        "clock_megahertz": target.clock_megahertz,
        "extensions": " ".join(core.extensions) or None,
        "compiler": f"{toolchain.title} {toolchain.version()}",
    }


def _notes(
    context: Context, counted: int, toolchain: LinuxToolchain, executions: Sequence["Execution"]
) -> list[str]:
    from qdeploy.benchmark.arm.execution import LEVELS

    source = "random int8 rows" if context.test is None else "test rows"
    levels = "; ".join(f"{each.subject.name} {each.levels}" for each in executions if each.levels)
    chosen = f" ({levels})" if levels else ""
    return [
        f"every implementation ran on {len(context.inputs)} {source} in the emulator and gave what "
        f"it should, bit for bit where its meaning is exact; {counted} rows were counted one by "
        "one, and one call of each larger batch",
        f"all C of peers was compiled by {toolchain.name} at {' and '.join(LEVELS)}, and the "
        f"better by the core's model was taken for each batch size{chosen}",
        "turning features into inputs and scores into labels is the caller's part and is counted "
        "for nobody",
        "one thread each; caches hold what the calls before left in them",
    ]
