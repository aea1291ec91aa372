"""A real board: what everybody takes there, in turns, and what its sensors say of energy.

Everything that was counted is timed as a program of its own, which the board runs once a turn; its
scores are compared by their checksum. Clock, governor and temperature are taken before and after.
"""

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qdeploy.benchmark.arm.costs import gross
from qdeploy.benchmark.arm.execution import Built, Execution
from qdeploy.benchmark.bands import product
from qdeploy.benchmark.comparison import METRIC_OF, Comparison, compare_samples
from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.machine import MachineFact
from qdeploy.benchmark.native_times import enter_native, enter_throughput
from qdeploy.benchmark.peers_arm import ArmSubject, BoardSubject
from qdeploy.benchmark.sensors import Probe, find_probe
from qdeploy.benchmark.sensors.recording import record
from qdeploy.benchmark.subjects import NATIVE, PYTHON, Key, pool
from qdeploy.benchmark.suites import OWN
from qdeploy.benchmark.timing import Estimate, Samples, Schedule, Timer, interleave
from qdeploy.errors import QDeployError
from qdeploy.programs import Glue, build_bench
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.remote import Place, ProgramTimer, board_facts, checksum, throttling
from qdeploy.targets import ArmCore, ArmTarget
from qdeploy.toolchains.linux import LinuxToolchain

__all__ = ["Board", "Outcome", "measure_board"]

SENSOR_SECONDS = 3.0
"""How long a sensor runs each implementation at least."""

_CHANGING = ("governor", "frequency_megahertz", "temperature_celsius", "load", "throttled")
"""Facts that are worth telling before and after."""


@dataclass(frozen=True, eq=False)
class Board:
    """Where and how everybody is timed.

    Attributes:
        place: the board.
        target: what it is taken for.
        core: what everything was compiled for.
        toolchain: builds the programs of peers.
        schedule: time and rounds.
        quantiles: of the latency, by metric.
        batches: batch sizes.
        sensors: of power, by name, in order of preference.
        folder: for programs and inputs.
        progress: told about each step.
    """

    place: Place
    target: ArmTarget
    core: ArmCore
    toolchain: LinuxToolchain
    schedule: Schedule
    quantiles: Mapping[str, float]
    batches: Sequence[int]
    sensors: Sequence[str]
    folder: Path
    progress: Progress


@dataclass
class Outcome:
    """What a board gave beside figures.

    Attributes:
        comparisons: ratios of times.
        facts: about the board.
        notes: what applies to all its figures.
        missing: figures that are not there, and why.
        warnings: what may have disturbed figures.
    """

    comparisons: tuple[Comparison, ...] = ()
    facts: dict[str, MachineFact] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Program:
    """A program on the board for one batch size.

    Attributes:
        path: the file, here.
        inputs: of its calls.
        timer: times it.
    """

    path: Path
    inputs: bytes
    timer: ProgramTimer


def measure_board(
    board: Board,
    executions: Sequence[Execution],
    others: Sequence[BoardSubject],
    sheet: FigureSheet,
) -> Outcome:
    """Enter latency, throughput, memory and energy of everybody.

    Args:
        board: where.
        executions: what was counted.
        others: what only the board has.
        sheet: takes the figures.

    Raises:
        QDeployError: the board cannot be reached, or somebody computes something else there than
            in the emulator.
    """
    outcome = Outcome()
    before = board_facts(board.place)
    programs = _programs(board, executions)
    timers: dict[Key, Timer] = {
        (name, NATIVE, batch): program.timer for (name, batch), program in programs.items()
    }
    for other in others:
        timers |= {(other.name, PYTHON, batch): timer for batch, timer in other.timers.items()}
    samples = interleave(timers, board.schedule, clock=_clock(programs), progress=board.progress)
    for execution in executions:
        name = execution.subject.name
        for batch in board.batches:
            note = f"called from C by a program on {board.place.title}, one thread"
            enter_native(sheet, name, batch, samples[name, NATIVE, batch], note, board.quantiles)
        _resident(sheet, name, programs[name, 1].timer)
    for other in others:
        _python(sheet, other, samples)
    outcome.comparisons = compare_samples(samples, OWN, natively=True)
    _energies(board, programs, samples, sheet, outcome)
    _tell(board, before, outcome)
    return outcome


def _programs(board: Board, executions: Sequence[Execution]) -> dict[tuple[str, int], _Program]:
    """A program for everybody and every batch size, whose scores were compared."""
    programs = {}
    for done, execution in enumerate(executions):
        subject = execution.subject
        board.progress(ProgressEvent(f"comparing {subject.name}", done, len(executions)))
        for batch in board.batches:
            built = execution.build_for(batch)
            path = _program(board, subject, built, batch)
            rows = pool(execution.x, batch)
            timer = ProgramTimer(board.place, path, rows.tobytes(), batch)
            timer.measure(1, 1)
            expected = pool(execution.outputs, batch).tobytes()
            if timer.last is None or timer.last.checksum != checksum(expected):
                raise QDeployError(
                    f"{subject.name} gives other scores on {board.place.title} than in the "
                    f"emulator in batches of {batch}, so its figures would mean nothing; please "
                    "report this"
                )
            programs[subject.name, batch] = _Program(path, rows.tobytes(), timer)
    return programs


def _program(board: Board, subject: ArmSubject, built: Built, batch: int) -> Path:
    """The program that times the code; built once for all batch sizes where it takes any."""
    if subject.bench_program is not None:
        return subject.bench_program
    of_any = bool(subject.prefix)
    symbol = subject.prefix if of_any else built.subject.entry
    path = board.folder / f"{symbol}{built.level}-bench"
    if not path.exists():
        glue = Glue(
            symbol,
            "model" if of_any else "rows",
            row_bytes=subject.inputs * subject.input_dtype.itemsize,
            score_bytes=subject.outputs * subject.output_dtype.itemsize,
            rows=0 if of_any else batch,
        )
        board.folder.mkdir(parents=True, exist_ok=True)
        build_bench(board.core, built.objects, glue, path, board.toolchain)
    return path


def _clock(programs: Mapping[tuple[str, int], _Program]) -> float:
    """Seconds that a reading of the board's clock takes, by what its programs told."""
    told = [program.timer.last for program in programs.values()]
    return max(each.clock_cost for each in told if each is not None)


def _resident(sheet: FigureSheet, name: str, timer: ProgramTimer) -> None:
    assert timer.last is not None, "it measured"
    sheet.add(
        name,
        "resident",
        float(timer.last.peak_resident_bytes),
        "peak of the process that timed it at batch 1, with its inputs and C library",
        obtained="measured",
    )


def _python(sheet: FigureSheet, other: BoardSubject, samples: Mapping[Key, Samples]) -> None:
    for batch in other.timers:
        taken = samples[other.name, PYTHON, batch]
        if batch == 1:
            note, median = f"{other.note}; {taken.note}", taken.quantile(0.5)
            metric = METRIC_OF[PYTHON]
            sheet.add(other.name, metric, median, note, batch=1, obtained="measured")
        enter_throughput(sheet, other.name, batch, taken, f"{other.note}; {taken.note}")


def _energies(
    board: Board,
    programs: Mapping[tuple[str, int], _Program],
    samples: Mapping[Key, Samples],
    sheet: FigureSheet,
    outcome: Outcome,
) -> None:
    """Energy of an inference at batch 1: by the board's sensor, or else its stated power."""
    probe = find_probe(board.place, board.sensors)
    power = board.target.stated_power
    if probe is not None:
        outcome.notes.append(f"energy by {probe.title}: {probe.covers}")
    elif power is None:
        outcome.missing["energy"] = (
            f"no power sensor was found on {board.place.title}, and no power of the busy board is "
            f"known for {board.target.name!r}"
        )
        return
    else:
        outcome.notes.append(f"no power sensor was found on {board.place.title}")
    singles = [name for name, batch in programs if batch == 1]
    for done, name in enumerate(singles):
        latency = samples[name, NATIVE, 1].quantile(0.5)
        if probe is None:
            note = f"measured median latency x {gross(board.target)}; both bands"
            assert power is not None, "seen to above"
            joules = product(latency, power)
            sheet.add(name, "energy", joules, note, batch=1, obtained="estimated")
            continue
        board.progress(ProgressEvent(f"energy of {name}", done, len(singles)))
        joules, note = _recorded(board, probe, programs[name, 1], latency)
        sheet.add(name, "energy", joules, note, batch=1, obtained="measured")


def _recorded(
    board: Board, probe: Probe, program: _Program, latency: Estimate
) -> tuple[Estimate, str]:
    """Energy of a call by a sensor, gross, and how it was found."""
    seconds = max(SENSOR_SECONDS, board.schedule.seconds)
    with tempfile.TemporaryDirectory(prefix="qdeploy-bench-") as folder:
        inputs = Path(folder) / "inputs.bin"
        inputs.write_bytes(program.inputs)
        words = [
            board.place.put(program.path),
            "--inputs",
            board.place.put(inputs),
            "--calls",
            str(max(1, round(seconds / latency.value))),
        ]
    found = record(board.place, probe, words, seconds)
    joules = Estimate(
        found.watts.value * latency.value,
        found.watts.low * latency.low,
        found.watts.high * latency.high,
    )
    note = (
        f"{probe.title}: {probe.covers}; mean power {found.watts.value:.3g} W x median latency, "
        f"{found.readings} readings in a run of {seconds:g} s; interval: extreme parts of the run "
        f"and that of the latency; idle power {found.idle:.3g} W is not subtracted"
    )
    return joules, note


def _tell(board: Board, before: Mapping[str, MachineFact], outcome: Outcome) -> None:
    """Facts about the board, and warnings of what may have disturbed the figures."""
    place, target = board.place, board.target
    after = board_facts(place)
    outcome.facts = {"board": place.title, **before}
    outcome.facts |= {f"{key}_after": after[key] for key in _CHANGING if key in after}
    outcome.notes.append(
        f"measured on {place.title}: implementations took turns in {board.schedule.rounds} short "
        "rounds, each as a process of its own that warmed up; scores were compared before"
    )
    slowed = throttling(before, after)
    if slowed is not None:
        outcome.warnings.append(
            f"the board was slowed {slowed}; cool it or look at its supply, and measure again"
        )
    governor, fastest = before.get("governor"), before.get("highest_megahertz")
    if governor not in (None, "performance"):
        outcome.warnings.append(
            f"the governor was {governor!r}: clocks follow the load, which warming up evens out; "
            "'performance' gives steadier figures"
        )
    if isinstance(fastest, float) and target.clock_megahertz not in (None, fastest):
        outcome.warnings.append(
            f"the board's highest clock is {fastest:g} MHz, and estimates are for the "
            f"{target.clock_megahertz:g} MHz that target {target.name!r} states"
        )
    processor = before.get("processor")
    if isinstance(processor, str) and board.core.name not in (*processor.split(), "generic"):
        outcome.warnings.append(
            f"the board has {shlex.quote(processor)}, and estimates are for {board.core.name}"
        )
