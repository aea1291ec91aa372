"""This machine: candidates in one library, called from C, timed in turns."""

import ctypes
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qdeploy.benchmark.harness import BatchState, HarnessTimer, PredictState
from qdeploy.benchmark.machine import describe_machine
from qdeploy.benchmark.timing import Estimate, Samples, Schedule, interleave
from qdeploy.compiler.candidates import write_candidates
from qdeploy.compiler.plan import Candidate
from qdeploy.compiler.processor import runs_here
from qdeploy.native import build_shared
from qdeploy.runners.host import load_private
from qdeploy.tuning.measures import BATCH_ROWS, MEASURES, Measure, Subject, Weighing

__all__ = ["HostMeasure"]

_POOL = 64
"""Inputs that calls take in turn."""

_RACE = 4
"""How many times the time of a candidate each of the two in a race gets."""


class _HostWeighing(Weighing):
    def __init__(self, subject: Subject, found: Sequence[Candidate]) -> None:
        self._subject = subject
        self.where = str(describe_machine()["cpu"])
        self._rows = [1 if each.use == "single" else BATCH_ROWS for each in found]
        with tempfile.TemporaryDirectory(prefix="qdeploy-tune-") as temporary:
            folder = Path(temporary)
            written = write_candidates(found, subject.setting.processor, folder)
            path = folder / "libcandidates.so"
            build_shared([written.source, written.kernels], path)
            library = load_private(path)
        network = subject.network
        rng = np.random.default_rng(0)
        self._timers: dict[int, HarnessTimer] = {}
        for number, (symbol, rows) in enumerate(zip(written.symbols, self._rows, strict=True)):
            shape = (_POOL, rows, network.inputs)
            x = rng.integers(-128, 128, shape, dtype=np.int8)
            scores = np.empty((rows, network.outputs), dtype=network.score_dtype)
            address = ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
            fields = (address, x.ctypes.data, rows * network.inputs, scores.ctypes.data)
            single = rows == 1
            state = PredictState(*fields) if single else BatchState(*fields, rows)
            step = "step_predict" if single else "step_batch"
            self._timers[number] = HarnessTimer(step, state, _POOL, (x, scores, library))

    def costs(self) -> list[Estimate]:
        samples = self._measure(list(self._timers), self._subject.seconds, "tuning")
        return [self._each(number, taken) for number, taken in samples.items()]

    def ratio(self, first: int, second: int) -> Estimate:
        samples = self._measure([first, second], _RACE * self._subject.seconds, "racing")
        return samples[first].ratio_to(samples[second])

    def _measure(self, numbers: Sequence[int], seconds: float, stage: str) -> dict[int, Samples]:
        timers = {number: self._timers[number] for number in numbers}
        return interleave(timers, Schedule(seconds), stage=stage, progress=self._subject.progress)

    def _each(self, number: int, taken: Samples) -> Estimate:
        median, rows = taken.quantile(0.5), self._rows[number]
        return Estimate(median.value / rows, median.low / rows, median.high / rows)


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
        return _HostWeighing(subject, found)


MEASURES.register(HostMeasure.name)(HostMeasure())
