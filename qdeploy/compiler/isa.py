"""Vector instruction sets as data: what the kernel forms may use, and at what width.

A form asks for a dot product and gets what the set has; the lowest entry of every architecture has
none, and plain vector arithmetic takes its place. A new set is a new row of `INSTRUCTION_SETS`.
"""

from dataclasses import dataclass
from typing import Any, Literal

from qdeploy.compiler import tir

__all__ = ["INSTRUCTION_SETS", "InstructionSet", "best_instruction_set"]


@dataclass(frozen=True)
class InstructionSet:
    """What the vector unit of a processor offers.

    Attributes:
        name: identifier, shown in plans.
        architectures: first parts of the LLVM triples it belongs to; empty for all.
        features: LLVM feature names that must all be present.
        vector_bits: width of a vector register.
        registers: number of vector registers.
        pair_accumulate: intrinsic acc + Σ₂ int16·int16 in int32 lanes, or None.
        pair_multiply: intrinsic Σ₂ int16·int16 in int32 lanes, or None.
        byte_accumulate: intrinsic acc + Σ₄ byte·int8 in int32 lanes without saturation, or None.
        byte_multiply: intrinsic Σ₂ byte·int8 in int16 lanes, saturating, or None.
        byte_inputs: whether those two take unsigned or signed inputs for the first bytes.
        byte_products: intrinsic int8·int8 in int16 lanes, or None.
        pair_widen: intrinsic Σ₂ of int16 lanes in int32 lanes, or None.
        pairwise_add: intrinsic Σ₂ of the lanes of two int32 vectors, one behind the other, or None.
        tile_accumulate: intrinsic acc + int8 (2, 8) by int8 (2, 8) transposed, in four int32 lanes,
            or None.
        word_products: intrinsic int32·int32 in int64 lanes, or None.
        by_element: whether instructions take an operand from one lane of a register.
        table_lookup: intrinsic that reads 16 bytes of a register at 16 indices, or None.
    """

    name: str
    architectures: tuple[str, ...]
    features: frozenset[str]
    vector_bits: int
    registers: int
    pair_accumulate: str | None = None
    pair_multiply: str | None = None
    byte_accumulate: str | None = None
    byte_multiply: str | None = None
    byte_inputs: Literal["unsigned", "signed"] = "unsigned"
    byte_products: str | None = None
    pair_widen: str | None = None
    pairwise_add: str | None = None
    tile_accumulate: str | None = None
    word_products: str | None = None
    by_element: bool = False
    table_lookup: str | None = None

    @property
    def lanes(self) -> int:
        """Number of int32 lanes in a vector register."""
        return self.vector_bits // 32

    @property
    def copy_lanes(self) -> int:
        """Most inputs to convert at once; code with one lane has to do without vectors."""
        return 32 if self.lanes > 1 else 1

    @property
    def pair_group(self) -> int:
        """Products that one lane of `pair_dot` sums: 2, or 1 without such an instruction."""
        return 2 if self.pair_accumulate or self.pair_multiply else 1

    @property
    def element_group(self) -> int:
        """Inputs in the lane that products of bytes take them from; 0 if there are none such."""
        if not self.by_element:
            return 0
        return 4 if self.byte_accumulate and self.byte_inputs == "signed" else 2

    def pair_dot(self, total: Any, left: Any, right: Any) -> Any:
        """Total (int32, `lanes`) plus the products of int16 vectors of `lanes * pair_group`."""
        if self.pair_accumulate:
            return tir.intrinsic(self.pair_accumulate, "int32", self.lanes, total, left, right)
        if self.pair_multiply:
            return total + tir.intrinsic(self.pair_multiply, "int32", self.lanes, left, right)
        wide = tir.vector_type("int32", self.lanes)
        return total + left.astype(wide) * right.astype(wide)


def _x86(name: str, features: str, bits: int, registers: int, **names: str) -> InstructionSet:
    intrinsics: dict[str, Any] = {key: f"llvm.x86.{value}" for key, value in names.items()}
    return InstructionSet(
        name, ("x86_64",), frozenset(features.split()), bits, registers, **intrinsics
    )


def _neon(
    name: str, features: str = "", dot: str | None = None, tile: str | None = None
) -> InstructionSet:
    return InstructionSet(
        name,
        ("aarch64", "arm64"),
        frozenset(features.split()),
        128,
        32,
        byte_accumulate=dot,
        byte_inputs="signed",
        byte_products="llvm.aarch64.neon.smull.v8i16",
        pair_widen="llvm.aarch64.neon.saddlp.v4i32.v8i16",
        pairwise_add="llvm.aarch64.neon.addp.v4i32",
        tile_accumulate=tile,
        word_products="llvm.aarch64.neon.smull.v2i64",
        by_element=True,
        table_lookup="llvm.aarch64.neon.tbl1.v16i8",
    )


_SDOT = "llvm.aarch64.neon.sdot.v4i32.v16i8"
_SMMLA = "llvm.aarch64.neon.smmla.v4i32.v16i8"


INSTRUCTION_SETS: tuple[InstructionSet, ...] = (
    _x86(
        "avx512-vnni",
        "avx512bw avx512vnni",
        512,
        32,
        pair_accumulate="avx512.vpdpwssd.512",
        byte_accumulate="avx512.vpdpbusd.512",
    ),
    _x86(
        "avx512",
        "avx512bw",
        512,
        32,
        pair_multiply="avx512.pmaddw.d.512",
        byte_multiply="avx512.pmaddubs.w.512",
    ),
    _x86(
        "avx-vnni",
        "avx2 avxvnni",
        256,
        16,
        pair_accumulate="avx512.vpdpwssd.256",
        byte_accumulate="avx512.vpdpbusd.256",
    ),
    _x86(
        "avx2",
        "avx2",
        256,
        16,
        pair_multiply="avx2.pmadd.wd",
        byte_multiply="avx2.pmadd.ub.sw",
    ),
    _x86(
        "ssse3",
        "ssse3",
        128,
        16,
        pair_multiply="sse2.pmadd.wd",
        byte_multiply="ssse3.pmadd.ub.sw.128",
    ),
    _x86("sse2", "sse2", 128, 16, pair_multiply="sse2.pmadd.wd"),
    _neon("neon-i8mm", "dotprod i8mm", _SDOT, _SMMLA),
    _neon("neon-dotprod", "dotprod", _SDOT),
    _neon("neon"),
    InstructionSet("vector128", ("x86_64",), frozenset(), 128, 16),
    InstructionSet("scalar", (), frozenset(), 32, 8),
)
"""In order of preference."""


def best_instruction_set(architecture: str, features: frozenset[str]) -> InstructionSet:
    """The first set that the processor has; the scalar one fits every processor.

    Args:
        architecture: first part of the LLVM triple.
        features: LLVM feature names of the processor.
    """
    return next(
        entry
        for entry in INSTRUCTION_SETS
        if (not entry.architectures or architecture in entry.architectures)
        and entry.features <= features
    )
