"""Programs that qdeploy runs where they are there: emulators, a second compiler, a counter."""

import shutil
from dataclasses import dataclass

from qdeploy.doctor.findings import Finding, first_line

__all__ = ["TOOLS", "Tool", "tool"]


@dataclass(frozen=True)
class Tool:
    """One program.

    Attributes:
        name: the command.
        version_flag: makes it tell its version.
        adds: what it is for.
        get: how to get it.
    """

    name: str
    version_flag: str
    adds: str
    get: str


TOOLS = (
    Tool("valgrind", "--version", "counts of instructions that repeat", "Debian: valgrind"),
    Tool(
        "qemu-system-arm",
        "--version",
        "whole Arm microcontrollers, emulated",
        "Debian: qemu-system-arm",
    ),
    Tool(
        "qemu-system-riscv32",
        "--version",
        "whole RISC-V microcontrollers, emulated",
        "Debian: qemu-system-misc",
    ),
    Tool("qemu-aarch64", "--version", "64-bit ARM programs on other machines", "Debian: qemu-user"),
    Tool(
        "arm-none-eabi-gcc",
        "--version",
        "a second compiler for microcontrollers",
        "Debian: gcc-arm-none-eabi",
    ),
    Tool(
        "aarch64-linux-gnu-gcc",
        "--version",
        "a second compiler for 64-bit ARM with Linux",
        "Debian: gcc-aarch64-linux-gnu",
    ),
)


def tool(entry: Tool) -> Finding:
    """A program, by asking it for its version."""
    path = shutil.which(entry.name)
    version = first_line([path, entry.version_flag]) if path else None
    return Finding(entry.name, version is not None, version, entry.adds, entry.get, required=False)
