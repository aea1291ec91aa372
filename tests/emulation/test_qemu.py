"""The same images under QEMU, which counts instructions by itself: one line of its log for each."""

import re
import shutil
import subprocess
from itertools import pairwise

import pytest

from qdeploy.emulation import Machine
from qdeploy.emulation.validation.kernels import KERNELS, SEED, SOURCE
from qdeploy.firmware import link_plain
from qdeploy.targets import Region, load_core
from qdeploy.toolchains import TOOLCHAINS

MACHINES = {
    "cortex-m0plus": ("microbit", 0x0, 0x2000_0000),
    "cortex-m3": ("mps2-an385", 0x0, 0x2000_0000),
    "cortex-m4": ("mps2-an386", 0x0, 0x2000_0000),
    "cortex-m7": ("mps2-an500", 0x0, 0x2000_0000),
    "cortex-m33": ("mps2-an505", 0x1000_0000, 0x3800_0000),
    "cortex-m55": ("mps3-an547", 0x0, 0x2000_0000),
    "rv32imc": ("virt", 0x8000_0000, 0x8010_0000),
}
"""QEMU's machine of each core (a Cortex-M0 for the M0+), and its memories."""

# Calls each kernel, then ends the emulation: by semihosting, or by the machine's test device.
ARM = """
.syntax unified
.thumb
.section .vectors, "a", %progbits
.word {stack:#x}
.word start
.section .text.start, "ax", %progbits
.global start, finished
.type start, %function
.thumb_func
start:
{calls}
.type finished, %function
.thumb_func
finished:
movs r0, #0x18
ldr r1, =0x20026
bkpt #0xab
b .
"""
RISCV = """
.section .start, "ax", @progbits
.global start, finished
start:
li sp, {stack:#x}
{calls}
finished:
li a0, 0x100000
li a1, 0x5555
sw a1, 0(a0)
j .
"""


@pytest.mark.parametrize("toolchain", TOOLCHAINS.names())
@pytest.mark.parametrize("core_name", MACHINES)
def test_counts_are_those_of_qemu(tmp_path, core_name, toolchain):
    core, tools = load_core(core_name), TOOLCHAINS[toolchain]
    arm = core.architecture == "arm"
    program = "qemu-system-arm" if arm else "qemu-system-riscv32"
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if obstacle := tools.obstacle(core):
        pytest.skip(obstacle)
    name, flash_origin, ram_origin = MACHINES[core_name]
    flash = Region(origin=flash_origin, kibibytes=64)
    ram = Region(origin=ram_origin, kibibytes=16)
    text = ARM if arm else RISCV
    call = "movs r0, #{}\nbl {}\n" if arm else "li a0, {}\ncall {}\n"
    calls = "".join(call.format(SEED, kernel) for kernel in KERNELS)
    start = tmp_path / "start.S"
    start.write_text(text.format(stack=ram.end, calls=calls))
    objects = tools.compile(core, [SOURCE, start], tmp_path)
    elf = tmp_path / "image.elf"
    link_plain(core, flash, ram, objects, elf, tools, ["start", "finished", *KERNELS])

    log = tmp_path / "log"
    command = [program, "-M", name, "-nographic", "-monitor", "none", "-serial", "none"]
    command += ["-kernel", str(elf), "-singlestep", "-d", "exec,nochain", "-D", str(log)]
    command += ["-semihosting"] if arm else ["-bios", "none"]
    subprocess.run(command, timeout=60, check=True)
    trace = re.findall(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", log.read_text(), re.MULTILINE)
    addresses = [int(address, 16) for address in trace]

    machine = Machine(elf, core, flash, ram)
    caller = range(machine.symbols["start"] & ~1, (machine.symbols["finished"] & ~1) + 1)
    for kernel in KERNELS:
        counts = machine.count(kernel, SEED)
        begin = addresses.index(machine.symbols[kernel] & ~1)
        end = next(i for i in range(begin, len(addresses)) if addresses[i] in caller)
        assert end - begin == counts.instructions
        taken = [
            one
            for one, after in pairwise(addresses[begin : end + 1])
            if after != one + size(machine, one, arm)
        ]
        # The ends of low-overhead loops (LE) are no taken branches.
        loops = [one for one in taken if machine.read(one, 2) in (b"\x0f\xf0", b"\x2f\xf0")]
        assert len(taken) - len(loops) == counts.taken_branches


def size(machine, address, arm):
    """Bytes of the instruction at an address."""
    half = int.from_bytes(machine.read(address, 2), "little")
    return 4 if (half >= 0xE800 if arm else half & 3 == 3) else 2
