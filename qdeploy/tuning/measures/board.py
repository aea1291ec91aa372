"""A Linux board over ssh: one program a candidate, timed there in turns."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qdeploy.compiler.candidates import write_candidates
from qdeploy.compiler.plan import Candidate
from qdeploy.programs import Glue, build_bench
from qdeploy.remote import Place, ProgramTimer, SshPlace, board_facts
from qdeploy.targets import ArmTarget
from qdeploy.toolchains.linux import DEFAULT_TOOLCHAIN, LINUX_TOOLCHAINS
from qdeploy.tuning.measures import MEASURES, Measure, Subject, Weighing
from qdeploy.tuning.timed import POOL, TimedWeighing, rows_of

__all__ = ["BoardMeasure", "BoardWeighing"]


class BoardWeighing(TimedWeighing):
    """Candidates as programs at a place.

    Args:
        subject: what is tuned.
        found: the candidates.
        place: where they run; closed at the end.
    """

    def __init__(self, subject: Subject, found: Sequence[Candidate], place: Place) -> None:
        self._place = place
        self._folder = tempfile.TemporaryDirectory(prefix="qdeploy-tune-")
        programs = _build(subject, found, Path(self._folder.name))
        rng = np.random.default_rng(0)

        def timer(program: Path, rows: int) -> ProgramTimer:
            x = rng.integers(-128, 128, (POOL, rows, subject.network.inputs), dtype=np.int8)
            return ProgramTimer(place, program, x.tobytes(), rows)

        timers = [
            timer(program, rows_of(candidate))
            for program, candidate in zip(programs, found, strict=True)
        ]
        model = board_facts(place).get("model")
        where = f"{model} ({place.title})" if model else place.title
        super().__init__(subject, found, where, timers)

    def __exit__(self, *_: object) -> None:
        """Leave the board and remove what was built."""
        self._place.close()
        self._folder.cleanup()


def _build(subject: Subject, found: Sequence[Candidate], folder: Path) -> list[Path]:
    """One program a candidate; their linkers leave the other candidates out."""
    network = subject.network
    assert isinstance(subject.target, ArmTarget), "only such targets suit"
    core = subject.target.compiled_core
    toolchain = LINUX_TOOLCHAINS[subject.toolchain or DEFAULT_TOOLCHAIN]
    written = write_candidates(found, subject.setting.processor, folder)
    objects = [*toolchain.compile(core, [written.source], folder), written.kernels]
    score = network.score_dtype
    programs = []
    for number, (symbol, rows) in enumerate(zip(written.symbols, map(rows_of, found), strict=True)):
        # The program calls functions for a fixed number of rows.
        wrapper = folder / f"rows_{number}.c"
        count = "" if rows == 1 else "size_t, "
        given = "" if rows == 1 else f"{rows}, "
        wrapper.write_text(
            "#include <stddef.h>\n#include <stdint.h>\n"
            f"int {symbol}(const int8_t *, {count}{score}_t *);\n"
            f"void rows_{number}(const int8_t *x, {score}_t *scores);\n"
            f"void rows_{number}(const int8_t *x, {score}_t *scores)\n"
            f"{{\n    {symbol}(x, {given}scores);\n}}\n",
            encoding="ascii",
        )
        glue = Glue(
            f"rows_{number}",
            "rows",
            row_bytes=network.inputs,
            score_bytes=network.outputs * np.dtype(score).itemsize,
            rows=rows,
            value_type="int8_t",
            score_type=f"{score}_t",
        )
        program = folder / f"candidate-{number}"
        parts = [*toolchain.compile(core, [wrapper], folder), *objects]
        build_bench(core, parts, glue, program, toolchain)
        programs.append(program)
    return programs


class BoardMeasure(Measure):
    """Times candidates on the board that the caller names."""

    name = "board"
    obtained = "measured"
    unit = "s"

    def suits(self, subject: Subject) -> bool:
        """Where a host is named for a target of a Linux board."""
        return subject.access.host is not None and isinstance(subject.target, ArmTarget)

    def open(self, subject: Subject, found: Sequence[Candidate]) -> Weighing:
        """Connect, build a program a candidate; they are copied when they first run.

        Raises:
            QDeployError: the board cannot be reached, or is none for such programs.
        """
        access = subject.access
        assert access.host is not None, "only such callers suit"
        place = SshPlace(
            access.host,
            identity=access.identity,
            accept_new_host_key=access.accept_new_host_key,
        )
        try:
            return BoardWeighing(subject, found, place)
        except BaseException:
            place.close()
            raise


MEASURES.register(BoardMeasure.name)(BoardMeasure())
