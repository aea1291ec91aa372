"""Instructions of the cores: which class each is of, and what timing needs to know of it.

Decoded by capstone, once an encoding. An instruction that no class of the core has is refused, so
that nothing is counted that the core could not run.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from qdeploy.emulation.added import decode_added
from qdeploy.emulation.libraries import library
from qdeploy.errors import QDeployError
from qdeploy.targets import Core

__all__ = ["Decoder", "Instruction"]

_ARM = {
    "alu": "adc add addw adr and asr bfc bfi bic clz cmn cmp eor hint it lsl lsr mov movs movt "
    "movw mvn neg nop orn orr rbit rev rev16 revsh ror rrx rsb sbc sbfx ssat sub subw "
    "sxtb sxth teq tst ubfx usat uxtb uxth",
    "simd": "pkhbt pkhtb qadd qadd16 qadd8 qasx qdadd qdsub qsax qsub qsub16 qsub8 sadd16 sadd8 "
    "sasx sel shadd16 shadd8 shasx shsax shsub16 shsub8 smlabb smlabt smlatb smlatt "
    "smlad smladx smlawb smlawt smlsd smlsdx smmla smmlar smmls smmlsr smmul smmulr "
    "smuad smuadx smulbb smulbt smultb smultt smulwb smulwt smusd smusdx ssat16 ssax "
    "ssub16 ssub8 sxtab sxtab16 sxtah sxtb16 uadd16 uadd8 uasx uhadd16 uhadd8 uhasx "
    "uhsax uhsub16 uhsub8 uqadd16 uqadd8 uqasx uqsax uqsub16 uqsub8 usad8 usada8 usat16 "
    "usax usub16 usub8 uxtab uxtab16 uxtah uxtb16",
    "multiply": "mul",
    "multiply_add": "mla mls",
    "multiply_long": "smlal smlalbb smlalbt smlaltb smlaltt smlald smlaldx smlsld smlsldx smull "
    "umaal umlal umull",
    "divide": "sdiv udiv",
    "load": "ldr ldrb ldrex ldrexb ldrexh ldrh ldrsb ldrsh",
    "store": "str strb strex strexb strexh strh",
    "load_multiple": "ldm ldmdb ldrd pop",
    "store_multiple": "push stm stmdb strd",
    "branch": "b cbnz cbz",
    "call": "bl",
    "indirect": "blx bx",
    "table": "tbb tbh",
    "system": "cps dmb dsb isb mrs msr",
}

_RISCV = {
    "alu": "add addi addi16sp addi4spn and andi auipc li lui mv nop or ori sll slli slt slti "
    "sltiu sltu sra srai srl srli sub xor xori",
    "multiply": "mul",
    "multiply_long": "mulh mulhsu mulhu",
    "divide": "div divu rem remu",
    "load": "lb lbu lh lhu lw lwsp",
    "store": "sb sh sw swsp",
    "branch": "beq beqz bge bgeu blt bltu bne bnez",
    "jump": "j",
    "call": "jal",
    "indirect": "jalr jr",
    "system": "csrrc csrrci csrrs csrrsi csrrw csrrwi fence",
}

_NAMES = {
    "arm": {name: kind for kind, names in _ARM.items() for name in names.split()},
    "riscv32": {name: kind for kind, names in _RISCV.items() for name in names.split()},
}
"""Class of every mnemonic (without width and condition) of an architecture."""

_NEEDS = {
    "simd": "dsp",
    "divide": "divide",
    "multiply_long": "long-multiply",
    "multiply_add": "long-multiply",
}
"""Classes that only cores with an extension have."""

_HIGH = {13: "sp", 14: "lr", 15: "zero"}
_MULTIPLE = ("load_multiple", "store_multiple")
_REGISTER = re.compile(r"\b(?:r\d+|sp|lr|pc|ra|gp|tp|[ast]\d+|zero)\b")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction.

    Attributes:
        kind: its class, one of `qdeploy.targets.cycles.INSTRUCTION_CLASSES`.
        size: bytes.
        registers: registers that a load or store of several moves; 0 for others.
        reads: registers that it reads.
        address: registers that the address of a load or store is made of.
        writes: registers that it writes.
        text: in assembler.
    """

    kind: str
    size: int
    registers: int
    reads: frozenset[str]
    address: frozenset[str]
    writes: frozenset[str]
    text: str


class Decoder:
    """Decodes the instructions of one core.

    Args:
        core: whose instructions they are.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._engine = _engine(core.architecture)
        self._known: dict[int, Instruction] = {}
        self._size: Callable[[int], int] = (
            _thumb_size if core.architecture == "arm" else _riscv_size
        )

    def block(self, code: bytes, address: int) -> list[Instruction]:
        """The instructions of a block.

        Args:
            code: its bytes.
            address: where they lie.

        Raises:
            QDeployError: the core has no such instruction.
        """
        found = []
        place = 0
        while place < len(code):
            half = int.from_bytes(code[place : place + 2], "little")
            size = self._size(half)
            word = half if size == 2 else int.from_bytes(code[place : place + 4], "little")
            instruction = self._known.get(word)
            if instruction is None:
                instruction = self._decode(code[place : place + size], address + place)
                self._known[word] = instruction
            found.append(instruction)
            place += size
        return found

    def first(self, code: bytes, address: int) -> Instruction:
        """The instruction that some bytes begin with, whatever follows it."""
        size = self._size(int.from_bytes(code[:2], "little"))
        return self.block(code[:size], address)[0]

    def _decode(self, code: bytes, address: int) -> Instruction:
        if self._core.triple.startswith("thumbv8.1m") and (added := decode_added(code)):
            names = [f"r{number}" if number < 13 else _HIGH[number] for number in added.sources]
            target = frozenset() if added.target is None else frozenset({f"r{added.target}"})
            text = f"{added.name} {', '.join(names)}"
            none: frozenset[str] = frozenset()
            return Instruction(added.kind, 4, 0, frozenset(names), none, target, text)
        raw = next(self._engine.disasm(code, address), None)
        if raw is None:
            raise QDeployError(
                f"{code[::-1].hex()} at {address:#x} is no instruction of {self._core.name}; "
                "compile for this core"
            )
        name = self._engine.insn_name(raw.id).removeprefix("c.")
        text = f"{raw.mnemonic} {raw.op_str}".strip()
        kind = _NAMES[self._core.architecture].get(name)
        # RISC-V's jump is the call that links nowhere, Arm's the branch without a condition.
        if raw.mnemonic in ("j", "b", "b.w"):
            kind = "jump"
        if kind is None or (kind in _NEEDS and _NEEDS[kind] not in self._core.extensions):
            raise QDeployError(
                f"the instruction {text!r} at {address:#x} is none of {self._core.name}; "
                "compile for this core"
            )
        reads, writes = self._registers(raw, kind)
        if "pc" in writes and kind in ("alu", "load", "load_multiple"):
            kind = "indirect" if kind == "alu" else "load_branch"
        if (
            kind == "call"
            and self._core.architecture == "riscv32"
            and raw.op_str.startswith("zero")
        ):
            kind = "branch"
        registers = 0
        if kind in _MULTIPLE or kind == "load_branch":
            listed = raw.op_str.rpartition("{")[2]
            registers = 2 if name in ("ldrd", "strd") else len(_REGISTER.findall(listed))
            if name == "ldr":
                registers = 1
        return Instruction(kind, len(code), registers, reads, _address(raw.op_str), writes, text)

    def _registers(self, raw: Any, kind: str) -> tuple[frozenset[str], frozenset[str]]:
        """Registers that an instruction reads and writes."""
        if self._core.architecture == "arm":
            reads, writes = raw.regs_access()
            return (
                frozenset(map(raw.reg_name, reads)),
                frozenset(map(raw.reg_name, writes)),
            )
        named = _REGISTER.findall(raw.op_str)
        if kind in ("store", "branch", "indirect"):
            return frozenset(named), frozenset()
        in_place = raw.mnemonic.startswith("c.") and kind == "alu" and raw.mnemonic != "c.mv"
        return frozenset(named if in_place else named[1:]), frozenset(named[:1])


@cache
def _engine(architecture: str) -> Any:
    capstone = library("capstone")
    if architecture == "arm":
        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    else:
        mode = capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC
        engine = capstone.Cs(capstone.CS_ARCH_RISCV, mode)
    engine.detail = True
    return engine


def _address(operands: str) -> frozenset[str]:
    """Registers in the brackets of an address, or the base of a load or store of several."""
    inside = re.search(r"[\[(](.*?)[\])]", operands)
    return frozenset(_REGISTER.findall(inside[1] if inside else operands.partition(",")[0]))


def _thumb_size(half: int) -> int:
    """Bytes of a Thumb instruction from its first 16 bits: 0b11101, 0b11110, 0b11111 start 32."""
    return 4 if half >= 0xE800 else 2


def _riscv_size(half: int) -> int:
    """Bytes of a RISC-V instruction from its first 16 bits: both low bits are set in 32."""
    return 4 if half & 3 == 3 else 2
