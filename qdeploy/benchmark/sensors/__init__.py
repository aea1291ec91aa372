"""Power sensors that boards have of their own, one module each, read where the program runs.

A sensor says what a shell on the board has to print for one reading, and what a reading means.
Readings are taken by one shell on the board itself, so that the network is in no figure
(`qdeploy.benchmark.sensors.recording`). What a board's sensors cover is theirs to say: some see
the supply, some only what is behind a regulator.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qdeploy.errors import QDeployError
from qdeploy.registry import Registry

if TYPE_CHECKING:
    from qdeploy.remote import Place

__all__ = ["SENSORS", "Files", "Probe", "Sensor", "find_probe", "shell"]

COMMAND_SECONDS = 10.0


class Probe(ABC):
    """A sensor that was found on a board.

    Attributes:
        title: which one, in a few words.
        covers: what its figures are of.
        statements: of a POSIX shell; what they print on one line is one reading.
        quantity: whether a reading is watts now, or joules since some moment.
    """

    title: str
    covers: str
    statements: str
    quantity: Literal["watts", "joules"] = "watts"

    @abstractmethod
    def value(self, text: str) -> float | None:
        """A reading in watts or joules; None where the text is none."""

    def step(self, before: float, after: float) -> float:
        """Joules from one reading of a counter to the next."""
        return after - before


class Sensor(ABC):
    """A kind of sensor.

    Attributes:
        name: name in the registry.
    """

    name: str

    @abstractmethod
    def find(self, place: "Place") -> Probe | None:
        """The sensor of this kind on a board; None where it has none that can be read."""


SENSORS: Registry[Sensor] = Registry("power sensor", __name__)


@dataclass(frozen=True)
class Files:
    """Numbers in files, as a probe of several kinds reads them.

    Attributes:
        paths: of the files.
    """

    paths: Sequence[str]

    @property
    def statements(self) -> str:
        """Shell that prints their numbers on a line, without starting a process."""
        reads = [f"read v{i} < {path} || v{i}=x" for i, path in enumerate(self.paths)]
        return "; ".join([*reads, 'echo "' + " ".join(f"$v{i}" for i in range(len(reads))) + '"'])

    def numbers(self, text: str) -> list[float] | None:
        """The numbers of such a line; None where one is none."""
        words = text.split()
        try:
            return [float(word) for word in words] if len(words) == len(self.paths) else None
        except ValueError:
            return None


def find_probe(place: "Place", names: Sequence[str]) -> Probe | None:
    """The first sensor that a board has; None where it has none.

    Args:
        place: the board.
        names: of sensors, in order of preference.
    """
    return next((probe for name in names if (probe := SENSORS[name].find(place))), None)


def shell(place: "Place", script: str) -> str:
    """What a script prints on the board; empty where it has no shell, or the script fails."""
    try:
        return place.command(["sh", "-c", script], COMMAND_SECONDS)
    except QDeployError:
        return ""
