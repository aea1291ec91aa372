"""What a user would otherwise deploy on a 64-bit ARM board with Linux, one module each.

One convention for all that are compiled, and for qdeploy: a call takes rows as the implementation
wants them and gives scores or class numbers. Turning raw features into rows, and scores into
labels, is the caller's part and is not counted for anybody.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import McuSubject
from qdeploy.benchmark.timing import Timer
from qdeploy.registry import Registry
from qdeploy.targets import ArmCore

if TYPE_CHECKING:
    from qdeploy.remote import Place

__all__ = ["ARM_PEERS", "ArmPeer", "ArmSubject", "BoardPeer", "BoardSubject", "CompiledPeer"]


@dataclass(frozen=True, eq=False)
class ArmSubject(McuSubject):
    """One implementation, ready to be built for a core; its entry takes one row.

    Attributes:
        prefix: of `int PREFIX_predict(const T *x, S *scores)` and `int PREFIX_predict_batch(const T
            *x, size_t rows, S *scores)`, which return 0; empty where batches have functions of
            their own.
        fixed: functions for exactly so many rows, each built by itself.
        library: the shared library, where it is ready-made.
        bench_program: the program that times it on a board, where it is ready-made.
    """

    prefix: str = ""
    fixed: Mapping[int, McuSubject] = field(default_factory=dict)
    library: Path | None = None
    bench_program: Path | None = None

    @property
    def batch(self) -> str:
        """The function for any number of rows."""
        return f"{self.prefix}_predict_batch"

    @property
    def exports(self) -> list[str]:
        """Functions of its library."""
        more = [f"{self.prefix}_predict", self.batch] if self.prefix else []
        return list(dict.fromkeys([self.entry, *more]))


@dataclass(frozen=True, eq=False)
class BoardSubject:
    """An implementation that only a board can run.

    Attributes:
        name: short identifier of the implementation.
        title: a few words for tables and plots.
        note: what it is and how it is called.
        timers: by batch size.
    """

    name: str
    title: str
    note: str
    timers: Mapping[int, Timer]


class ArmPeer(ABC):
    """One way of computing the predictions on a board.

    Attributes:
        name: `implementation` of its figures.
    """

    name: str

    @abstractmethod
    def obstacle(self, context: Context, place: "Place | None") -> str | None:
        """Why it cannot take part, in a few words; None when it can.

        Args:
            context: model and rows.
            place: the board, or None where there is none.
        """


class CompiledPeer(ArmPeer):
    """A peer that is compiled, and counted with or without a board."""

    @abstractmethod
    def prepare(
        self, context: Context, core: ArmCore, batches: Sequence[int], folder: Path
    ) -> ArmSubject:
        """Fit it on the training rows and generate its code.

        Args:
            context: model and rows.
            core: what it is compiled for.
            batches: batch sizes.
            folder: for objects; one of its own.
        """


class BoardPeer(ArmPeer):
    """A peer that comes with the board's own software."""

    @abstractmethod
    def prepare(
        self, context: Context, place: "Place", batches: Sequence[int], folder: Path
    ) -> BoardSubject:
        """Get it ready there, and compare its scores with the model's.

        Args:
            context: model and rows.
            place: the board.
            batches: batch sizes.
            folder: for what is sent; one of its own.

        Raises:
            QDeployError: it gives other scores than the model.
        """


ARM_PEERS: Registry[ArmPeer] = Registry("ARM peer", "qdeploy.benchmark.peers_arm")
