"""AArch64 instructions as the pipeline model needs them: class, registers, what depends on what.

Decoded by capstone, once an encoding; which operands are read and written is taken from the text,
since capstone knows it wrongly of many vector instructions. An instruction that the core lacks, or
that no class has, is refused.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from qdeploy.emulation.aarch64_classes import (
    ACCUMULATORS,
    FLAG_READERS,
    FLAG_WRITERS,
    INTEGER,
    NEEDS,
    NO_TARGET,
    TARGET_READERS,
    VECTOR,
)
from qdeploy.emulation.libraries import library
from qdeploy.errors import QDeployError
from qdeploy.targets import ArmCore

__all__ = ["FLAGS", "Aarch64Decoder", "Operation"]

_STACK, _VECTORS, FLAGS = 31, 32, 64
"""Numbers of registers: 0 to 30 the integer ones, then the stack pointer, 32 vectors, the flags."""

_REGISTER = re.compile(r"\b(?:([xw])(\d+)|([vqdshb])(\d+)|(w?sp))\b")
_WIDE = re.compile(r"\bq\d+\b|\.(?:16b|8h|4s|2d)\b")
_OPERANDS = re.compile(r",\s*(?![^\[{]*[\]}])")
"""Commas that are not inside of brackets or braces."""

_SHIFT = re.compile(r"^(lsl|lsr|asr|ror|[su]xt[bhwx])(?: #(\w+))?$")
_HALF_FLOATS = re.compile(r"\bh\d+\b|\.[48]?h\b")
_HALF_CONVERSIONS = frozenset(("fcvt", "fcvtl", "fcvtl2", "fcvtn", "fcvtn2"))
"""What Armv8.0-A does with floating point of 16 bits."""

_MEMORY = ("load", "store", "vector_load", "vector_store")
_BRANCHES = ("branch", "indirect")
_LOGIC = ("and", "bic", "eon", "eor", "mvn", "orn", "orr")

_SUMS = ("multiply", "multiply_wide", "float_multiply_add")
"""Classes of which some instructions add to a fourth operand."""

_SMALL_SHIFT = 4
"""Shifts of an added operand up to this many bits cost nothing on cores since the Cortex-A76."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One decoded instruction.

    Attributes:
        kind: its class, one of `qdeploy.targets.pipeline.PIPELINE_CLASSES`.
        reads: registers that it reads, without those of its address.
        address: registers that its address is made of.
        writes: registers that its result is in.
        base: register of the address that it moves on; None for none.
        accumulator: register that the result is added to; None for none.
        weight: vectors that a load, store or table of several has; 1 for others.
        narrow: whether no vector of 128 bits takes part.
        branch: whether it may go elsewhere than to the next instruction.
        text: in assembler.
    """

    kind: str
    reads: tuple[int, ...]
    address: tuple[int, ...]
    writes: tuple[int, ...]
    base: int | None
    accumulator: int | None
    weight: int
    narrow: bool
    branch: bool
    text: str


class Aarch64Decoder:
    """Decodes the instructions of one core.

    Args:
        core: whose instructions they are.
    """

    def __init__(self, core: ArmCore) -> None:
        self._core = core
        self._known: dict[int, Operation] = {}

    def block(self, code: bytes, address: int) -> tuple[Operation, ...]:
        """The instructions of a block.

        Args:
            code: its bytes.
            address: where they lie.

        Raises:
            QDeployError: the core has no such instruction.
        """
        found = []
        for place in range(0, len(code), 4):
            word = int.from_bytes(code[place : place + 4], "little")
            operation = self._known.get(word)
            if operation is None:
                operation = self._decode(code[place : place + 4], address + place)
                self._known[word] = operation
            found.append(operation)
        return tuple(found)

    def _decode(self, code: bytes, address: int) -> Operation:
        raw = next(_engine().disasm(code, address), None)
        if raw is None:
            raise QDeployError(
                f"{code[::-1].hex()} at {address:#x} is no instruction of {self._core.name}; "
                "compile for this core"
            )
        name = raw.mnemonic.partition(".")[0]
        text = f"{raw.mnemonic} {raw.op_str}".strip()
        operands = _OPERANDS.split(raw.op_str) if raw.op_str else []
        kind = _kind(name, operands)
        needed = NEEDS.get(name)
        if name.startswith("f") and name not in _HALF_CONVERSIONS:
            # Arithmetic with 16 bits came with Armv8.2-A, as dot products did.
            needed = "dotprod" if _HALF_FLOATS.search(raw.op_str) else None
        if kind is None or (needed is not None and needed not in self._core.extensions):
            raise QDeployError(
                f"the instruction {text!r} at {address:#x} is none of {self._core.name}, or none "
                "that the emulator counts; compile for this core"
            )
        return _operation(kind, name, text, operands, conditional="." in raw.mnemonic)


def _kind(name: str, operands: list[str]) -> str | None:
    """Class of an instruction; None where it has none."""
    files = [_files(operand) for operand in operands]
    named = [each for operand in files for each in operand]
    if "v" not in named:
        kind = INTEGER.get(name)
        return _arithmetic(name, kind, operands) if kind in ("alu", "multiply") else kind
    kind = VECTOR.get(name)
    if kind is None or kind.startswith(_MEMORY):
        lanes = "[" in operands[0] if operands else False
        several = named.count("v") > 1 or lanes
        if name in ("ld1", "st1") and several:
            return f"{kind}_many"
        return kind
    if kind == "vector_multiply_long" and operands[0].endswith(".1q"):
        return None  # cryptography
    if kind == "vector_table":
        return kind if len(files[1]) == 1 else "vector_tables"
    if "x" in named and kind in ("vector_alu", "vector_permute", "float_convert", "vector_shift"):
        return "from_vector" if files[0] == ["x"] else "to_vector"
    if name == "mov" and any("[" in operand for operand in operands):
        return "vector_permute"
    return kind


def _arithmetic(name: str, kind: str, operands: list[str]) -> str:
    """Class of integer arithmetic, by the width of its operands and their shift."""
    if kind == "multiply":
        return "multiply_wide" if operands[1].startswith("x") else "multiply"
    shift = _SHIFT.match(operands[-1]) if len(operands) > 2 else None
    if shift is None or name.startswith("mov") or operands[-2].startswith("#"):
        return kind
    amount = int(shift[2] or "0", 0)
    if name in _LOGIC or (shift[1] == "lsl" and amount <= _SMALL_SHIFT):
        return "alu_scaled"
    return "alu_shift"


def _operation(
    kind: str, name: str, text: str, operands: list[str], *, conditional: bool
) -> Operation:
    address: list[int] = []
    plain: list[list[int]] = []
    base = None
    for place, operand in enumerate(operands, 1):
        if operand.startswith("["):
            address = _numbers(operand)
            # Behind the address there is at most what is added to its base.
            if operand.endswith("!") or place < len(operands):
                base = address[0]
        else:
            plain.append(_numbers(operand))
    targets = _targets(kind, name, operands)
    writes = [number for operand in plain[:targets] for number in operand]
    reads = [number for operand in plain[targets:] for number in operand]
    lane = bool(operands) and "[" in operands[0] and targets == 1
    if name in TARGET_READERS or lane:
        reads += writes
    weight = 1
    if kind == "vector_tables":
        weight = len(plain[1])
    elif kind.endswith("_many"):
        weight = len(plain[0])
    accumulator = writes[0] if kind in ACCUMULATORS else None
    if kind in _SUMS:
        # Scalars name what they add to last; in an instruction of three operands it is zero.
        last = plain[3] if len(plain) > 3 else []
        accumulator = writes[0] if name in TARGET_READERS else last[0] if last else None
    if name in FLAG_READERS or (kind == "branch" and conditional):
        reads.append(FLAGS)
    if name in FLAG_WRITERS:
        writes.append(FLAGS)
    if name in ("bl", "blr"):
        writes.append(30)
    if text == "ret":
        reads.append(30)
    return Operation(
        kind,
        tuple(reads),
        tuple(address),
        tuple(writes),
        base,
        accumulator,
        weight,
        _WIDE.search(text) is None,
        kind in _BRANCHES,
        text,
    )


def _targets(kind: str, name: str, operands: list[str]) -> int:
    """How many of the operands are written."""
    if name in NO_TARGET or not operands:
        return 0
    if name.startswith(("stlx", "stx")):
        return 1
    if "store" in kind:
        return 0
    return 2 if kind in ("load_pair", "vector_load_pair") else 1


def _files(operand: str) -> list[str]:
    """Register files of the registers of an operand: "x" or "v"; addresses have none."""
    if operand.startswith("["):
        return []
    return ["v" if match[3] else "x" for match in _REGISTER.finditer(operand)]


def _numbers(operand: str) -> list[int]:
    """Registers of an operand; the one that is always zero is none."""
    return [
        int(match[2]) if match[1] else int(match[4]) + _VECTORS if match[3] else _STACK
        for match in _REGISTER.finditer(operand)
    ]


@cache
def _engine() -> Any:
    capstone = library("capstone")
    return capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
