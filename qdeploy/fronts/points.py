"""Points of a front, and which of them no other point makes pointless."""

from collections.abc import Sequence
from dataclasses import dataclass

from qdeploy.benchmark.timing import Estimate
from qdeploy.model import Model

__all__ = ["Front", "FrontPoint", "not_dominated"]


@dataclass(frozen=True, eq=False)
class FrontPoint:
    """One trained model: what it costs and how good it is.

    Attributes:
        label: its name in table and drawing.
        neurons: of the network, None for a model without.
        inputs: int8 inputs.
        bytes: of weights and biases as deployed.
        operations: additions and multiply-accumulates of one inference in the cheapest form.
        quality: accuracy or R² on the held-out rows, with its interval of 95 %.
        train_score: the same on the training rows.
        loss: training loss a row of weight one, None for a model of another loss.
        model: the network, None for a model that is none.
    """

    label: str
    neurons: int | None
    inputs: int
    bytes: int
    operations: int
    quality: Estimate
    train_score: float
    loss: float | None
    model: Model | None


@dataclass(frozen=True, eq=False)
class Front:
    """All points, the networks from the narrowest to the widest, then what they are held against.

    Attributes:
        data: source of the data.
        metric: "accuracy" or "r2".
        note: what the intervals are of.
        points: the points.
        complete: whether every width was trained.
    """

    data: str
    metric: str
    note: str
    points: tuple[FrontPoint, ...]
    complete: bool


def not_dominated(points: Sequence[FrontPoint]) -> list[bool]:
    """Of each point, whether none is at least as good and as cheap in all, and better in one."""

    def figures(point: FrontPoint) -> tuple[float, float, float]:
        return (-point.quality.value, point.bytes, point.operations)

    def beats(one: FrontPoint, other: FrontPoint) -> bool:
        pairs = list(zip(figures(one), figures(other), strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    return [not any(beats(other, point) for other in points) for point in points]
