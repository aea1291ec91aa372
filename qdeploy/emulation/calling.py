"""What emulated programs of every kind share: memory for arguments, calls, traces, faults."""

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy.emulation.engine import Engine, Fault
from qdeploy.emulation.memory import Mapping, Memory, Stack
from qdeploy.errors import QDeployError
from qdeploy.targets.cores import CompilerCore

__all__ = ["CallingMachine", "Trace"]


@dataclass(frozen=True)
class Trace:
    """What a counted call did.

    Attributes:
        blocks: (n,) addresses of the blocks that ran, in order.
        sizes: (n,) their bytes.
        reads: addresses and bytes of the reads of constants, in order.
        stack_bytes: deepest stack.
    """

    blocks: NDArray[np.int64]
    sizes: NDArray[np.int64]
    reads: tuple[NDArray[np.int64], NDArray[np.int64]]
    stack_bytes: int


class CallingMachine(ABC):
    """Functions of a file that was linked, in memory of which every access beside it is an error.

    Args:
        elf: the file, for messages.
        core: what it runs on.
        symbols: addresses of its functions.
        memory: what its surroundings read and write.
        landing: memory of its own that functions return to.
        stack: where their stack lies.
        code: the pieces that functions lie in.
        constants: the pieces whose reads are recorded in traces.
    """

    def __init__(
        self,
        elf: Path,
        core: CompilerCore,
        symbols: MappingType[str, int],
        memory: Memory,
        landing: Mapping,
        stack: Stack,
        code: Sequence[Mapping],
        constants: Sequence[Mapping],
    ) -> None:
        self.symbols = symbols
        self._elf = elf
        self._core = core
        self._memory = memory
        self._landing = landing
        self._stack = stack
        self._code = tuple(code)
        self._constants = tuple(constants)
        self._functions = sorted(
            (address & ~1, name)
            for name, address in symbols.items()
            if any(piece.holds(address, 1) for piece in self._code)
        )
        self._fast: Engine | None = None
        self._counting: Engine | None = None
        self._blocks = array("q")
        self._reads = array("q")
        self._lowest = stack.top

    def allocate(self, size: int, align: int = 8) -> int:
        """Address of some bytes for inputs or outputs, which nothing else uses.

        Raises:
            QDeployError: there is not that much memory.
        """
        return self._memory.allocate(size, align)

    def write(self, address: int, data: bytes) -> None:
        """Write to memory, from outside: only where the program may write.

        Raises:
            ValueError: the bytes do not lie in such memory.
        """
        self._memory.write(address, data)

    def read(self, address: int, size: int) -> bytes:
        """Read memory, from outside.

        Raises:
            ValueError: the bytes do not lie in one memory.
        """
        return self._memory.read(address, size)

    def _call(self, symbol: str, arguments: tuple[int, ...]) -> int:
        """Call a function in an engine without hooks."""
        if self._fast is None:
            self._fast = self._engine()
        return self._run(self._fast, symbol, arguments)

    def _traced(self, symbol: str, arguments: tuple[int, ...]) -> Trace:
        """Call a function and record what it does."""
        if self._counting is None:
            self._counting = self._counting_engine()
        del self._blocks[:], self._reads[:]
        self._lowest = self._stack.top
        self._stack.paint()
        self._run(self._counting, symbol, arguments)
        # Frames move the stack pointer, whether or not all of them is written; what is written
        # between two blocks shows in the paint.
        depth = max(self._stack.written(), self._stack.top - self._lowest)
        if depth >= self._stack.top - self._stack.bottom:
            raise self._overflow(symbol)
        blocks = np.array(self._blocks, dtype=np.int64).reshape(-1, 2)
        reads = np.array(self._reads, dtype=np.int64).reshape(-1, 2)
        return Trace(blocks[:, 0], blocks[:, 1], (reads[:, 0], reads[:, 1]), depth)

    def _counting_engine(self) -> Engine:
        """An engine that records blocks and reads of constants."""
        engine = self._engine()
        engine.on_block(self._record_block)
        for piece in self._constants:
            engine.on_read(piece.origin, piece.origin + len(piece.memory), self._record_read)
        return engine

    def _engine(self) -> Engine:
        return Engine(self._core, (*self._memory.pieces, self._landing), self._landing.origin)

    def _record_block(self, address: int, size: int, stack: int) -> None:
        self._blocks.extend((address, size))
        if stack < self._lowest:
            self._lowest = stack

    def _record_read(self, address: int, size: int) -> None:
        self._reads.extend((address, size))

    def _run(self, engine: Engine, symbol: str, arguments: tuple[int, ...]) -> int:
        address = self.symbols.get(symbol)
        if address is None:
            raise QDeployError(f"{self._elf.name}: there is no function {symbol!r}")
        try:
            return engine.call(address, self._stack.top, arguments)
        except Fault as fault:
            if engine.stack_pointer < self._stack.bottom:
                raise self._overflow(symbol) from None
            raise QDeployError(
                f"{self._elf.name}: {symbol} {fault.reason}, in {self._place(fault.address)}"
            ) from None

    @abstractmethod
    def _overflow(self, symbol: str) -> QDeployError:
        """The error of a function whose stack is too deep."""

    def _place(self, address: int) -> str:
        """An address in words: the function that it lies in, and how far."""
        index = bisect_right(self._functions, (address, "\U0010ffff")) - 1
        if index < 0 or not any(piece.holds(address, 1) for piece in self._code):
            return f"no function of the image ({address:#010x})"
        start, name = self._functions[index]
        return f"{name}+{address - start:#x} ({address:#010x})"
