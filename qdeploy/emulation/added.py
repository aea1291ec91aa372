"""Instructions of Armv8.1-M that neither unicorn nor capstone knows: loops and conditional selects.

The encodings and meanings are those of the Armv8-M Architecture Reference Manual (DDI 0553): DLS,
WLS and LE of the low-overhead loops, and CSEL, CSINC, CSINV and CSNEG, of which CSET, CINC and the
like are other names. The vectors are not here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Added", "RegisterFile", "decode_added"]

_LINK, _NONE = 14, 15
"""The link register counts loops; register 15 stands for zero in selects."""

_ELSE: dict[str, Callable[[int], int]] = {
    "csel": lambda value: value,
    "csinc": lambda value: value + 1,
    "csinv": lambda value: ~value,
    "csneg": lambda value: -value,
}
"""What each select makes of its second operand when the condition fails, by opcode 8 to 11."""


class RegisterFile(Protocol):
    """What an instruction needs of the processor."""

    def read(self, number: int) -> int:
        """A register, 0 to 14."""
        ...

    def write(self, number: int, value: int) -> None:
        """Set a register, 0 to 14."""
        ...

    def flags(self) -> int:
        """The status register, with N, Z, C and V in its highest bits."""
        ...


@dataclass(frozen=True)
class Added:
    """One such instruction, 4 bytes long.

    Attributes:
        name: its mnemonic.
        kind: its class.
        target: register that is written, None for none.
        sources: registers that are read; 15 reads as zero.
        condition: of a select.
        offset: from behind the instruction to the branch's goal.
    """

    name: str
    kind: str
    target: int | None
    sources: tuple[int, ...]
    condition: int = 0
    offset: int = 0

    def execute(self, registers: RegisterFile) -> int:
        """Do what it does; how far behind the instruction execution goes on."""
        values = [0 if each == _NONE else registers.read(each) for each in self.sources]
        if self.name in _ELSE:
            holds = _holds(self.condition, registers.flags())
            assert self.target is not None
            registers.write(self.target, values[0] if holds else _ELSE[self.name](values[1]))
            return 0
        if self.name == "le" and self.target is None:
            return self.offset
        if self.name == "le":
            if values[0] <= 1:
                return 0
            registers.write(_LINK, values[0] - 1)
            return self.offset
        if self.name == "wls" and values[0] == 0:
            return self.offset
        registers.write(_LINK, values[0])
        return 0


def decode_added(code: bytes) -> Added | None:
    """The instruction that 4 bytes hold; None when they hold another."""
    first, second = int.from_bytes(code[:2], "little"), int.from_bytes(code[2:4], "little")
    register = first & 15
    offset = (second >> 1 & 0x3FF) << 2 | (second >> 11 & 1) << 1
    if first & 0xFFF0 == 0xEA50 and second >> 12 in (8, 9, 10, 11):
        name = list(_ELSE)[(second >> 12) - 8]
        return Added(name, "alu", second >> 8 & 15, (register, second & 15), second >> 4 & 15)
    if first & 0xFFF0 == 0xF040 and second == 0xE001:
        return Added("dls", "alu", _LINK, (register,))
    if first & 0xFFF0 == 0xF040 and second & 0xF001 == 0xC001:
        return Added("wls", "branch", _LINK, (register,), offset=offset)
    if first == 0xF00F and second & 0xF001 == 0xC001:
        return Added("le", "loop", _LINK, (_LINK,), offset=-offset)
    if first == 0xF02F and second & 0xF001 == 0xC001:
        # Without a register it always goes back.
        return Added("le", "loop", None, (), offset=-offset)
    return None


def _holds(condition: int, status: int) -> bool:
    """Whether a condition code holds for the flags N, Z, C, V in bits 31 to 28."""
    n, z, c, v = (bool(status >> bit & 1) for bit in (31, 30, 29, 28))
    base = (z, c, n, v, c and not z, n == v, n == v and not z, True)[condition >> 1]
    return base != bool(condition & 1) or condition == 15
