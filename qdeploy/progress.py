"""Progress of long work, told to whoever asked: a terminal draws it, a notebook may ignore it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Progress", "ProgressEvent", "silent"]


@dataclass(frozen=True)
class ProgressEvent:
    """One step of a long computation.

    Attributes:
        stage: what is being done, in a few words ("column generation, output 3 of 10").
        completed: work done so far, in the unit of `total`.
        total: all the work, or None when it cannot be known.
        detail: figures worth showing beside the bar, e.g. ``{"gap": 0.012}``.
    """

    stage: str
    completed: float
    total: float | None = None
    detail: Mapping[str, float | str] = field(default_factory=dict)


Progress = Callable[[ProgressEvent], None]


def silent(event: ProgressEvent) -> None:
    """Ignore the event: the default of every long function."""
