"""Where candidates are weighed, one module each: this machine, a board, a pool, a model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qdeploy.benchmark.timing import Estimate
from qdeploy.compiler.families import KernelSetting
from qdeploy.compiler.plan import Candidate
from qdeploy.errors import QDeployError
from qdeploy.network import QuantizedNetwork
from qdeploy.progress import Progress
from qdeploy.registry import Registry
from qdeploy.targets import Target

__all__ = [
    "BATCH_ROWS",
    "MEASURES",
    "NO_BOARD",
    "Access",
    "Measure",
    "Subject",
    "Weighing",
    "choose_measure",
]

BATCH_ROWS = 48
"""Samples of a batch that is timed: a multiple of every tile."""


@dataclass(frozen=True)
class Access:
    """How a board is reached; all None where there is none.

    Attributes:
        host: ``user@host[:port]`` for ssh.
        identity: private key file.
        accept_new_host_key: whether an unknown host's key is taken.
        rpc: ``host:port[/key]`` of TVM's RPC server or tracker.
    """

    host: str | None = None
    identity: Path | None = None
    accept_new_host_key: bool = False
    rpc: str | None = None

    @property
    def empty(self) -> bool:
        """Whether no board is named."""
        return self.host is None and self.rpc is None


NO_BOARD = Access()
"""Nothing is reached."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What is tuned.

    Attributes:
        network: what the candidates compute.
        setting: what they were written for, and how the compiler weighs them.
        target: the target.
        access: how its board is reached.
        toolchain: C compiler of a board; None for its family's own choice.
        seconds: for each candidate, where a clock measures.
        progress: told of every candidate.
    """

    network: QuantizedNetwork
    setting: KernelSetting
    target: Target
    access: Access
    toolchain: str | None
    seconds: float
    progress: Progress


class Measure(ABC):
    """Weighs candidates.

    Attributes:
        name: name in the registry.
        obtained: what costs are.
        unit: of costs.
    """

    name: str
    obtained: Literal["measured", "estimated"]
    unit: Literal["s", "cycles"]

    @abstractmethod
    def suits(self, subject: Subject) -> bool:
        """Whether it weighs for this target as the caller reaches it."""

    @abstractmethod
    def open(self, subject: Subject, found: Sequence[Candidate]) -> "Weighing":
        """Build the candidates and get them ready.

        Raises:
            QDeployError: they cannot run there.
        """


class Weighing(ABC):
    """Candidates that are ready; a context manager.

    Attributes:
        where: machine or model, in words.
    """

    where: str

    @abstractmethod
    def costs(self) -> list[Estimate]:
        """Cost of one sample of each candidate, in the order of the candidates."""

    @abstractmethod
    def ratio(self, first: int, second: int) -> Estimate:
        """Cost of one candidate over that of another, measured anew in turns."""

    def __enter__(self) -> "Weighing":
        return self

    def __exit__(self, *_: object) -> None:
        """Release what `open` acquired, which is nothing unless a measure says so."""
        return


MEASURES: Registry[Measure] = Registry("measure of the tuner", __name__)


def choose_measure(subject: Subject) -> Measure:
    """The measure for a target as the caller reaches it; a clock before a model.

    Raises:
        QDeployError: there is none.
    """
    suited = [measure for measure in MEASURES.values() if measure.suits(subject)]
    if not suited:
        raise QDeployError(
            f"kernels for target {subject.target.name!r} cannot be timed: this machine cannot run "
            "them, and no board was named; name one with --host or --rpc"
        )
    return min(suited, key=lambda measure: measure.obtained != "measured")
