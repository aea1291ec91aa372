"""One unicorn engine: how functions start, end and fail in memory that engines share."""

from collections.abc import Callable, Sequence
from typing import Any

from qdeploy.emulation.libraries import library
from qdeploy.emulation.memory import Mapping
from qdeploy.emulation.processors import processor
from qdeploy.targets.cores import CompilerCore

__all__ = ["Engine", "Fault"]

_NO_INSTRUCTION = "executes an instruction that the core does not have"
_TRAP = "raises an exception (an access that is not aligned, or a trap)"


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

    def __init__(self, core: CompilerCore, mappings: Sequence[Mapping], landing: int) -> None:
        self._unicorn = unicorn = library("unicorn")
        self._processor = processor(core)
        self._registers = self._processor.registers
        self.uc = self._processor.uc
        self._landing = landing
        self._mappings = tuple(mappings)
        self._fault: Fault | None = None
        for mapping in mappings:
            rights = unicorn.UC_PROT_READ
            rights |= unicorn.UC_PROT_WRITE if mapping.writable else 0
            rights |= unicorn.UC_PROT_EXEC if mapping.executable else 0
            self.uc.mem_map_ptr(mapping.origin, len(mapping.memory), rights, mapping.memory)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._invalid)
        if self._processor.undefined is not None:
            self.uc.hook_add(unicorn.UC_HOOK_INTR, self._exception)
        elif self._processor.adds:
            self.uc.hook_add(unicorn.UC_HOOK_INSN_INVALID, lambda *_: self._added())

    def call(self, address: int, stack: int, arguments: Sequence[int]) -> int:
        """Run a function to its end; its result as an unsigned number of a register's width.

        Raises:
            Fault: it does something that the core or its memory does not allow.
        """
        registers, entry = self._registers, self._processor.entry
        uc = self.uc
        uc.reg_write(registers.stack, stack)
        uc.reg_write(registers.link, self._landing | entry)
        mask = (1 << self._processor.bits) - 1
        for register, value in zip(registers.arguments, arguments, strict=False):
            uc.reg_write(register, value & mask)
        self._fault = None
        try:
            uc.emu_start(address | entry, self._landing)
        except self._unicorn.UcError as error:
            fault = self._fault or Fault(self._word(error), self.program_counter)
            self._processor.after_hook()
            raise fault from None
        if self._fault is not None:
            raise self._fault
        return int(uc.reg_read(registers.arguments[0]))

    @property
    def program_counter(self) -> int:
        """Address of the instruction that is running."""
        return int(self.uc.reg_read(self._registers.counter))

    @property
    def stack_pointer(self) -> int:
        """The stack pointer now."""
        return int(self.uc.reg_read(self._registers.stack))

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
            self._processor.after_hook()

        kinds = self._unicorn.UC_HOOK_MEM_READ | self._unicorn.UC_HOOK_MEM_WRITE
        self.uc.hook_add(kinds, access)
        if self._processor.adds:
            # Behind an added instruction the program counter stays at the start of its block,
            # unless unicorn has to tell of every instruction.
            self.uc.hook_add(self._unicorn.UC_HOOK_CODE, lambda *_: None)

    def on_read(self, begin: int, end: int, record: Callable[[int, int], None]) -> None:
        """Tell of every load from a range of addresses: its address and bytes."""

        def read(_uc: Any, _kind: int, address: int, size: int, _value: int, _data: Any) -> None:
            record(address, size)
            self._processor.after_hook()

        self.uc.hook_add(self._unicorn.UC_HOOK_MEM_READ, read, None, begin, end - 1)

    def _added(self) -> bool:
        """Do what an instruction does that unicorn does not know; False when nobody knows it."""
        goal = self._processor.added(self.program_counter) if self._processor.adds else None
        if goal is not None:
            self.uc.reg_write(self._registers.counter, goal)
        return goal is not None

    def _exception(self, _uc: Any, number: int, _data: Any) -> None:
        """An exception of an AArch64 core: unknown instructions are one."""
        if number != self._processor.undefined:
            self.stop(_TRAP)
        elif not self._added():
            self.stop(_NO_INSTRUCTION)

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
            (f"which is {mapping.name}" for mapping in self._mappings if mapping.holds(address, 1)),
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
            return _NO_INSTRUCTION
        if error.errno == self._unicorn.UC_ERR_EXCEPTION:
            return _TRAP
        return f"cannot go on ({error})"
