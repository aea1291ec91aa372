"""Sources of energy figures, one module each; the target says which is preferred."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from qdeploy.benchmark.figures import Obtained
from qdeploy.benchmark.timing import Estimate, Timer
from qdeploy.registry import Registry
from qdeploy.targets import Power

__all__ = ["METERS", "EnergyReading", "Load", "Meter", "choose_meter"]


@dataclass(frozen=True)
class Load:
    """What draws the energy.

    Attributes:
        timer: one call is one inference.
        latency: median seconds a call, as it was measured.
        threads: cores that a call keeps busy.
        seconds: how long a meter may run it.
        power: of a busy core or board of the target; None where nothing is known of it.
    """

    timer: Timer
    latency: Estimate
    threads: int
    seconds: float
    power: Power | None


@dataclass(frozen=True)
class EnergyReading:
    """Energy of one inference in joules, with its interval and how it was obtained."""

    joules: Estimate
    obtained: Obtained
    note: str


class Meter(ABC):
    """A way of finding the energy of one inference.

    Attributes:
        name: name in the registry.
    """

    name: str

    @abstractmethod
    def obstacle(self) -> str | None:
        """Why it cannot be used here, in a few words; None when it can."""

    @abstractmethod
    def measure(self, load: Load) -> EnergyReading:
        """Energy of one inference."""


METERS: Registry[Meter] = Registry("meter", "qdeploy.benchmark.meters")


def choose_meter(names: Sequence[str]) -> tuple[Meter | None, tuple[str, ...]]:
    """The first meter that works here, or None, and why those before it were passed over.

    Args:
        names: meters in order of preference.
    """
    reasons: list[str] = []
    for meter in (METERS[name] for name in names):
        obstacle = meter.obstacle()
        if obstacle is None:
            return meter, tuple(reasons)
        reasons.append(f"{meter.name}: {obstacle}")
    return None, tuple(reasons)
