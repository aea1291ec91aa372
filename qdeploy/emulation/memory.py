"""Memory of an emulated program: pieces that all its engines share, and room for arguments."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError

__all__ = ["PAGE", "Mapping", "Memory", "Stack", "mapping"]

PAGE = 4096
"""Granularity of memory in unicorn."""

_PAINT = 0xA5
"""Byte that unused stack is filled with before a call is counted."""


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

    def holds(self, address: int, size: int) -> bool:
        """Whether some bytes lie in it."""
        return self.origin <= address <= self.origin + len(self.memory) - size


def mapping(
    name: str, origin: int, size: int, *, writable: bool = False, executable: bool = False
) -> Mapping:
    """Memory that covers a range, in whole pages."""
    start = origin // PAGE * PAGE
    length = -(-(origin + size - start) // PAGE) * PAGE
    return Mapping(name, start, (ctypes.c_char * length)(), writable, executable)


class Memory:
    """Pieces of memory as the program's surroundings see them.

    Args:
        pieces: what can be read, and where it is writable also written, from outside.
        harness: one of them, for inputs and outputs.
    """

    def __init__(self, pieces: Sequence[Mapping], harness: Mapping) -> None:
        self.pieces = tuple(pieces)
        self._harness = harness
        self._next = harness.origin

    def allocate(self, size: int, align: int) -> int:
        """Address of some bytes of the harness, which nothing else uses.

        Raises:
            QDeployError: there is not that much memory.
        """
        address = -(-self._next // align) * align
        room = len(self._harness.memory)
        if address + size > self._harness.origin + room:
            raise QDeployError(
                f"the emulator has {room >> 20} MiB for inputs and outputs, and "
                f"{size} bytes more do not fit; use the memory of earlier calls again"
            )
        self._next = address + size
        return address

    def write(self, address: int, data: bytes) -> None:
        """Write where the program may write.

        Raises:
            ValueError: the bytes do not lie in such memory.
        """
        piece = self.holding(address, len(data))
        if not piece.writable:
            raise ValueError(f"{address:#x} is {piece.name}, which is only read")
        self.store(address, data)

    def store(self, address: int, data: bytes) -> None:
        """Write anywhere, as who loads a program does.

        Raises:
            ValueError: the bytes do not lie in one piece.
        """
        piece = self.holding(address, len(data))
        ctypes.memmove(ctypes.addressof(piece.memory) + address - piece.origin, data, len(data))

    def read(self, address: int, size: int) -> bytes:
        """Bytes at an address.

        Raises:
            ValueError: they do not lie in one piece.
        """
        piece = self.holding(address, size)
        return ctypes.string_at(ctypes.addressof(piece.memory) + address - piece.origin, size)

    def holding(self, address: int, size: int) -> Mapping:
        """The piece that some bytes lie in.

        Raises:
            ValueError: there is none.
        """
        for piece in self.pieces:
            if piece.holds(address, size):
                return piece
        raise ValueError(f"{size} bytes at {address:#x} do not lie in one memory")


@dataclass(frozen=True)
class Stack:
    """Where a stack lies in a piece of memory.

    Attributes:
        piece: the memory.
        bottom: lowest address that it may use.
        top: where it starts; it grows down.
    """

    piece: Mapping
    bottom: int
    top: int

    def paint(self) -> None:
        """Fill it with a pattern, by which `written` knows what was used."""
        self._bytes[:] = _PAINT

    def written(self) -> int:
        """Bytes from the top to the lowest that is no longer painted."""
        used = np.flatnonzero(self._bytes != _PAINT)
        return self._bytes.size - int(used[0]) if used.size else 0

    @property
    def _bytes(self) -> NDArray[np.uint8]:
        memory = np.frombuffer(memoryview(self.piece.memory), dtype=np.uint8)
        return memory[self.bottom - self.piece.origin : self.top - self.piece.origin]
