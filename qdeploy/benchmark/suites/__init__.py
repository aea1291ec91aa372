"""How the targets of each family are measured and shown, one module a family.

`qdeploy.benchmark.bench` finds the suite by the family of the target; the report and the terminal
find it by the family that a benchmark names.
"""

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from qdeploy.benchmark.metering import Metering
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.data.dataset import Dataset
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.progress import Progress, silent
from qdeploy.registry import Registry
from qdeploy.targets import Target

if TYPE_CHECKING:
    from qdeploy.benchmark.report import ReportSection
    from qdeploy.benchmark.report.parts import Presentation
    from qdeploy.compiler import Artifact
    from qdeploy.compiler.families import Goal
    from qdeploy.remote import Place

__all__ = ["OWN", "SUITES", "Duty", "HostAccess", "Request", "Suite", "compiled", "now"]

OWN = "qdeploy"
"""The implementation that always takes part."""


@dataclass(frozen=True)
class Duty:
    """What a battery must last for; None for what the benchmark definition says.

    Attributes:
        milliampere_hours: capacity of the battery.
        rate: inferences a second.
        volts: of the battery.

    Raises:
        QDeployError: one of them is not positive and finite.
    """

    milliampere_hours: float | None = None
    rate: float | None = None
    volts: float | None = None

    def __post_init__(self) -> None:
        for what, number in vars(self).items():
            if number is not None and not 0 < number < math.inf:
                name = what.replace("_", " ")
                raise QDeployError(f"{name} of a battery must be positive, not {number:g}")


@dataclass(frozen=True)
class HostAccess:
    """A board with Linux that an ssh server runs on.

    Attributes:
        address: ``user@host[:port]``.
        identity: private key file; None for those that ssh would take.
        accept_new_host_key: whether the key of a host that is not known yet is taken.
    """

    address: str
    identity: Path | None = None
    accept_new_host_key: bool = False

    def open(self) -> "Place":
        """Connect.

        Raises:
            QDeployError: the board cannot be reached, or is no 64-bit ARM.
        """
        from qdeploy.remote import SshPlace

        return SshPlace(
            self.address,
            identity=self.identity,
            accept_new_host_key=self.accept_new_host_key,
        )


@dataclass(frozen=True, eq=False)
class Request:
    """What a caller wants measured.

    Attributes:
        model: a model, or its artifact.
        target: where.
        dataset: training and test rows, or None.
        peers: implementations beside qdeploy's; None for those that the definition names.
        seconds: for each measurement on a clock; None for the definition's.
        duty: what a battery must last for, or None.
        port: serial port of a board, or None.
        metering: what measures the energy of that board; None for what happens to be connected.
        optimize: what a model is compiled for, or None for what its family does by itself.
        host: a board that is reached by ssh, or None.
        rpc: ``host:port[/key]`` of TVM's RPC server or tracker, or None.
        progress: told about each step.
    """

    model: "Model | Artifact"
    target: Target
    dataset: tuple[Dataset, Dataset] | None = None
    peers: tuple[str, ...] | None = None
    seconds: float | None = None
    duty: Duty | None = None
    port: str | None = None
    metering: Metering | None = None
    optimize: "Goal | None" = None
    host: HostAccess | None = None
    rpc: str | None = None
    progress: Progress = silent


class Suite(ABC):
    """How the targets of one family are measured, and how the outcome is shown.

    Attributes:
        family: of targets.
        options: which of `seconds`, `duty`, `port`, `metering`, `optimize`, `host` and `rpc` mean
            something here.
        columns: headings of the terminal's table by metric, in order.
        peers: what can be measured beside qdeploy.
    """

    family: str
    peers: ClassVar[Registry[Any]]
    options: ClassVar[frozenset[str]]
    columns: ClassVar[Mapping[str, str]]

    @abstractmethod
    def measure(self, request: Request) -> BenchmarkReport:
        """Figures of the model beside its alternatives.

        Raises:
            QDeployError: a peer that was named cannot take part, or the model's own code gives
                other scores than the model.
        """

    @abstractmethod
    def present(self, section: "ReportSection") -> "Presentation":
        """Headline figures, drawings and tables of the report."""


SUITES: Registry[Suite] = Registry("benchmark suite", __name__)


def compiled(request: Request, stack: ExitStack) -> "Artifact":
    """The artifact of a request; a model is compiled into a folder that goes with the stack."""
    if not isinstance(request.model, Model):
        return request.model
    from qdeploy.compiler import compile_model

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qdeploy-bench-")))
    return compile_model(
        request.model,
        request.target,
        folder / "artifact",
        optimize=request.optimize,
        progress=request.progress,
    )


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
