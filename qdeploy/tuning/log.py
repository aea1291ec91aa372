"""The log of a search: what was tried where, what it cost, what was taken, and the last race."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qdeploy.compiler.selection import Pick, Selection, Use
from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.network import QuantizedNetwork
from qdeploy.targets import Target

__all__ = ["Race", "Trial", "TuningLog", "network_digest", "read_log"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(_Table):
    """One candidate and what it cost.

    Attributes:
        use: single samples or batches.
        pick: which candidate.
        cost: of one sample, in the log's unit.
        low: lower end of its interval.
        high: upper end.
    """

    use: Use
    pick: Pick
    cost: Positive
    low: Positive
    high: Positive


class Race(_Table):
    """The fastest candidate against the default, measured anew in turns.

    Attributes:
        use: single samples or batches.
        default: what the compiler takes by itself.
        fastest: the fastest of the search.
        ratio: cost of the fastest over that of the default.
        low: lower end of its interval.
        high: upper end.
        taken: whether the fastest was taken: only where the whole interval lies below one.
    """

    use: Use
    default: Pick
    fastest: Pick
    ratio: Positive
    low: Positive
    high: Positive
    taken: bool

    @property
    def winner(self) -> Pick:
        """What is compiled."""
        return self.fastest if self.taken else self.default


class TuningLog(_Table):
    """All of a search.

    Attributes:
        format: version of this layout.
        network: SHA-256 of the network's integers.
        target: name of the target.
        triple, processor: what LLVM compiled for.
        features: LLVM's features of it.
        measure: how costs were found.
        obtained: "measured" on a clock or "estimated" by a model.
        where: machine or model, in words.
        unit: of the costs: "s" or "cycles".
        versions: of what made the code.
        started: ISO 8601, UTC.
        trials: every candidate that was tried.
        races: one for each use, single samples first.
    """

    format: Literal[1] = 1
    network: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    target: str
    triple: str
    processor: str
    features: tuple[str, ...]
    measure: str
    obtained: Literal["measured", "estimated"]
    where: str
    unit: Literal["s", "cycles"]
    versions: dict[str, str]
    started: str
    trials: tuple[Trial, ...]
    races: Annotated[tuple[Race, ...], Field(min_length=2, max_length=2)]

    def text(self) -> str:
        """The log as it is kept."""
        return self.model_dump_json(indent=2) + "\n"

    def selection(self) -> Selection:
        """What to compile."""
        single, batch = self.races
        return Selection(single.winner, batch.winner, self.text())

    def check(self, model: Model, target: Target) -> None:
        """See that the log is of this network and target.

        Args:
            model: what is to be compiled.
            target: what it is to be compiled for.

        Raises:
            QDeployError: it is of another one.
        """
        for what, own, wanted in (
            ("target", self.target, target.name),
            ("network", self.network, network_digest(model.network)),
        ):
            if own != wanted:
                raise QDeployError(
                    f"the tuning log is of another {what} ({own[:16]}, not {wanted[:16]}); "
                    "tune again with --tune"
                )


def network_digest(network: QuantizedNetwork) -> str:
    """SHA-256 of all integers of a network, in hexadecimal digits."""
    digest = hashlib.sha256()
    for layer in network.layers:
        for name, value in sorted(vars(layer).items()):
            digest.update(f"{layer.kind} {name} {value.dtype} {value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def read_log(path: Path) -> TuningLog:
    """A log from a file.

    Raises:
        QDeployError: it cannot be read, or is none.
    """
    try:
        return TuningLog.model_validate_json(path.read_bytes())
    except OSError as error:
        raise QDeployError(
            f"{path} cannot be read ({error.strerror}); name the tuning.json of an artifact that "
            "was compiled with --tune"
        ) from None
    except ValidationError as error:
        first: Any = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise QDeployError(
            f"{path} is no tuning log ({where}: {first['msg']}); make one with: "
            "qdeploy compile MODEL --tune"
        ) from None
