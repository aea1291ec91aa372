"""One unicorn engine: how a core's registers are called, how functions start, end and fail.

unicorn's own models of the Cortex-M cores refuse what the cores lack. Its mode for M-profile cores
must not be combined with them, the address that ends a call must lie below the exception-return
addresses of that profile, and a hook on an access leaves the condition of an IT block behind, which
would fall on instructions of the next block: it is cleared here.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qdeploy.emulation.added import decode_added
from qdeploy.emulation.libraries import library
from qdeploy.errors import QDeployError
from qdeploy.targets import Core

__all__ = ["PAGE", "Engine", "Fault", "Mapping"]

PAGE = 4096
"""Granularity of memory in unicorn."""

_ARM_MODELS = {
    "cortex-m0plus": "CORTEX_M0",
    "cortex-m3": "CORTEX_M3",
    "cortex-m4": "CORTEX_M4",
    "cortex-m7": "CORTEX_M7",
    "cortex-m33": "CORTEX_M33",
    # unicorn has no core of Armv8.1-M; this one lacks only what that version added.
    "cortex-m55": "CORTEX_M33",
}


_IT_BITS = 0x0600FC00
"""Bits of the status register that hold the condition of the IT block that is running."""


@dataclass(frozen=True)
class Mapping:
    """A piece of memory.

    Attributes:
        name: for messages.
        origin: first address, at a page border.
        memory: its bytes, whole pages; shared by all engines that map it.
        writable: whether stores to it are allowed.
        executable: whether code runs from it.
    """

    name: str
    origin: int
    memory: "ctypes.Array[ctypes.c_char]"
    writable: bool
    executable: bool


class Fault(Exception):  # noqa: N818 - not an error of a user until the caller has put it in words
    """A call that could not go on.

    Attributes:
        reason: what happened, as the end of a sentence.
        address: of the instruction.
    """

    def __init__(self, reason: str, address: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.address = address


class Engine:
    """Calls functions in memory that it shares with others.

    Args:
        core: which core to be.
        mappings: the memory.
        landing: an executable address that functions return to.
    """

    def __init__(self, core: Core, mappings: Sequence[Mapping], landing: int) -> None:
        unicorn = _unicorn()
        self._unicorn = unicorn
        self._landing = landing
        self._mappings = {mapping.name: mapping for mapping in mappings}
        self._fault: Fault | None = None
        self._status: int | None = None
        if core.architecture == "arm":
            self.uc = _arm(core)
            self._registers = _arm_registers()
            self._status = unicorn.arm_const.UC_ARM_REG_CPSR
        else:
            self.uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
            self._registers = _riscv_registers()
        self._thumb = int(core.architecture == "arm")
        for mapping in mappings:
            rights = unicorn.UC_PROT_READ
            rights |= unicorn.UC_PROT_WRITE if mapping.writable else 0
            rights |= unicorn.UC_PROT_EXEC if mapping.executable else 0
            self.uc.mem_map_ptr(mapping.origin, len(mapping.memory), rights, mapping.memory)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._invalid)
        self._adds = core.triple.startswith("thumbv8.1m")
        if self._adds:
            self.uc.hook_add(unicorn.UC_HOOK_INSN_INVALID, self._added)

    def call(self, address: int, stack: int, arguments: Sequence[int]) -> int:
        """Run a function to its end; its result as an unsigned number of 32 bits.

        Raises:
            Fault: it does something that the core or its memory does not allow.
        """
        registers = self._registers
        uc = self.uc
        uc.reg_write(registers.stack, stack)
        uc.reg_write(registers.link, self._landing | self._thumb)
        for register, value in zip(registers.arguments, arguments, strict=False):
            uc.reg_write(register, value & 0xFFFFFFFF)
        self._fault = None
        try:
            uc.emu_start(address | self._thumb, self._landing)
        except self._unicorn.UcError as error:
            fault = self._fault or Fault(self._word(error), self.program_counter)
            self._leave_condition()
            raise fault from None
        if self._fault is not None:
            raise self._fault
        return uc.reg_read(registers.arguments[0])

    @property
    def program_counter(self) -> int:
        """Address of the instruction that is running."""
        return self.uc.reg_read(self._registers.counter)

    @property
    def stack_pointer(self) -> int:
        """The stack pointer now."""
        return self.uc.reg_read(self._registers.stack)

    def stop(self, reason: str) -> None:
        """End the running call as a fault; for hooks."""
        if self._fault is None:
            self._fault = Fault(reason, self.program_counter)
        self.uc.emu_stop()

    def on_block(self, record: Callable[[int, int, int], None]) -> None:
        """Tell of every block that runs: its address and bytes, and the stack pointer before it."""
        read, stack = self.uc.reg_read, self._registers.stack

        def block(_uc: Any, address: int, size: int, _data: Any) -> None:
            record(address, size, read(stack))

        self.uc.hook_add(self._unicorn.UC_HOOK_BLOCK, block)

    def on_access(self, check: Callable[[int, int], None]) -> None:
        """Tell of every load and store: its address and bytes."""

        def access(_uc: Any, _kind: int, address: int, size: int, _value: int, _data: Any) -> None:
            check(address, size)
            self._leave_condition()

        kinds = self._unicorn.UC_HOOK_MEM_READ | self._unicorn.UC_HOOK_MEM_WRITE
        self.uc.hook_add(kinds, access)
        if self._adds:
            # Behind an added instruction the program counter stays at the start of its block,
            # unless unicorn has to tell of every instruction.
            self.uc.hook_add(self._unicorn.UC_HOOK_CODE, lambda *_: None)

    def on_read(self, begin: int, end: int, record: Callable[[int, int], None]) -> None:
        """Tell of every load from a range of addresses: its address and bytes."""

        def read(_uc: Any, _kind: int, address: int, size: int, _value: int, _data: Any) -> None:
            record(address, size)
            self._leave_condition()

        self.uc.hook_add(self._unicorn.UC_HOOK_MEM_READ, read, None, begin, end - 1)

    def _added(self, uc: Any, _data: Any) -> bool:
        """Do what an instruction does that unicorn does not know; False when nobody knows it."""
        counter = self.program_counter
        found = decode_added(bytes(uc.mem_read(counter, 4)))
        if found is None:
            return False
        goal = counter + 4 + found.execute(_ArmRegisters(uc))
        uc.reg_write(self._registers.counter, goal | 1)
        return True

    def _leave_condition(self) -> None:
        """Clear the condition of an IT block that a hook or a fault left in the engine's state."""
        if self._status is not None:
            status = self.uc.reg_read(self._status)
            if status & _IT_BITS:
                self.uc.reg_write(self._status, status & ~_IT_BITS)

    def _invalid(
        self, _uc: Any, kind: int, address: int, size: int, _value: int, _data: Any
    ) -> bool:
        unicorn = self._unicorn
        if kind in (unicorn.UC_MEM_WRITE_PROT, unicorn.UC_MEM_WRITE_UNMAPPED):
            act = "writes"
        elif kind in (unicorn.UC_MEM_FETCH_PROT, unicorn.UC_MEM_FETCH_UNMAPPED):
            act = "jumps to"
        else:
            act = "reads"
        place = next(
            (
                f"which is {mapping.name}"
                for mapping in self._mappings.values()
                if mapping.origin <= address < mapping.origin + len(mapping.memory)
            ),
            "where there is no memory",
        )
        width = "" if act == "jumps to" else f"{size} bytes at "
        if self._fault is None:
            reason = f"{act} {width}{address:#010x}, {place}"
            self._fault = Fault(reason, self.program_counter)
        return False

    def _word(self, error: Any) -> str:
        """What an error of unicorn means for a function."""
        if error.errno == self._unicorn.UC_ERR_INSN_INVALID:
            return "executes an instruction that the core does not have"
        if error.errno == self._unicorn.UC_ERR_EXCEPTION:
            return "raises an exception (an access that is not aligned, or a trap)"
        return f"cannot go on ({error})"


class _ArmRegisters:
    """The registers of a running engine, by their numbers in instructions."""

    def __init__(self, uc: Any) -> None:
        arm = _unicorn().arm_const
        self._uc = uc
        first = arm.UC_ARM_REG_R0
        self._numbers = (*range(first, first + 13), arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR)
        self._status = arm.UC_ARM_REG_CPSR

    def read(self, number: int) -> int:
        return self._uc.reg_read(self._numbers[number])

    def write(self, number: int, value: int) -> None:
        self._uc.reg_write(self._numbers[number], value & 0xFFFFFFFF)

    def flags(self) -> int:
        return self._uc.reg_read(self._status)


@dataclass(frozen=True)
class _Registers:
    """unicorn's numbers of the registers of a calling convention."""

    arguments: tuple[int, ...]
    stack: int
    link: int
    counter: int


def _arm_registers() -> _Registers:
    arm = _unicorn().arm_const
    first = arm.UC_ARM_REG_R0
    return _Registers(
        tuple(range(first, first + 4)),
        arm.UC_ARM_REG_SP,
        arm.UC_ARM_REG_LR,
        arm.UC_ARM_REG_PC,
    )


def _riscv_registers() -> _Registers:
    riscv = _unicorn().riscv_const
    first = riscv.UC_RISCV_REG_A0
    return _Registers(
        tuple(range(first, first + 8)),
        riscv.UC_RISCV_REG_SP,
        riscv.UC_RISCV_REG_RA,
        riscv.UC_RISCV_REG_PC,
    )


def _arm(core: Core) -> Any:
    unicorn = _unicorn()
    model = _ARM_MODELS.get(core.name)
    if model is None:
        raise QDeployError(
            f"the emulator has no model of the core {core.name}; it has {', '.join(_ARM_MODELS)}"
        )
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    uc.ctl_set_cpu_model(getattr(unicorn.arm_const, f"UC_CPU_ARM_{model}"))
    return uc


def _unicorn() -> Any:
    return library("unicorn")
