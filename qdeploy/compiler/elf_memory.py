"""Bytes of a linked library, by what they are for."""

from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from qdeploy.compiler.hosted_artifact import Memory

__all__ = ["library_memory"]


def library_memory(library: Path, scratch: int) -> Memory:
    """Sizes of the sections that hold code and data.

    Args:
        library: an ELF file.
        scratch: stack that the larger of the functions needs for working memory.
    """
    code = constants = writable = 0
    with library.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            size, flags = section["sh_size"], section["sh_flags"]
            if not flags & SH_FLAGS.SHF_ALLOC:
                continue
            if section.name.startswith(".text"):
                code += size
            elif section.name.startswith(".rodata"):
                constants += size
            elif section.name.startswith((".data", ".bss")):
                writable += size
    return Memory(code=code, constants=constants, scratch=scratch, writable=writable)
