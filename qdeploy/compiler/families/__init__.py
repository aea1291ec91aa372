"""Families of targets as the compiler sees them: how their artifacts are built."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.manifest import Manifest
from qdeploy.compiler.selection import Selection
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.progress import Progress
from qdeploy.registry import Registry
from qdeploy.targets import Target

if TYPE_CHECKING:
    from qdeploy.compiler.isa import InstructionSet
    from qdeploy.compiler.lowering import Processor
    from qdeploy.compiler.plan import Evaluate

__all__ = ["FAMILIES", "Family", "Goal", "KernelSetting", "Options"]

Goal = Literal["speed", "size", "balanced"]


@dataclass(frozen=True)
class Options:
    """What a caller may ask of the compiler; None, or False, where nothing was asked.

    Attributes:
        optimize: fewest cycles, least flash, or the least product of both.
        max_flash: bytes of flash that the model may take.
        max_ram: bytes of RAM that the model may take, its stack, input and output included.
        toolchain: C compiler of a board.
        front: whether raw features are taken too.
        selection: kernels that a tuner chose.

    Raises:
        QDeployError: a goal that there is not, or a limit that is no positive number.
    """

    optimize: Goal | None = None
    max_flash: int | None = None
    max_ram: int | None = None
    toolchain: str | None = None
    front: bool = False
    selection: Selection | None = None

    def __post_init__(self) -> None:
        goals = get_args(Goal)
        if self.optimize is not None and self.optimize not in goals:
            raise QDeployError(
                f"optimize is {self.optimize!r}, but must be one of {', '.join(goals)}"
            )
        for name, limit in (("max_flash", self.max_flash), ("max_ram", self.max_ram)):
            if limit is not None and limit <= 0:
                raise QDeployError(f"{name} is {limit}, but must be a positive number of bytes")

    @property
    def limited(self) -> bool:
        """Whether there is a limit of memory."""
        return self.max_flash is not None or self.max_ram is not None


@dataclass(frozen=True, eq=False)
class KernelSetting:
    """What the kernels of a target are written for, and how its family weighs them.

    Attributes:
        processor: what TVM's LLVM compiles for.
        isa: what kernel forms may use.
        evaluate: weighs candidates; None for counted operations.
    """

    processor: "Processor"
    isa: "InstructionSet"
    evaluate: "Evaluate | None"


class Family(Protocol):
    """A family of targets.

    Attributes:
        name: as in target files.
    """

    name: str

    def build(
        self,
        model: Model,
        target: Target,
        folder: Path,
        options: Options,
        real: NDArray[np.int8] | None,
        progress: Progress,
    ) -> Manifest:
        """Fill an empty folder and give its manifest, which is not written yet.

        Raises:
            QDeployError: the target or an option does not suit, or an implementation differs.
        """
        ...

    def setting(self, target: Target, toolchain: str | None = None) -> KernelSetting | None:
        """What plans for a target rest on; None where the family leaves a tuner nothing to do.

        Args:
            target: of the family.
            toolchain: C compiler of a board; None for the family's own choice.

        Raises:
            QDeployError: LLVM does not know the processor, or a compiler is missing.
        """
        ...


FAMILIES: Registry[Family] = Registry("family of targets", __name__)
