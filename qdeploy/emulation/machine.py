"""A core with its memory and a linked image, inside this process.

Functions of the image are called as C would call them. Calls are fast; counting and strict calls
run in engines of their own on the same memory, whose hooks see every block, read or access.
"""

from collections.abc import Callable
from pathlib import Path

from qdeploy.emulation.calling import CallingMachine
from qdeploy.emulation.counting import BlockCounter, Counts
from qdeploy.emulation.engine import Engine
from qdeploy.emulation.instructions import Decoder
from qdeploy.emulation.memory import PAGE, Memory, Stack, mapping
from qdeploy.errors import QDeployError
from qdeploy.firmware.image import flash_contents, symbols
from qdeploy.targets import Core, Region

__all__ = ["Machine"]

_HARNESS_BYTES = 16 * 1024 * 1024
"""Memory for inputs and outputs."""

_HARNESS_PLACES = (0x60000000, 0x40000000, 0x10000000, 0x30000000)
"""Where it may lie: not above, where M-profile cores have system registers and return codes."""

_ENDS_OF_VARIABLES = ("__data_end", "__bss_end")


class Machine(CallingMachine):
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
        harness = mapping(
            "memory of the harness", _free_place(flash, ram), _HARNESS_BYTES, writable=True
        )
        # Functions return to a page of its own behind the harness: only it runs code there.
        landing = harness.origin + _HARNESS_BYTES
        only_read = mapping("flash", flash.origin, flash.bytes, executable=True)
        written = mapping("RAM", ram.origin, ram.bytes, writable=True)
        found = symbols(elf)
        variables_end = max(ram.origin, *(found.get(each, 0) for each in _ENDS_OF_VARIABLES))
        super().__init__(
            elf,
            core,
            found,
            Memory((written, harness, only_read), harness),
            mapping("the place to return to", landing, PAGE, executable=True),
            Stack(written, variables_end, ram.end & ~7),
            code=(only_read,),
            constants=(only_read,),
        )
        for address, content in flash_contents(elf).items():
            try:
                self._memory.store(address, content)
            except ValueError:
                raise QDeployError(
                    f"{elf.name}: {len(content)} bytes at {address:#010x} lie in none of the "
                    "target's memories; link the image for this target"
                ) from None
        self._initial = self._read_flash("__data_load", "__data_start", "__data_end")
        self._aligned = core.architecture == "riscv32"
        self._anywhere = "unaligned" in core.extensions
        self._counter = BlockCounter(Decoder(core), self.read)
        self._decoder = Decoder(core)
        self._strict: Engine | None = None
        self.reset()

    def reset(self) -> None:
        """Initialise variables as start-up code does: .data from flash, .bss to zero."""
        if self._initial:
            self.write(self.symbols["__data_start"], self._initial)
        start, end = (self.symbols.get(name, 0) for name in ("__bss_start", "__bss_end"))
        if end > start:
            self.write(start, bytes(end - start))

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
        if not strict or not (self._anywhere or self._aligned):
            return self._call(symbol, arguments)
        if self._strict is None:
            self._strict = self._engine()
            self._strict.on_access(self._checker(self._strict))
        return self._run(self._strict, symbol, arguments)

    def count(self, symbol: str, *arguments: int) -> Counts:
        """Call a function and count what it executes; its result is read from its outputs.

        Where a core can do no access that is not aligned, such an access is an error here as in a
        strict call.

        Raises:
            QDeployError: as for `call`; or the stack ran into the variables, or an instruction is
                none of the core's.
        """
        trace = self._traced(symbol, arguments)
        return self._counter.counts(trace.blocks, trace.sizes, trace.reads, trace.stack_bytes)

    def _counting_engine(self) -> Engine:
        engine = super()._counting_engine()
        if self._aligned:
            engine.on_access(self._checker(engine))
        return engine

    def _overflow(self, symbol: str) -> QDeployError:
        room = self._stack.top - self._stack.bottom
        return QDeployError(
            f"{self._elf.name}: the stack of {symbol} fills all {room} bytes of RAM beside the "
            "variables; choose a target with more RAM"
        )

    def _checker(self, engine: Engine) -> Callable[[int, int], None]:
        """A check that accesses are aligned as the core needs it; it ends the call otherwise.

        unicorn itself checks for ARMv6-M, and for no other core.
        """

        def check(address: int, size: int) -> None:
            if address & (size - 1) == 0:
                return
            counter = engine.program_counter
            if self._anywhere:
                # Only loads and stores of one register may be anywhere.
                instruction = self._decoder.first(self.read(counter, 4), counter)
                if instruction.kind in ("load", "store"):
                    return
            engine.stop(f"accesses {size} bytes at {address:#010x}, which is not aligned")

        return check

    def _read_flash(self, load: str, start: str, end: str) -> bytes:
        """Initial values of the variables between two symbols."""
        if not all(name in self.symbols for name in (load, start, end)):
            return b""
        return self.read(self.symbols[load], self.symbols[end] - self.symbols[start])


def _free_place(flash: Region, ram: Region) -> int:
    """An address for the harness that leaves a gap to both memories."""
    gap = 2 * _HARNESS_BYTES
    return next(
        place
        for place in _HARNESS_PLACES
        if all(place + gap < memory.origin or place >= memory.end + gap for memory in (flash, ram))
    )
