"""How a norm bound is proven by cutting planes, on the whole cube or on the leaves of a tree.

A leaf is a part of all sign pairs (u, v): where `fixed` is +1, u_i = v_i; where it is -1,
u_i = -v_i; where it is 0, either. Leaves that are disjoint and together everything prove the
largest of their bounds for the norm. What a leaf proves is in docs/certificate.md.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["CutProof", "TreeMethod"]

TreeMethod = Literal["cutting-planes", "branch-and-bound"]


@dataclass(frozen=True, eq=False)
class CutProof:
    """Cuts with their weights, and a diagonal, for each leaf.

    Attributes:
        cuts: int16 (k, w), an odd number of entries each: ±(a + 1) for entry a of (u, v), 0 ≤ a <
            2d, with its sign; zeros fill up.
        weights: y ≥ 0, int64 (leaves, k).
        fixed: int8 (leaves, d) of -1, 0, 1.
        diagonals: z, int64 (leaves, d).
    """

    cuts: NDArray[np.int16]
    weights: NDArray[np.int64]
    fixed: NDArray[np.int8]
    diagonals: NDArray[np.int64]

    @property
    def norm_bound(self) -> int:
        """Largest Σz - Σy of the leaves."""
        pairs = zip(self.diagonals.tolist(), self.weights.tolist(), strict=True)
        return max(max(sum(z) - sum(y) for z, y in pairs), 0)

    @property
    def method(self) -> TreeMethod:
        """A single leaf is the whole cube."""
        return "cutting-planes" if len(self.fixed) == 1 else "branch-and-bound"
