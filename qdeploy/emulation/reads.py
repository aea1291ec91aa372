"""What a call reads of slow memory, line by line: the part that a cache would not hold.

The cache is fully associative with least recently used replacement; the call is one of many equal
ones, so what the last one left in the cache is still there.
"""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

__all__ = ["LINE", "Reads"]

LINE = 16
"""Bytes of a line: flash memories of microcontrollers give 8 to 32 at once."""


class Reads:
    """The lines that one of many equal calls reads.

    Args:
        starts: (n,) first addresses of the reads, in order.
        sizes: (n,) their bytes.
        line: bytes of a line.
    """

    def __init__(
        self, starts: NDArray[np.int64], sizes: NDArray[np.int64], line: int = LINE
    ) -> None:
        self.line = line
        first, last = starts // line, (starts + sizes - 1) // line
        lengths = last - first + 1
        # Every line of every read: the first line of each read, and on to its last.
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        lines = np.repeat(first, lengths) + offsets
        changed = np.concatenate([[True], lines[1:] != lines[:-1]]) if lines.size else lines > 0
        self._trace = lines[changed]
        self._missed: dict[int, tuple[int, int]] = {}

    @property
    def footprint(self) -> int:
        """Bytes of all lines that are read at all."""
        return int(np.unique(self._trace).size) * self.line

    def misses(self, cache: int) -> tuple[int, int]:
        """Lines that a cache does not hold, and those of them that no prefetch has.

        Args:
            cache: its bytes; with 0, only the line that was read last is at hand.

        Returns:
            Missed lines, and how many of these do not follow the line that was read before.
        """
        if cache >= self.footprint:
            return 0, 0
        lines = max(cache // self.line, 1)
        if lines not in self._missed:
            self._missed[lines] = self._misses(lines)
        return self._missed[lines]

    def _misses(self, lines: int) -> tuple[int, int]:
        """Misses in the second of two equal passes."""
        trace = self._trace.tolist()
        held: OrderedDict[int, None] = OrderedDict()
        missed = jumps = 0
        previous = trace[-1]
        for counted in (False, True):
            for line in trace:
                if line in held:
                    held.move_to_end(line)
                else:
                    held[line] = None
                    if len(held) > lines:
                        held.popitem(last=False)
                    if counted:
                        missed += 1
                        jumps += line != previous + 1
                previous = line
        return missed, jumps
