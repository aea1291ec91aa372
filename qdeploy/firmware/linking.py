"""Linker script and plain images: functions at the addresses of a target, without start-up code."""

import string
import tempfile
from collections.abc import Sequence
from pathlib import Path

from qdeploy.firmware.image import Image, read_image
from qdeploy.targets import Core, Region
from qdeploy.targets.tables import folder
from qdeploy.toolchains import Toolchain

__all__ = ["link_plain", "linker_script", "runtime_folder"]


def runtime_folder() -> Path:
    """The sources that every firmware shares."""
    return folder() / "mcu" / "runtime"


def linker_script(flash: Region, ram: Region) -> str:
    """The linker script for two memories.

    Addresses are written in hexadecimal and apart from signs: zig's linker wants both.
    """
    template = (runtime_folder() / "firmware.ld").read_text(encoding="utf-8")
    return string.Template(template).substitute(
        flash_origin=f"{flash.origin:#x}",
        flash_length=f"{flash.bytes:#x}",
        ram_origin=f"{ram.origin:#x}",
        ram_length=f"{ram.bytes:#x}",
    )


def link_plain(
    core: Core,
    flash: Region,
    ram: Region,
    objects: Sequence[Path],
    output: Path,
    toolchain: Toolchain,
    keep: Sequence[str],
) -> Image:
    """Link functions for an emulator: no vector table, no start-up code.

    Who runs them must do what start-up code would: copy ``__data_load`` to ``__data_start`` …
    ``__data_end``, clear ``__bss_start`` … ``__bss_end``, set the stack to ``__stack_top``.

    Args:
        core: what the objects were compiled for.
        flash: memory of code and constants.
        ram: memory of variables.
        objects: .o and .a files.
        output: the ELF file to write.
        toolchain: whose linker and helper functions to use.
        keep: the functions to keep, with all they use; the first is the entry point.

    Raises:
        QDeployError: a function is missing or a memory is too small.
    """
    with tempfile.TemporaryDirectory(prefix="qdeploy-") as temporary:
        script = Path(temporary) / "plain.ld"
        script.write_text(linker_script(flash, ram), encoding="utf-8")
        support = toolchain.compile(core, [runtime_folder() / "support.c"], Path(temporary))
        toolchain.link(
            core,
            [*objects, *support],
            script,
            output,
            entry=keep[0],
            flags=[f"-Wl,-u,{name}" for name in keep],
        )
    return read_image(output)
