"""Family ``mcu``: every implementation built alike, run in one emulator, weighed by one model.

Nothing here needs a board. With a port, the model's own firmware is also measured on it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from qdeploy.benchmark.comparison import compare_figures
from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.machine import MachineFact, describe_versions
from qdeploy.benchmark.mcu.execution import LEVELS, Execution, execute
from qdeploy.benchmark.metering import find_instrument
from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import MCU_PEERS, McuSubject
from qdeploy.benchmark.quality import quality
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.benchmark.rows import Rows, make_context, make_rows
from qdeploy.benchmark.suites import OWN, SUITES, Duty, Request, Suite, compiled, now
from qdeploy.benchmark.taking_part import take_part
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.registry import Registry
from qdeploy.targets import Battery, McuTarget, load_benchmark, load_core
from qdeploy.toolchains import TOOLCHAINS, Toolchain, usable

if TYPE_CHECKING:
    from qdeploy.benchmark.meters.instrument import Instrument
    from qdeploy.benchmark.report import ReportSection
    from qdeploy.benchmark.report.parts import Presentation
    from qdeploy.compiler.families import Goal
    from qdeploy.compiler.mcu.artifact import FirmwareArtifact

__all__ = ["McuSuite"]

PACKAGES = ("ziglang", "apache-tvm", "unicorn", "capstone", "scikit-learn", "emlearn", "m2cgen")
"""What figures depend on."""


class McuSuite(Suite):
    """Accuracy, bytes, instructions, cycles, energy and battery life on a microcontroller."""

    family = "mcu"
    peers: ClassVar[Registry[Any]] = MCU_PEERS
    options = frozenset({"seconds", "duty", "port", "metering", "optimize"})
    columns: ClassVar[Mapping[str, str]] = {
        "accuracy": "test\naccuracy",
        "r2": "test R²",
        "flash": "flash",
        "ram": "RAM",
        "stack": "stack",
        "instructions": "instruc-\ntions",
        "cycles": "cycles",
        "latency": "one\ninference",
        "energy": "energy",
        "battery_life": "battery\nlife",
    }

    def measure(self, request: Request) -> BenchmarkReport:
        """Build, run and count every implementation, then weigh it.

        Raises:
            QDeployError: as for every suite; or there is no compiler or board, or not the
                instrument that was asked for.
        """
        from qdeploy.benchmark.mcu.costs import COMPARED, Costs
        from qdeploy.benchmark.mcu.own import own_subject

        target, progress = request.target, request.progress
        assert isinstance(target, McuTarget), "the registry goes by the family"
        definition = load_benchmark(target)
        started, core = now(), load_core(target.core)
        otherwise = f"implementations cannot be built for {target.name!r}"
        toolchain = usable(TOOLCHAINS, definition.toolchain, core, otherwise)
        sheet = FigureSheet(target.name)
        instrument: Instrument | None = None
        meter_notes: tuple[str, ...] = ()
        if request.port is not None:
            # An instrument that cannot be used is told now, rather than after minutes.
            instrument, meter_notes = find_instrument(definition.meters, target, request.metering)
        with ExitStack() as stack:
            artifact = cast("FirmwareArtifact", compiled(request, stack))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qdeploy-mcu-")))
            context = make_context(artifact, request.dataset, definition.emulated_rows)
            rows = make_rows(context, definition.counted_rows)
            run = _Run(context, target, toolchain, rows, artifact.manifest.optimize, folder)
            peers = definition.peers if request.peers is None else request.peers
            names = tuple(name for name in peers if name != OWN)
            progress(ProgressEvent("emulating qdeploy", 0, 1 + len(names)))
            executions = [run.execute(own_subject(artifact))]
            more, skipped = run.peers(names, request.peers is not None, progress)
            executions += more
            costs = Costs(sheet, target, _battery(definition.battery, request.duty))
            for execution in executions:
                _quality(sheet, execution, context)
                costs.enter(execution)
            notes = [*_notes(context, rows, toolchain, artifact.manifest.optimize)]
            if request.port is not None:
                from qdeploy.benchmark.mcu.board import measure_board

                (estimate,) = [
                    figure
                    for figure in sheet.figures
                    if (figure.implementation, figure.metric) == (OWN, "latency")
                ]
                notes += meter_notes
                measure_board(
                    sheet,
                    artifact,
                    target,
                    context.inputs,
                    estimate.value,
                    port=request.port,
                    seconds=request.seconds or definition.seconds,
                    instrument=instrument,
                )
        return BenchmarkReport(
            family=self.family,
            model=context.model.name,
            target=target.name,
            started=started,
            finished=now(),
            results=tuple(sheet.figures),
            comparisons=compare_figures(sheet.figures, OWN, COMPARED),
            titles={execution.subject.name: execution.subject.title for execution in executions},
            skipped=skipped,
            missing=costs.missing,
            machine=_device(target, toolchain),
            versions=describe_versions(PACKAGES),
            notes=(
                *notes,
                *(f"{e.subject.name} ({e.level}): {e.subject.note}" for e in executions),
            ),
        )

    def present(self, section: "ReportSection") -> "Presentation":
        """Cards, one table, accuracy against energy, classes of instructions."""
        from qdeploy.benchmark.report.microcontrollers import present

        return present(section)


SUITES.register(McuSuite.family)(McuSuite())


class _Run:
    """What all implementations have in common.

    Args:
        context: model and data.
        target: where.
        toolchain: by what.
        rows: on what.
        goal: what the model was compiled for.
        folder: for what is built.
    """

    def __init__(
        self,
        context: Context,
        target: McuTarget,
        toolchain: Toolchain,
        rows: Rows,
        goal: "Goal",
        folder: Path,
    ) -> None:
        self._context = context
        self._target = target
        self._toolchain = toolchain
        self._rows = rows
        self._goal: Goal = goal
        self._folder = folder

    def execute(self, subject: McuSubject) -> Execution:
        """One implementation, in a folder of its own."""
        folder = self._folder / subject.name
        return execute(subject, self._target, self._toolchain, self._rows, self._goal, folder)

    def peers(
        self, names: Sequence[str], insist: bool, progress: Progress
    ) -> tuple[list[Execution], dict[str, str]]:
        """Peers that can take part; and why others cannot."""
        return take_part(
            names,
            lambda name: MCU_PEERS[name].obstacle(self._context),
            lambda name: self.execute(MCU_PEERS[name].prepare(self._context)),
            insist,
            progress,
        )


def _battery(default: Battery, duty: Duty | None) -> Battery:
    """The definition's battery, with what the user says of it."""
    if duty is None:
        return default
    capacity = duty.milliampere_hours or default.milliampere_hours
    volts = duty.volts or default.volts
    same = (capacity, volts) == (default.milliampere_hours, default.volts)
    return Battery(
        milliampere_hours=capacity,
        volts=volts,
        rate=duty.rate or default.rate,
        description=default.description
        if same
        else f"a battery of {capacity:g} mAh at {volts:g} V",
    )


def _quality(sheet: FigureSheet, execution: Execution, context: Context) -> None:
    """How good the emulated bits are on the test rows."""
    if context.test is None:
        return
    metric, value, note = quality(execution.predictions, context.test)
    sheet.add(execution.subject.name, metric, value, f"emulated bits; {note}", obtained="emulated")


def _device(target: McuTarget, toolchain: Toolchain) -> dict[str, MachineFact]:
    """The target in a few facts."""
    return {
        "device": target.description,
        "core": target.core,
        "clock_megahertz": target.clock_megahertz,
        "flash_wait_states": target.flash_wait_states,
        "flash_bytes": target.flash.bytes,
        "ram_bytes": target.ram.bytes,
        "compiler": f"{toolchain.title} {toolchain.version()}",
    }


def _notes(context: Context, rows: Rows, toolchain: Toolchain, goal: str) -> list[str]:
    source = "random int8 rows" if context.test is None else "test rows"
    return [
        f"every implementation ran on {len(rows.inputs)} {source} in the emulator and gave what it "
        f"should, bit for bit where its meaning is exact; {len(rows.counted)} rows were counted",
        f"all C was compiled by {toolchain.name} at {' and '.join(LEVELS)}, and the better of the "
        f"two was taken for the goal {goal!r}, as it was for qdeploy's own library",
        "turning features into inputs and scores into labels is the caller's part and is counted "
        "for nobody",
    ]
