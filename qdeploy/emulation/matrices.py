"""Products of bytes of AArch64's extension i8mm, which unicorn lacks: SMMLA, USDOT and the like.

The encodings and meanings are those of the Arm Architecture Reference Manual (DDI 0487): SMMLA,
UMMLA and USMMLA multiply matrices of 2×8 bytes, USDOT and SUDOT are dot products of four bytes
whose operands differ in sign.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["MatrixProduct", "decode_matrix"]

_MATRICES = {0x4E80A400: ("i1", "i1"), 0x6E80A400: ("u1", "u1"), 0x4E80AC00: ("u1", "i1")}
"""Types of both operands by the bits of `_THREE`: SMMLA, UMMLA, USMMLA."""

_DOTS = {0x0E809C00: ("u1", "i1")}
"""USDOT, without the bit of its width."""

_ELEMENT_DOTS = {0x0F80F000: ("u1", "i1"), 0x0F00F000: ("i1", "u1")}
"""USDOT and SUDOT by one element, without the bits of width and element."""

_THREE, _WIDE = 0xFFE0FC00, 1 << 30
_ELEMENT = 0xBFC0F400


@dataclass(frozen=True)
class MatrixProduct:
    """One such instruction.

    Attributes:
        kind: class of the pipeline model.
        types: numpy types of the bytes of both operands.
        target: vector that is added to.
        left: first operand.
        right: second operand.
        wide: whether all 128 bits count; the upper half of the target is zero otherwise.
        element: which group of four bytes of the second operand all are multiplied with; None where
            each has its own.
    """

    kind: str
    types: tuple[str, str]
    target: int
    left: int
    right: int
    wide: bool = True
    element: int | None = None

    def execute(self, target: bytes, left: bytes, right: bytes) -> bytes:
        """The new target from the values of all three vectors, 16 bytes each."""
        sums = np.frombuffer(target, "<i4").astype(np.int64)
        a = np.frombuffer(left, self.types[0]).astype(np.int64)
        b = np.frombuffer(right, self.types[1]).astype(np.int64)
        if self.kind == "vector_matrix":
            sums = sums + (a.reshape(2, 8) @ b.reshape(2, 8).T).ravel()
        else:
            groups = b.reshape(4, 4)
            if self.element is not None:
                groups = groups[[self.element] * 4]
            sums = sums + (a.reshape(4, 4) * groups).sum(axis=1)
        if not self.wide:
            sums[2:] = 0
        return (sums & 0xFFFFFFFF).astype("<u4").tobytes()


def decode_matrix(word: int) -> MatrixProduct | None:
    """The instruction that 32 bits hold; None when they hold another."""
    target, left, right = word & 31, word >> 5 & 31, word >> 16 & 31
    wide = bool(word & _WIDE)
    if types := _MATRICES.get(word & _THREE):
        return MatrixProduct("vector_matrix", types, target, left, right)
    if types := _DOTS.get(word & _THREE & ~_WIDE):
        return MatrixProduct("vector_dot", types, target, left, right, wide)
    if types := _ELEMENT_DOTS.get(word & _ELEMENT):
        element = (word >> 11 & 1) << 1 | word >> 21 & 1
        return MatrixProduct("vector_dot", types, target, left, right, wide, element)
    return None
