"""Sources of C or assembler as machines, built once a session."""

import hashlib

import pytest

from qdeploy.emulation import Machine
from qdeploy.firmware import link_plain
from qdeploy.targets import Region, load_core
from qdeploy.toolchains import TOOLCHAINS

FLASH = Region(origin=0x0800_0000, kibibytes=512)
RAM = Region(origin=0x2000_0000, kibibytes=32)


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
