"""A core with its memory and a linked image, inside this process.

Functions of the image are called as C would call them. Calls are fast; counting and strict calls
run in engines of their own on the same memory, whose hooks see every block, read or access.
"""

import ctypes
from array import array
from bisect import bisect_right
from collections.abc import Callable
from collections.abc import Mapping as MappingType
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy.emulation.counting import BlockCounter, Counts
from qdeploy.emulation.engine import PAGE, Engine, Fault, Mapping
from qdeploy.emulation.instructions import Decoder
from qdeploy.errors import QDeployError
from qdeploy.firmware.image import flash_contents, symbols
from qdeploy.targets import Core, Region

__all__ = ["Machine"]

_HARNESS_BYTES = 16 * 1024 * 1024
"""Memory for inputs and outputs."""

_HARNESS_PLACES = (0x60000000, 0x40000000, 0x10000000, 0x30000000)
"""Where it may lie: not above, where M-profile cores have system registers and return codes."""

_PAINT = 0xA5
"""Byte that unused stack is filled with before a call is counted."""


class Machine:
    """Runs the functions of an image.

    Memory is flash, RAM and a harness region for inputs and outputs; any access beside them, and
    any store to flash, is an error. The two memories are rounded up to pages of 4 KiB. What a call
    leaves in RAM is there in the next one, as on a device; `reset` starts anew.

    Args:
        elf: the image, linked for the two memories.
        core: the core.
        flash: memory that is only read.
        ram: memory that is written; the stack grows down from its end.

    Raises:
        QDeployError: the image does not fit the memories or the emulator lacks the core.
    """

    def __init__(self, elf: Path, core: Core, flash: Region, ram: Region) -> None:
        self._core = core
        self._elf = elf
        self._flash = _mapping("flash", flash.origin, flash.bytes, executable=True)
        self._ram = _mapping("RAM", ram.origin, ram.bytes, writable=True)
        self._harness = _mapping(
            "memory of the harness", _free_place(flash, ram), _HARNESS_BYTES, writable=True
        )
        # Functions return to a page of its own behind the harness: only it runs code there.
        landing = self._harness.origin + _HARNESS_BYTES
        self._landing = _mapping("the place to return to", landing, PAGE, executable=True)
        self._next = self._harness.origin
        self._stack_top = ram.end & ~7
        self.symbols: MappingType[str, int] = symbols(elf)
        self._functions = sorted(
            (address & ~1, name)
            for name, address in self.symbols.items()
            if flash.origin <= address < flash.end
        )
        for address, content in flash_contents(elf).items():
            try:
                self._store(address, content)
            except ValueError:
                raise QDeployError(
                    f"{elf.name}: {len(content)} bytes at {address:#010x} lie in none of the "
                    "target's memories; link the image for this target"
                ) from None
        self._initial = self._read_flash("__data_load", "__data_start", "__data_end")
        ends = [self.symbols.get(name, 0) for name in ("__data_end", "__bss_end")]
        self._variables_end = max(ram.origin, *ends)
        self._anywhere = "unaligned" in core.extensions
        self._blocks = BlockCounter(Decoder(core), self.read)
        self._fast: Engine | None = None
        self._strict: Engine | None = None
        self._counting: Engine | None = None
        self._trace = array("q")
        self._reads = array("q")
        self._lowest = self._stack_top
        self.reset()

    def reset(self) -> None:
        """Initialise variables as start-up code does: .data from flash, .bss to zero."""
        if self._initial:
            self.write(self.symbols["__data_start"], self._initial)
        start, end = (self.symbols.get(name, 0) for name in ("__bss_start", "__bss_end"))
        if end > start:
            self.write(start, bytes(end - start))

    def allocate(self, size: int, align: int = 8) -> int:
        """Address of some bytes for inputs or outputs, which nothing else uses.

        Raises:
            QDeployError: there is not that much memory.
        """
        address = -(-self._next // align) * align
        if address + size > self._harness.origin + _HARNESS_BYTES:
            raise QDeployError(
                f"the emulator has {_HARNESS_BYTES >> 20} MiB for inputs and outputs, and "
                f"{size} bytes more do not fit; use the memory of earlier calls again"
            )
        self._next = address + size
        return address

    def write(self, address: int, data: bytes) -> None:
        """Write to memory, from outside: RAM and harness only.

        Raises:
            ValueError: the bytes do not lie in these.
        """
        mapping = self._holding(address, len(data))
        if not mapping.writable:
            raise ValueError(f"{address:#x} is {mapping.name}, which is only read")
        self._store(address, data)

    def read(self, address: int, size: int) -> bytes:
        """Read memory, from outside.

        Raises:
            ValueError: the bytes do not lie in one memory.
        """
        mapping = self._holding(address, size)
        return ctypes.string_at(ctypes.addressof(mapping.memory) + address - mapping.origin, size)

    def call(self, symbol: str, *arguments: int, strict: bool = False) -> int:
        """Call a function.

        Args:
            symbol: its name.
            arguments: numbers of 32 bits, at most 4 (Arm) or 8 (RISC-V).
            strict: also see that every access is aligned as this core needs it; several times
                slower where accesses are many.

        Returns:
            Its result, as an unsigned number of 32 bits.

        Raises:
            QDeployError: there is no such function, or it does what the core or its memory does
                not allow; the message names the address.
        """
        if strict and (self._anywhere or self._core.architecture == "riscv32"):
            if self._strict is None:
                self._strict = self._engine()
                self._strict.on_access(self._checker(self._strict))
            engine = self._strict
        else:
            if self._fast is None:
                self._fast = self._engine()
            engine = self._fast
        return self._run(engine, symbol, arguments)

    def count(self, symbol: str, *arguments: int) -> Counts:
        """Call a function and count what it executes; its result is read from its outputs.

        Where a core can do no access that is not aligned, such an access is an error here as in a
        strict call.

        Raises:
            QDeployError: as for `call`; or the stack ran into the variables, or an instruction is
                none of the core's.
        """
        if self._counting is None:
            self._counting = engine = self._engine()
            engine.on_block(self._record_block)
            if self._core.architecture == "riscv32":
                engine.on_access(self._checker(engine))
            flash = self._flash
            engine.on_read(flash.origin, flash.origin + len(flash.memory), self._record_read)
        del self._trace[:], self._reads[:]
        self._lowest = self._stack_top
        stack = self._paint()
        self._run(self._counting, symbol, arguments)
        # Frames move the stack pointer, whether or not all of them is written; what is written
        # between two blocks shows in the paint.
        used = np.flatnonzero(stack != _PAINT)
        written = stack.size - int(used[0]) if used.size else 0
        depth = max(written, self._stack_top - self._lowest)
        if depth >= stack.size:
            raise self._overflow(symbol)
        blocks = np.array(self._trace, dtype=np.int64).reshape(-1, 2)
        reads = np.array(self._reads, dtype=np.int64).reshape(-1, 2)
        return self._blocks.counts(blocks[:, 0], blocks[:, 1], (reads[:, 0], reads[:, 1]), depth)

    def _record_block(self, address: int, size: int, stack: int) -> None:
        self._trace.extend((address, size))
        if stack < self._lowest:
            self._lowest = stack

    def _record_read(self, address: int, size: int) -> None:
        self._reads.extend((address, size))

    def _engine(self) -> Engine:
        mappings = (self._flash, self._ram, self._harness, self._landing)
        return Engine(self._core, mappings, self._landing.origin)

    def _run(self, engine: Engine, symbol: str, arguments: tuple[int, ...]) -> int:
        address = self.symbols.get(symbol)
        if address is None:
            raise QDeployError(f"{self._elf.name}: there is no function {symbol!r}")
        try:
            return engine.call(address, self._stack_top, arguments)
        except Fault as fault:
            if engine.stack_pointer < self._variables_end:
                raise self._overflow(symbol) from None
            raise QDeployError(
                f"{self._elf.name}: {symbol} {fault.reason}, in {self._place(fault.address)}"
            ) from None

    def _overflow(self, symbol: str) -> QDeployError:
        room = self._stack_top - self._variables_end
        return QDeployError(
            f"{self._elf.name}: the stack of {symbol} fills all {room} bytes of RAM beside the "
            "variables; choose a target with more RAM"
        )

    def _checker(self, engine: Engine) -> Callable[[int, int], None]:
        """A check that accesses are aligned as the core needs it; it ends the call otherwise.

        unicorn itself checks for ARMv6-M, and for no other core.
        """
        decoder = Decoder(self._core)

        def check(address: int, size: int) -> None:
            if address & (size - 1) == 0:
                return
            counter = engine.program_counter
            if self._anywhere:
                # Only loads and stores of one register may be anywhere.
                instruction = decoder.first(self.read(counter, 4), counter)
                if instruction.kind in ("load", "store"):
                    return
            engine.stop(f"accesses {size} bytes at {address:#010x}, which is not aligned")

        return check

    def _paint(self) -> NDArray[np.uint8]:
        """Fill the unused part of the stack; the view on it, from its lower end."""
        memory = np.frombuffer(memoryview(self._ram.memory), dtype=np.uint8)
        origin = self._ram.origin
        view = memory[self._variables_end - origin : self._stack_top - origin]
        view[:] = _PAINT
        return view

    def _place(self, address: int) -> str:
        """An address in words: the function that it lies in, and how far."""
        index = bisect_right(self._functions, (address, "\U0010ffff")) - 1
        if index < 0 or not self._holds(self._flash, address, 1):
            return f"no function of the image ({address:#010x})"
        start, name = self._functions[index]
        return f"{name}+{address - start:#x} ({address:#010x})"

    def _read_flash(self, load: str, start: str, end: str) -> bytes:
        """Initial values of the variables between two symbols."""
        if not all(name in self.symbols for name in (load, start, end)):
            return b""
        return self.read(self.symbols[load], self.symbols[end] - self.symbols[start])

    def _holding(self, address: int, size: int) -> Mapping:
        for mapping in (self._ram, self._harness, self._flash):
            if self._holds(mapping, address, size):
                return mapping
        raise ValueError(f"{size} bytes at {address:#x} do not lie in one memory")

    @staticmethod
    def _holds(mapping: Mapping, address: int, size: int) -> bool:
        return mapping.origin <= address <= mapping.origin + len(mapping.memory) - size

    def _store(self, address: int, data: bytes) -> None:
        mapping = self._holding(address, len(data))
        ctypes.memmove(ctypes.addressof(mapping.memory) + address - mapping.origin, data, len(data))


def _mapping(
    name: str, origin: int, size: int, *, writable: bool = False, executable: bool = False
) -> Mapping:
    """Memory that covers a range, in whole pages."""
    start = origin // PAGE * PAGE
    length = -(-(origin + size - start) // PAGE) * PAGE
    return Mapping(name, start, (ctypes.c_char * length)(), writable, executable)


def _free_place(flash: Region, ram: Region) -> int:
    """An address for the harness that leaves a gap to both memories."""
    gap = 2 * _HARNESS_BYTES
    return next(
        place
        for place in _HARNESS_PLACES
        if all(place + gap < memory.origin or place >= memory.end + gap for memory in (flash, ram))
    )
