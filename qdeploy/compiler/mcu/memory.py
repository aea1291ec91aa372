"""The static memory plan: scratch arrays whose lifetimes do not meet share a slot of the arena."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qdeploy.compiler.kernel import Scratch

__all__ = ["ArenaPlan", "plan_arena"]

_ALIGNMENT = 8


@dataclass(frozen=True)
class ArenaPlan:
    """How the scratch arrays of a kernel lie in one arena.

    Attributes:
        slots: the arrays of each slot; those of one slot are never in use together.
    """

    slots: tuple[tuple[Scratch, ...], ...]

    @property
    def bytes(self) -> int:
        """Size of the arena: every slot is as large as its largest array, in whole words of 8."""
        return sum(
            -(-max(item.bytes for item in slot) // _ALIGNMENT) * _ALIGNMENT for slot in self.slots
        )


def plan_arena(scratch: Sequence[Scratch]) -> ArenaPlan:
    """Put arrays into slots, the largest first, each into the first slot where it is alone in time.

    Optimal where lifetimes nest or do not meet at all, as those of the kernel forms do.
    """
    slots: list[list[Scratch]] = []
    for item in sorted(scratch, key=lambda each: (-each.bytes, each.name)):
        free = (slot for slot in slots if not any(_meet(item, other) for other in slot))
        slot = next(free, None)
        if slot is None:
            slots.append([item])
        else:
            slot.append(item)
    # Wide elements first: no padding between the slots.
    slots.sort(key=lambda slot: -max(np.dtype(item.dtype).itemsize for item in slot))
    return ArenaPlan(tuple(tuple(slot) for slot in slots))


def _meet(one: Scratch, other: Scratch) -> bool:
    if one.stages is None or other.stages is None:
        return True
    return one.stages[0] <= other.stages[1] and other.stages[0] <= one.stages[1]
