"""Which candidates a plan consists of, by name: what a tuner chooses and its log repeats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qdeploy.errors import QDeployError

if TYPE_CHECKING:
    from qdeploy.compiler.plan import Candidate

__all__ = ["Pick", "Selection", "Use"]

Use = Literal["single", "batch"]


@dataclass(frozen=True)
class Pick:
    """Which candidate of a use.

    Attributes:
        form: name of the form.
        tile: samples computed together.
        vectors: vectors of neurons in a block of its loop.
    """

    form: str
    tile: int
    vectors: int


@dataclass(frozen=True)
class Selection:
    """Candidates that a tuner chose.

    Attributes:
        single: for one sample.
        batch: for many.
        log: text of the tuner's log, which the artifact keeps.
    """

    single: Pick
    batch: Pick
    log: str

    def among(self, found: "Sequence[Candidate]") -> "list[Candidate]":
        """The two candidates.

        Args:
            found: all candidates, in every size of block.

        Raises:
            QDeployError: one of them is not there, as with the log of another version.
        """
        wanted = {"single": self.single, "batch": self.batch}
        chosen = [candidate for candidate in found if candidate.pick == wanted[candidate.use]]
        if len(chosen) != len(wanted):
            raise QDeployError(
                "the tuning log names kernels that this version does not have for the network; "
                "tune again with --tune"
            )
        return chosen
