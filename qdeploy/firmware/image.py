"""What a linked image takes of a chip's memories, read from its ELF file."""

from dataclasses import dataclass
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

__all__ = ["Image", "flash_contents", "read_image", "symbols"]


@dataclass(frozen=True)
class Image:
    """A linked image and its sizes in bytes.

    Attributes:
        elf: the file.
        code: machine code, with the constants that compilers put between functions, and what the
            chip's boot ROM wants.
        constants: read-only data, such as weights.
        data: variables with initial values: they take flash and RAM.
        bss: variables that start as zero.
    """

    elf: Path
    code: int
    constants: int
    data: int
    bss: int

    @property
    def flash_bytes(self) -> int:
        """Flash: code, constants and initial values."""
        return self.code + self.constants + self.data

    @property
    def ram_bytes(self) -> int:
        """RAM of variables, without the stack."""
        return self.data + self.bss


def read_image(elf: Path) -> Image:
    """Sizes of an ELF file that was linked by qdeploy's linker script."""
    sizes = {"code": 0, "constants": 0, "data": 0, "bss": 0}
    with elf.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            flags = section["sh_flags"]
            if not flags & SH_FLAGS.SHF_ALLOC:
                continue
            if section["sh_type"] == "SHT_NOBITS":
                kind = "bss"
            elif flags & SH_FLAGS.SHF_EXECINSTR:
                kind = "code"
            elif flags & SH_FLAGS.SHF_WRITE:
                kind = "data"
            else:
                kind = "constants"
            sizes[kind] += section["sh_size"]
    return Image(elf, **sizes)


def flash_contents(elf: Path) -> dict[int, bytes]:
    """What is written to flash: address and bytes of each piece, by address."""
    with elf.open("rb") as file:
        pieces = {
            segment["p_paddr"]: segment.data()
            for segment in ELFFile(file).iter_segments("PT_LOAD")
            if segment["p_filesz"]
        }
    return dict(sorted(pieces.items()))


def symbols(elf: Path) -> dict[str, int]:
    """Addresses of the global symbols; bit 0 of a Thumb function's address is set."""
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {
            symbol.name: symbol["st_value"]
            for symbol in table.iter_symbols()
            if symbol.name and symbol["st_info"]["type"] not in ("STT_FILE", "STT_SECTION")
        }
