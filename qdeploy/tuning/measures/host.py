"""This machine: candidates in one library, called from C, timed in turns."""

import ctypes
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qdeploy.benchmark.harness import BatchState, HarnessTimer, PredictState
from qdeploy.benchmark.machine import describe_machine
from qdeploy.compiler.candidates import write_candidates
from qdeploy.compiler.plan import Candidate
from qdeploy.compiler.processor import runs_here
from qdeploy.native import build_shared
from qdeploy.runners.host import load_private
from qdeploy.tuning.measures import MEASURES, Measure, Subject, Weighing
from qdeploy.tuning.timed import POOL, TimedWeighing, rows_of

__all__ = ["HostMeasure"]


def _timers(subject: Subject, found: Sequence[Candidate]) -> list[HarnessTimer]:
    """The candidates in a library that is loaded here."""
    with tempfile.TemporaryDirectory(prefix="qdeploy-tune-") as temporary:
        folder = Path(temporary)
        written = write_candidates(found, subject.setting.processor, folder)
        path = folder / "libcandidates.so"
        build_shared([written.source, written.kernels], path)
        library = load_private(path)
    network = subject.network
    rng = np.random.default_rng(0)

    def timer(symbol: str, rows: int) -> HarnessTimer:
        x = rng.integers(-128, 128, (POOL, rows, network.inputs), dtype=np.int8)
        scores = np.empty((rows, network.outputs), dtype=network.score_dtype)
        address = ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
        fields = (address, x.ctypes.data, rows * network.inputs, scores.ctypes.data)
        single = rows == 1
        state = PredictState(*fields) if single else BatchState(*fields, rows)
        step = "step_predict" if single else "step_batch"
        return HarnessTimer(step, state, POOL, (x, scores, library))

    return [
        timer(symbol, rows_of(candidate))
        for symbol, candidate in zip(written.symbols, found, strict=True)
    ]


class HostMeasure(Measure):
    """Times candidates where qdeploy runs."""

    name = "host"
    obtained = "measured"
    unit = "s"

    def suits(self, subject: Subject) -> bool:
        """Where no board is named and this machine has the instructions."""
        return subject.access.empty and runs_here(subject.setting.processor)

    def open(self, subject: Subject, found: Sequence[Candidate]) -> Weighing:
        """Build a library of all candidates and load it."""
        where = str(describe_machine()["cpu"])
        return TimedWeighing(subject, found, where, _timers(subject, found))


MEASURES.register(HostMeasure.name)(HostMeasure())
