"""Shared libraries for 64-bit ARM in the emulator: calls, faults, counts, and QEMU beside them."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from qdeploy.emulation import LibraryMachine
from qdeploy.emulation.validation.kernels import KERNELS, SEED, SOURCE
from qdeploy.errors import QDeployError
from qdeploy.targets import load_arm_core

LIBRARY = """
#include <stdint.h>
static int32_t total = 5;
int32_t *const volatile where = &total;
static int32_t twice(int32_t x) { return 2 * x; }
static int32_t thrice(int32_t x) { return 3 * x; }
static int32_t (*const volatile table[2])(int32_t) = {twice, thrice};
const int8_t weights[64] = {1, 2, 3, -4};
int64_t add(int64_t x) { *where += (int32_t)x; return *where + (x & ~INT64_C(0xffffffff)); }
int32_t choose(int which, int32_t x) { return table[which](x); }
int64_t load(const volatile int64_t *p) { return *p; }
int32_t store(volatile int32_t *p) { *p = 1; return 0; }
int32_t weigh(const int8_t *x)
{
    int32_t sum = 0;
    for (int i = 0; i < 64; i++) sum += weights[i] * x[i];
    return sum;
}
int32_t deep(int32_t n)
{
    volatile int32_t a[16];
    a[n & 7] = n;
    return n ? deep(n - 1) + a[n & 7] : 0;
}
"""


@pytest.fixture
def machine(link):
    return LibraryMachine(link(LIBRARY), load_arm_core("cortex-a53"))


def test_calls_relocations_and_variables(machine):
    assert machine.call("add", 7) == 12
    assert machine.call("add", 1 << 40) == 12 + (1 << 40)
    assert machine.call("choose", 0, 21) == 42
    assert machine.call("choose", 1, 21) == 63
    x = machine.allocate(64)
    machine.write(x, np.arange(64, dtype=np.int8).tobytes())
    assert machine.call("weigh", x) == 0 + 2 + 6 - 12 + (1 << 32)


@pytest.mark.parametrize("counting", [False, True])
def test_faults_name_function_and_place(machine, counting):
    run = machine.count if counting else machine.call
    with pytest.raises(QDeployError, match=r"load reads 8 bytes at 0x00001000.*in load\+0x0"):
        run("load", 0x1000)
    with pytest.raises(QDeployError, match=r"store writes 4 bytes.*memory of the library"):
        run("store", machine.symbols["weights"])
    with pytest.raises(QDeployError, match="the stack of deep fills all 1 MiB"):
        run("deep", 1 << 20)
    with pytest.raises(QDeployError, match="no function 'nothing'"):
        run("nothing")
    # It goes on after a fault.
    assert machine.call("choose", 0, 4) == 8


def test_reads_beside_the_harness_are_faults(machine):
    x = machine.allocate(8)
    with pytest.raises(QDeployError, match="where there is no memory"):
        machine.call("load", x - 8)


def test_counts_of_a_loop(link):
    lines = "mov x2, #10\n1: add x0, x0, x1\nsubs x2, x2, #1\nb.ne 1b\nbl 2f\nb 3f\n2: ret\n"
    lines = f"str x30, [sp, #-32]!\n{lines}3: ldr x30, [sp], #32"
    machine = LibraryMachine(link(lines, kind="f"), load_arm_core("cortex-a72"))
    assert machine.call("f", 1, 2) == 21
    counts = machine.count("f", 1, 2)
    assert counts.instructions == 2 + 30 + 3 + 2
    assert counts.classes == {
        "alu": 21, "branch": 12, "indirect": 2, "load": 1, "store": 1
    }  # fmt: skip
    # The loop goes back nine times; call, return, jump, return.
    assert counts.taken_branches == 9 + 4
    assert counts.stack_bytes == 32
    assert [block.runs for block in counts.blocks] == [1, 9, 1, 1, 1, 1]


def test_stack_that_is_only_written_counts(link):
    machine = LibraryMachine(
        link("sub x1, sp, #4000\nstr x0, [x1]", kind="f"), load_arm_core("cortex-a72")
    )
    assert machine.count("f", 1).stack_bytes in range(3993, 4001)


def test_reads_of_constants_are_seen(machine):
    x = machine.allocate(64)
    assert machine.count("weigh", x).reads.footprint in (64, 128)


def test_code_longer_than_a_page_is_one_block(link):
    machine = LibraryMachine(
        link(".rept 3000\nadd x0, x0, #1\n.endr", kind="f"), load_arm_core("cortex-a72")
    )
    counts = machine.count("f", 5)
    assert counts.instructions == 3001
    assert len(counts.blocks) == 1
    assert counts.taken_branches == 1


PRODUCTS = {
    "smmla v0.4s, v1.16b, v2.16b": ("i1", "i1"),
    "ummla v0.4s, v1.16b, v2.16b": ("u1", "u1"),
    "usmmla v0.4s, v1.16b, v2.16b": ("u1", "i1"),
    "sdot v0.4s, v1.16b, v2.16b": ("i1", "i1"),
    "udot v0.4s, v1.16b, v2.16b": ("u1", "u1"),
    "usdot v0.4s, v1.16b, v2.16b": ("u1", "i1"),
    "usdot v0.2s, v1.8b, v2.8b": ("u1", "i1"),
    "usdot v0.4s, v1.16b, v2.4b[1]": ("u1", "i1"),
    "usdot v0.4s, v1.16b, v2.4b[2]": ("u1", "i1"),
    "sudot v0.4s, v1.16b, v2.4b[3]": ("i1", "u1"),
    "sdot v0.2s, v1.8b, v2.4b[3]": ("i1", "i1"),
}


def product(text, types, sums, left, right):
    """What the instruction should do, element by element."""
    a, b = (
        np.frombuffer(data, kind).tolist() for data, kind in zip((left, right), types, strict=True)
    )
    sums = np.frombuffer(sums, "<u4").tolist()
    if "mmla" in text:
        for row in range(2):
            for column in range(2):
                for k in range(8):
                    sums[2 * row + column] += a[8 * row + k] * b[8 * column + k]
    else:
        element = int(text[-2]) if text.endswith("]") else None
        for lane in range(4):
            for k in range(4):
                sums[lane] += a[4 * lane + k] * b[4 * (lane if element is None else element) + k]
    if "v0.2s" in text:
        sums[2:] = 0, 0
    return [total % 2**32 for total in sums]


@pytest.mark.parametrize("text", PRODUCTS)
def test_products_of_bytes(link, text):
    lines = f"ldr q0, [x0]\nldp q1, q2, [x1]\n{text}\n{text}\nstr q0, [x0]\nmov x0, #3"
    library = link(lines, kind="f", cpu="neoverse_v1")
    machine = LibraryMachine(library, load_arm_core("neoverse-v1"))
    sums, operands = machine.allocate(16), machine.allocate(32)
    rng = np.random.default_rng(3)
    for values in (rng.integers(0, 256, 48), np.full(48, 128), np.full(48, 255)):
        data = values.astype(np.uint8).tobytes()
        machine.write(sums, data[:16])
        machine.write(operands, data[16:])
        assert machine.call("f", sums, operands) == 3
        once = product(text, PRODUCTS[text], data[:16], data[16:32], data[32:])
        again = np.array(once, dtype="<u4").tobytes()
        expected = product(text, PRODUCTS[text], again, data[16:32], data[32:])
        assert np.frombuffer(machine.read(sums, 16), "<u4").tolist() == expected
    counts = machine.count("f", sums, operands)
    assert counts.instructions == 7
    assert len(counts.blocks) == 1
    kind = "vector_matrix" if "mmla" in text else "vector_dot"
    assert counts.classes[kind] == 2


@pytest.mark.parametrize(
    ("core", "text"),
    [
        ("generic", "sdot v0.4s, v1.16b, v2.16b"),
        ("cortex-a53", "udot v0.4s, v1.16b, v2.16b"),
        ("cortex-a72", "smmla v0.4s, v1.16b, v2.16b"),
        ("cortex-a72", "fadd v0.8h, v1.8h, v2.8h"),
        ("cortex-a72", "sqrdmlah v0.4s, v1.4s, v2.4s"),
        ("cortex-a76", "smmla v0.4s, v1.16b, v2.16b"),
        ("cortex-a76", "usdot v0.4s, v1.16b, v2.16b"),
        ("neoverse-v1", "ptrue p0.b"),
        ("neoverse-v1", "bfdot v0.4s, v1.8h, v2.8h"),
        ("cortex-a53", "crc32b w0, w1, w2"),
        ("neoverse-n1", "eor3 v0.16b, v1.16b, v2.16b, v3.16b"),
        ("cortex-a76", "pmull v0.1q, v1.1d, v2.1d"),
    ],
)
def test_instructions_that_the_core_lacks_are_refused(link, core, text):
    machine = LibraryMachine(link(text, kind="f"), load_arm_core(core))
    with pytest.raises(QDeployError, match=r"core does not have|is none of"):
        machine.count("f")


def test_files_that_are_no_such_library(link, tmp_path):
    core = load_arm_core("cortex-a72")
    text = tmp_path / "text.so"
    text.write_text("text")
    with pytest.raises(QDeployError, match=r"text\.so: is no ELF file"):
        LibraryMachine(text, core)
    with pytest.raises(QDeployError, match="no shared library for 64-bit ARM"):
        LibraryMachine(_other_library(tmp_path), core)
    needy = link("int missing(int); int f(int x) { return missing(x); }\n", flags=("-Wl,-z,lazy",))
    with pytest.raises(QDeployError, match="needs 'missing'"):
        LibraryMachine(needy, core)
    local = link("__thread int x; int f(void) { return x++; }")
    with pytest.raises(QDeployError, match="relocation"):
        LibraryMachine(local, core)


def _other_library(folder):
    source = folder / "f.c"
    source.write_text("int f(void) { return 1; }\n")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu", "-shared"]
    subprocess.run([*command, "-nostdlib", "f.c", "-o", "other.so"], cwd=folder, check=True)
    return folder / "other.so"


START = """
.global _start, finished
_start:
{calls}
finished:
mov x0, #0
mov x8, #93
svc #0
"""


@pytest.mark.parametrize("core_name", ["cortex-a53", "cortex-a76", "neoverse-v1"])
def test_counts_are_those_of_qemu(link, tmp_path, core_name):
    """One line of QEMU's log for each instruction, in the same code linked as a program."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    core = load_arm_core(core_name)
    calls = "".join(f"mov x0, #{SEED}\nbl {kernel}\n" for kernel in KERNELS)
    (tmp_path / "start.S").write_text(START.format(calls=calls))
    (tmp_path / "kernels.c").write_text(SOURCE.read_text())
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu"]
    zig += [f"-mcpu={core.zig_cpu}", "-O2", "-fno-sanitize=all", "-fno-stack-protector"]
    zig += ["-nostdlib", "-fPIC", "start.S", "kernels.c"]
    for output, flags in (("program", ["-static"]), ("library.so", ["-shared"])):
        subprocess.run([*zig, *flags, "-o", output], cwd=tmp_path, check=True)

    log = tmp_path / "log"
    command = ["qemu-aarch64", "-cpu", core.qemu_cpu, "-singlestep", "-d", "exec,nochain"]
    subprocess.run([*command, "-D", str(log), "program"], cwd=tmp_path, timeout=60, check=True)
    traced = re.findall(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", log.read_text(), re.MULTILINE)
    addresses = np.array([int(address, 16) for address in traced])
    symbols = _program_symbols(tmp_path / "program")
    outside = (symbols["_start"] <= addresses) & (addresses < symbols["finished"] + 12)

    machine = LibraryMachine(tmp_path / "library.so", core)
    for kernel in KERNELS:
        counts = machine.count(kernel, SEED)
        begin = int(np.argmax(addresses == symbols[kernel]))
        end = begin + int(np.argmax(outside[begin:]))
        assert end - begin == counts.instructions
        steps = np.diff(addresses[begin : end + 1])
        assert np.count_nonzero(steps != 4) == counts.taken_branches


def _program_symbols(program):
    from elftools.elf.elffile import ELFFile

    with program.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}
