"""The second boot stage of the RP2040: 252 bytes of code with their checksum."""

from pathlib import Path

from elftools.elf.elffile import ELFFile

from qdeploy.firmware.linking import runtime_folder
from qdeploy.targets import Core
from qdeploy.toolchains import Toolchain

__all__ = ["checksum", "rp2040_stage"]

_SIZE = 252
"""Bytes that the checksum is for (RP2040 datasheet, 2.8.1.3.1)."""


def checksum(data: bytes) -> int:
    """CRC-32 as the boot ROM computes it (RP2040 datasheet, 2.8.1.3.1).

    Polynomial 0x04C11DB7, start value 0xFFFFFFFF, the highest bit first, nothing reflected or
    inverted.
    """
    register = 0xFFFF_FFFF
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ (0x04C1_1DB7 if register & 0x8000_0000 else 0)
            register &= 0xFFFF_FFFF
    return register


def rp2040_stage(core: Core, toolchain: Toolchain, folder: Path) -> Path:
    """Assemble the stage and write it, complete, as a C source.

    Args:
        core: the RP2040's.
        toolchain: what to assemble with.
        folder: where to write.

    Returns:
        ``folder/boot2.c``, whose array goes into the section ``.boot2``.
    """
    (built,) = toolchain.compile(core, [runtime_folder() / "boot_rp2040.S"], folder)
    with built.open("rb") as file:
        code = ELFFile(file).get_section_by_name(".text").data()
    if len(code) > _SIZE:
        raise ValueError(f"the boot stage has {len(code)} bytes, more than {_SIZE}")
    code = code.ljust(_SIZE, b"\0")
    stage = code + checksum(code).to_bytes(4, "little")
    rows = (
        "    " + ", ".join(f"0x{byte:02x}" for byte in stage[start : start + 12]) + ","
        for start in range(0, len(stage), 12)
    )
    source = folder / "boot2.c"
    source.write_text(
        "/* Made by qdeploy: boot_rp2040.S and its checksum. */\n\n"
        "#include <stdint.h>\n\n"
        '__attribute__((section(".boot2"), used)) const uint8_t boot2[256] = {\n'
        + "\n".join(rows)
        + "\n};\n",
        encoding="utf-8",
    )
    return source
