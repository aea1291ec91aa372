"""Where to write the names of points: near each, on no point, on no other name."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Box", "place_labels"]

DIRECTIONS = 16
GAPS = (3.0, 9.0, 17.0, 28.0, 42.0, 60.0)
"""Points between the edge of a mark and its name, the nearest first."""


@dataclass(frozen=True)
class Box:
    """A rectangle; lengths are points (1/72 inch)."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "Box") -> float:
        """Area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return width * height if width > 0 and height > 0 else 0.0

    @property
    def area(self) -> float:
        """Width times height."""
        return (self.right - self.left) * (self.top - self.bottom)

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> "Box":
        """The rectangle with that centre and these sides."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    order: Sequence[int],
    mark: float,
    lines: Sequence[Box] = (),
) -> list[tuple[float, float]]:
    """Offsets of the centres of the names from their points.

    One name after the other takes the place that hides least, the nearest of equals.

    Args:
        points: (x, y) of each.
        sizes: width and height of each name.
        frame: names stay inside.
        order: who chooses first.
        mark: width of the mark of a point.
        lines: what else should stay visible.
    """
    marks = [Box.around(x, y, mark, mark) for x, y in points]
    taken: list[Box] = []
    offsets = [(0.0, 0.0)] * len(points)
    for index in order:
        (x, y), (width, height) = points[index], sizes[index]
        candidates = list(_candidates(width, height, mark))
        boxes = [Box.around(x + right, y + up, width, height) for right, up in candidates]
        hidden = [_hidden(box, frame, (*taken, *marks, *lines)) for box in boxes]
        # The first of equals is the nearest.
        best = hidden.index(min(hidden))
        offsets[index] = candidates[best]
        right, up = candidates[best]
        taken.append(Box.around(x + right, y + up, width + 4, height + 2))
    return offsets


def _hidden(box: Box, frame: Box, others: Sequence[Box]) -> float:
    """What a name in that place would hide, weighted; what is outside the frame cannot be read."""
    outside = box.area - box.overlap(frame)
    return round(3 * outside + sum(box.overlap(other) for other in others), 6)


def _candidates(width: float, height: float, mark: float) -> Iterator[tuple[float, float]]:
    """Offsets around a point, from near to far; right and left come first at each distance."""
    for gap in GAPS:
        for step in sorted(range(DIRECTIONS), key=_sideways):
            angle = 2 * math.pi * step / DIRECTIONS
            across, up = math.cos(angle), math.sin(angle)
            reach = mark / 2 + gap
            yield (
                across * reach + math.copysign(width / 2, across) * min(1.0, 1.6 * abs(across)),
                up * (reach + height / 2),
            )


def _sideways(step: int) -> float:
    return -abs(math.cos(2 * math.pi * step / DIRECTIONS)) + 1e-6 * step
