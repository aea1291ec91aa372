"""The benchmark firmware of a board: runtime, board tables and model, as ELF, BIN and HEX."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qdeploy.errors import QDeployError
from qdeploy.firmware.boot import rp2040_stage
from qdeploy.firmware.image import Image, flash_contents, read_image
from qdeploy.firmware.interface import ModelInterface
from qdeploy.firmware.linking import linker_script, runtime_folder
from qdeploy.firmware.sources import configuration, runtime_sources, tables
from qdeploy.targets import Core, McuTarget
from qdeploy.toolchains import Toolchain

__all__ = ["Firmware", "build_firmware"]

_STACK = 1024
"""Bytes of RAM that must be left for the stack."""
_ERASED = 0xFF
"""What flash holds where nothing was written."""


@dataclass(frozen=True)
class Firmware:
    """A firmware that can be flashed.

    Attributes:
        elf: with symbols, for debuggers, emulators and pyocd.
        bin: the bytes from the start of flash.
        hex: the same with addresses, as Intel HEX.
        image: what it takes of the memories.
    """

    elf: Path
    bin: Path
    hex: Path
    image: Image


def build_firmware(
    target: McuTarget,
    core: Core,
    objects: Sequence[Path],
    interface: ModelInterface,
    folder: Path,
    toolchain: Toolchain,
    *,
    energy: bool = False,
) -> Firmware:
    """Build the benchmark firmware.

    Args:
        target: the board.
        core: its core.
        objects: the model's objects or archives.
        interface: how the model is called.
        folder: where firmware.elf, firmware.bin and firmware.hex go.
        toolchain: what to compile and link with.
        energy: build for an energy meter: pulses instead of time stamps, the slower baud rate.

    Raises:
        QDeployError: the target lacks what the firmware needs, or a memory is too small.
    """
    with tempfile.TemporaryDirectory(prefix="qdeploy-") as temporary:
        work = Path(temporary)
        header = configuration(target, core, interface, energy=energy)
        (work / "configuration.h").write_text(header, encoding="utf-8")
        (work / "tables.c").write_text(tables(target, energy=energy), encoding="utf-8")
        (work / "firmware.ld").write_text(linker_script(target.flash, target.ram), encoding="utf-8")
        sources = [*runtime_sources(target, core), work / "tables.c"]
        if target.boot == "rp2040":
            sources.append(rp2040_stage(core, toolchain, work))
        built = toolchain.compile(
            core, sources, work, include=[work, runtime_folder()], optimize="-Os"
        )
        elf = folder / "firmware.elf"
        toolchain.link(core, [*built, *objects], work / "firmware.ld", elf, entry="reset_handler")
    image = read_image(elf)
    if image.ram_bytes + _STACK > target.ram.bytes:
        raise QDeployError(
            f"target {target.name}: variables take {image.ram_bytes} of {target.ram.bytes} bytes "
            f"of RAM and leave less than {_STACK} for the stack; make the model smaller"
        )
    return Firmware(elf, *_flash_files(elf, target.flash.origin), image)


def _flash_files(elf: Path, origin: int) -> tuple[Path, Path]:
    """Write what is flashed as BIN and HEX beside the ELF file."""
    from intelhex import IntelHex

    contents = IntelHex()
    for address, data in flash_contents(elf).items():
        contents.puts(address, data)
    contents.padding = _ERASED
    binary, text = elf.with_suffix(".bin"), elf.with_suffix(".hex")
    binary.write_bytes(contents.tobinstr(start=origin))
    contents.write_hex_file(str(text))
    return binary, text
