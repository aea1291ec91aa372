"""Sources of C or assembler as machines and libraries, built once a session."""

import hashlib
import subprocess
import sys

import pytest

from qdeploy.emulation import Machine
from qdeploy.firmware import link_plain
from qdeploy.targets import Region, load_core
from qdeploy.toolchains import TOOLCHAINS

FLASH = Region(origin=0x0800_0000, kibibytes=512)
RAM = Region(origin=0x2000_0000, kibibytes=32)

FUNCTION = ".arch armv8.6-a+sve+bf16+fp16+crypto+sha3\n.global f\n.type f, %function\nf:\n{}\nret\n"


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """A new machine for sources; ``build(core, text, keep, toolchain="zig", kind="c")``."""
    folder = tmp_path_factory.mktemp("emulation")
    images = {}

    def make(core_name, text, keep, *, toolchain="zig", kind="c", optimize="-O2"):
        core, tools = load_core(core_name), TOOLCHAINS[toolchain]
        if obstacle := tools.obstacle(core):
            pytest.skip(obstacle)
        key = hashlib.sha256(
            repr((core_name, text, keep, toolchain, kind, optimize)).encode()
        ).hexdigest()[:16]
        if key not in images:
            source = folder / key / f"source.{kind}"
            source.parent.mkdir()
            source.write_text(text)
            objects = tools.compile(core, [source], source.parent, optimize=optimize)
            output = source.parent / "image.elf"
            images[key] = link_plain(core, FLASH, RAM, objects, output, tools, keep).elf
        return Machine(images[key], core, FLASH, RAM)

    return make


@pytest.fixture(scope="session")
def assemble(build):
    """A new machine for one function ``f`` of assembler lines."""

    def make(core_name, lines, *, data=""):
        if load_core(core_name).architecture == "arm":
            head = '.syntax unified\n.thumb\n.section .text.f,"ax",%progbits\n.balign 4\n'
            head += ".global f\n.type f,%function\n.thumb_func\nf:\n"
        else:
            head = '.section .text.f,"ax",@progbits\n.global f\n.type f,@function\nf:\n'
        return build(core_name, f"{head}{lines}\n.balign 4\n{data}\n", ("f",), kind="S")

    return make


@pytest.fixture(scope="session")
def link(tmp_path_factory):
    """A library for AArch64; ``link(text, kind="c", cpu="generic", flags=())``.

    The text is C, or with ``kind="f"`` the lines of an assembler function ``f`` without its return.
    """
    known = {}

    def make(text, *, kind="c", cpu="generic", flags=()):
        key = (text, kind, cpu, flags)
        if key not in known:
            folder = tmp_path_factory.mktemp("library")
            source = folder / ("source.c" if kind == "c" else "source.S")
            source.write_text(text if kind == "c" else FUNCTION.format(text))
            command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu"]
            command += [f"-mcpu={cpu}", "-O2", "-fPIC", "-shared", "-nostdlib", "-Wl,-Bsymbolic"]
            command += ["-fno-sanitize=all", "-fno-stack-protector", *flags]
            command += [source.name, "-o", "library.so"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            known[key] = folder / "library.so"
        return known[key]

    return make
