"""The two programs of an artifact, called from Python wherever they run."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.remote.place import Place
from qdeploy.runners import Interface, check_inputs

__all__ = [
    "BenchResult",
    "ProgramArtifact",
    "ProgramSession",
    "ProgramTimer",
    "checksum",
    "run_bench",
]

_KIBIBYTE = 1024


class ProgramArtifact(Protocol):
    """What a runner of programs needs to know of an artifact."""

    @property
    def interface(self) -> Interface:
        """How the model is called."""

    @property
    def run_program(self) -> Path:
        """NAME-run."""


class ProgramSession:
    """NAME-run at a place; a `qdeploy.runners.Session`.

    Args:
        place: where it runs; closed by `close`.
        program: NAME-run.
        interface: how the model is called.
    """

    def __init__(self, place: Place, program: Path, interface: Interface) -> None:
        self.place = place
        self._program = program
        self._interface = interface
        self._dtype = np.dtype(interface.score_type)

    def __call__(self, x: NDArray[np.int8]) -> NDArray[np.integer]:
        """Scores (n, K) of int8 inputs (n, d): one process whatever n is."""
        x = check_inputs(x, self._interface.inputs)
        shape = (len(x), self._interface.outputs)
        expected = shape[0] * shape[1] * self._dtype.itemsize
        output = self.place.run(self._program, data=x.tobytes()) if len(x) else b""
        if len(output) != expected:
            raise QDeployError(
                f"{self._program.name} gave {len(output)} bytes on {self.place.title} for {len(x)} "
                f"rows, not {expected}; look whether a start-up file of the shell there prints"
            )
        scores = np.frombuffer(output, dtype=self._dtype.newbyteorder("<")).reshape(shape)
        return scores.astype(self._dtype)

    def close(self) -> None:
        """Close the place."""
        self.place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, eq=False)
class BenchResult:
    """What a bench program tells.

    Attributes:
        batch: rows a call.
        inputs: different inputs of calls, taken in turn.
        calls: calls a group.
        seconds: mean seconds a call of each group, (groups,).
        clock_cost: seconds that one reading of the clock takes.
        loop_cost: seconds a call that the loop itself adds.
        peak_resident_bytes: largest resident set of the process, inputs included.
        checksum: of the scores of all inputs in order, as `checksum` gives it.
    """

    batch: int
    inputs: int
    calls: int
    seconds: NDArray[np.float64]
    clock_cost: float
    loop_cost: float
    peak_resident_bytes: int
    checksum: str


def run_bench(
    place: Place,
    program: Path,
    inputs: bytes,
    *,
    batch: int = 1,
    calls: int = 1,
    groups: int = 1,
    warm_seconds: float = 0.0,
    timeout: float | None = None,
) -> BenchResult:
    """Run a bench program.

    Args:
        place: where.
        program: NAME-bench, or that of a peer.
        inputs: rows, a multiple of `batch` of them.
        batch: rows a call.
        calls: calls a group.
        groups: groups.
        warm_seconds: seconds to run before.
        timeout: seconds that it may take; None for any.

    Raises:
        QDeployError: it fails, or the place cannot be reached.
    """
    options = {
        "--inputs": "-",
        "--batch": str(batch),
        "--calls": str(calls),
        "--groups": str(groups),
        "--warm": repr(float(warm_seconds)),
    }
    words = [word for option in options.items() for word in option]
    return _result(place.run(program, words, inputs, timeout), program.name, place.title)


class ProgramTimer:
    """A bench program as a timer of the benchmark: each measurement is one process.

    Attributes:
        last: what the last measurement told; None before the first.

    Args:
        place: where it runs.
        program: the bench program.
        inputs: rows, a multiple of `batch` of them.
        batch: rows a call.
    """

    def __init__(self, place: Place, program: Path, inputs: bytes, batch: int = 1) -> None:
        self._place = place
        self._program = program
        self._inputs = inputs
        self._batch = batch
        self.last: BenchResult | None = None

    def measure(self, calls: int, groups: int, warm_seconds: float = 0.0) -> NDArray[np.float64]:
        """Mean seconds a call of each group, (groups,), after warming up."""
        self.last = run_bench(
            self._place,
            self._program,
            self._inputs,
            batch=self._batch,
            calls=calls,
            groups=groups,
            warm_seconds=warm_seconds,
        )
        return self.last.seconds


def checksum(scores: NDArray[np.generic] | bytes) -> str:
    """64-bit FNV-1a of the bytes of scores, in hexadecimal digits.

    Source: draft-eastlake-fnv, section 2 (the algorithm) and 5 (its constants).
    """
    data = scores if isinstance(scores, bytes) else np.ascontiguousarray(scores).tobytes()
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def _result(text: bytes, program: str, title: str) -> BenchResult:
    try:
        told: dict[str, Any] = json.loads(text)
        return BenchResult(
            batch=told["batch"],
            inputs=told["inputs"],
            calls=told["calls"],
            seconds=np.array(told["seconds"], dtype=np.float64),
            clock_cost=told["clock_cost"],
            loop_cost=told["loop_cost"],
            peak_resident_bytes=told["peak_resident_kibibytes"] * _KIBIBYTE,
            checksum=told["checksum"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise QDeployError(
            f"{program} printed no result on {title} ({error}); build it again with this qdeploy"
        ) from None
