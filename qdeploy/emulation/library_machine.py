"""A shared library for 64-bit ARM Linux, inside this process: its functions called as C would.

The library must not need anything else. unicorn executes what the core has, and for cores with dot
products more than that, which `count` alone refuses; the products of bytes that unicorn lacks are
carried out here (`qdeploy.emulation.matrices`).
"""

from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from qdeploy.emulation.aarch64 import Aarch64Decoder
from qdeploy.emulation.block_counts import BlockCounts, count_blocks
from qdeploy.emulation.calling import CallingMachine
from qdeploy.emulation.memory import PAGE, Mapping, Memory, Stack, mapping
from qdeploy.errors import QDeployError
from qdeploy.targets import ArmCore

__all__ = ["LibraryMachine"]

_BASE = 0x55_5000_0000
"""Where libraries lie: above 4 GiB, as under Linux, so that addresses cut to 32 bits fail."""

_HARNESS, _HARNESS_BYTES = 0x7F_0000_0000, 64 * 1024 * 1024
"""Memory for inputs and outputs."""

_STACK, _STACK_BYTES = 0x7F_F000_0000, 1024 * 1024
_LANDING = 0x7F_F800_0000

_WRITABLE, _EXECUTABLE = 2, 1
"""Bits of the rights of a segment."""

_ABSOLUTE, _GLOBAL, _JUMP, _RELATIVE = 257, 1025, 1026, 1027
"""Relocations of "ELF for the Arm 64-bit Architecture" that a library without imports can have."""


class LibraryMachine(CallingMachine):
    """Runs the functions of a library.

    Memory is the library, 64 MiB for inputs and outputs and a stack of 1 MiB, with nothing between
    them: any access beside them, and any store to what the library does not write, is an error.
    What a call leaves in the library's variables is there in the next one.

    Args:
        library: the file.
        core: what it is compiled for.

    Raises:
        QDeployError: the file is no such library, or needs something that it does not bring.
    """

    def __init__(self, library: Path, core: ArmCore) -> None:
        harness = mapping("memory of the harness", _HARNESS, _HARNESS_BYTES, writable=True)
        stack = mapping("the stack", _STACK, _STACK_BYTES, writable=True)
        with library.open("rb") as file:
            elf = _checked(library, file)
            segments = tuple(_segments(elf))
            super().__init__(
                library,
                core,
                _symbols(elf),
                Memory((*segments, harness, stack), harness),
                mapping("the place to return to", _LANDING, PAGE, executable=True),
                Stack(stack, _STACK, _STACK + _STACK_BYTES),
                code=[segment for segment in segments if segment.executable],
                constants=segments,
            )
            for segment in elf.iter_segments("PT_LOAD"):
                self._memory.store(_BASE + segment["p_vaddr"], segment.data())
            self._relocate(elf)
        self._decoder = Aarch64Decoder(core)

    def call(self, symbol: str, *arguments: int) -> int:
        """Call a function.

        Args:
            symbol: its name.
            arguments: integers and addresses, at most 8.

        Returns:
            Its result, as an unsigned number of 64 bits, of which C defines the lower ones alone
            where the type is shorter.

        Raises:
            QDeployError: there is no such function, or it does what the core or its memory does
                not allow; the message names the address.
        """
        return self._call(symbol, arguments)

    def count(self, symbol: str, *arguments: int) -> BlockCounts:
        """Call a function and count what it executes; its result is read from its outputs.

        Raises:
            QDeployError: as for `call`; or an instruction is none of the core's.
        """
        return count_blocks(self._traced(symbol, arguments), self._decoder, self.read)

    def _overflow(self, symbol: str) -> QDeployError:
        return QDeployError(
            f"{self._elf.name}: the stack of {symbol} fills all {_STACK_BYTES >> 20} MiB that the "
            "emulator has for it; compile fewer samples a batch, or less scratch memory"
        )

    def _relocate(self, elf: ELFFile) -> None:
        """Put addresses where the dynamic linker would."""
        for section in elf.iter_sections("SHT_RELA"):
            symbols = elf.get_section(section["sh_link"])
            for entry in section.iter_relocations():
                kind, value = entry["r_info_type"], entry["r_addend"]
                if kind in (_ABSOLUTE, _GLOBAL, _JUMP):
                    assert isinstance(symbols, SymbolTableSection)
                    symbol = symbols.get_symbol(entry["r_info_sym"])
                    if symbol["st_shndx"] == "SHN_UNDEF":
                        raise QDeployError(
                            f"{self._elf.name}: needs {symbol.name!r}, which it does not bring; "
                            "link it into the library"
                        )
                    value += symbol["st_value"]
                elif kind != _RELATIVE:
                    raise QDeployError(
                        f"{self._elf.name}: the relocation of kind {kind} at "
                        f"{entry['r_offset']:#x} is none that the emulator knows; link without "
                        "thread-local variables and indirect functions"
                    )
                address = _BASE + entry["r_offset"]
                self._memory.store(address, (_BASE + value).to_bytes(8, "little"))


def _checked(library: Path, file: object) -> ELFFile:
    """The file, when it is a library for this architecture."""
    from elftools.common.exceptions import ELFError

    try:
        elf = ELFFile(file)
    except ELFError as fault:
        raise QDeployError(f"{library.name}: is no ELF file ({fault})") from None
    if (elf["e_machine"], elf["e_type"]) != ("EM_AARCH64", "ET_DYN"):
        raise QDeployError(
            f"{library.name}: is no shared library for 64-bit ARM; compile for a target of the "
            "family 'arm'"
        )
    return elf


def _symbols(elf: ELFFile) -> dict[str, int]:
    """Addresses of what the library defines, functions that it does not export among it."""
    return {
        symbol.name: _BASE + symbol["st_value"]
        for section in elf.iter_sections()
        if isinstance(section, SymbolTableSection)
        for symbol in section.iter_symbols()
        if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["type"] in _NAMED
    }


_NAMED = ("STT_FUNC", "STT_OBJECT")
"""Kinds of symbols that are not marks of assemblers."""


def _segments(elf: ELFFile) -> Iterator[Mapping]:
    """Memory of the library: a piece for neighbouring pages of equal rights."""
    rights: dict[int, int] = {}
    for segment in elf.iter_segments("PT_LOAD"):
        first = segment["p_vaddr"] // PAGE
        end = -(-(segment["p_vaddr"] + segment["p_memsz"]) // PAGE)
        for page in range(first, end):
            rights[page] = rights.get(page, 0) | segment["p_flags"]
    pages = sorted(rights)
    begin = 0
    for place, page in enumerate(pages, 1):
        if place < len(pages) and (pages[place], rights[pages[place]]) == (page + 1, rights[page]):
            continue
        yield mapping(
            "memory of the library",
            _BASE + pages[begin] * PAGE,
            (page + 1 - pages[begin]) * PAGE,
            writable=bool(rights[page] & _WRITABLE),
            executable=bool(rights[page] & _EXECUTABLE),
        )
        begin = place
