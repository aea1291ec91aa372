"""Memory, calls and faults of the machine, on every core and by both compilers."""

import numpy as np
import pytest

from qdeploy.emulation import Machine
from qdeploy.errors import QDeployError
from qdeploy.targets import Region, list_cores, load_core
from qdeploy.toolchains import TOOLCHAINS

CORES = list_cores()

SOURCE = """
#include <stdint.h>
static int32_t counter = 7;
static int32_t total;
static int32_t scratch[100];
const int8_t weights[64] = {1, 2, 3, -4, 5, 6, 7};
int dot(const int8_t *x, int32_t *out)
{
    int32_t sum = 0;
    for (int i = 0; i < 64; i++) { scratch[i] = x[i]; sum += weights[i] * scratch[i]; }
    total += sum;
    out[0] = sum;
    out[1] = total;
    return counter++;
}
int load(const volatile int *p) { return *p; }
int short_load(const volatile short *p) { return *p; }
int store(volatile int *p, int value) { *p = value; return value; }
int store_weight(void) { *(volatile int8_t *)weights = 3; return 0; }
int jump(int (*f)(void)) { return f(); }
int deep(int n);
static int (*volatile again)(int) = deep;
int deep(int n)
{
    volatile int a[10];
    a[n & 7] = n;
    return n ? again(n - 1) + a[n & 7] : 0;
}
"""
KEEP = ("dot", "load", "short_load", "store", "store_weight", "jump", "deep")


@pytest.fixture(params=CORES)
def core(request):
    return request.param


@pytest.fixture(params=TOOLCHAINS.names())
def machine(request, build, core):
    return build(core, SOURCE, KEEP, toolchain=request.param)


def test_variables_last_between_calls_until_reset(machine):
    x, out = machine.allocate(64), machine.allocate(8)
    values = np.arange(-32, 32, dtype=np.int8)
    machine.write(x, values.tobytes())
    weights = np.zeros(64, dtype=int)
    weights[:7] = [1, 2, 3, -4, 5, 6, 7]
    expected = int(weights @ values)

    def results():
        return np.frombuffer(machine.read(out, 8), dtype="<i4").tolist()

    assert machine.call("dot", x, out) == 7
    assert results() == [expected, expected]
    assert machine.call("dot", x, out, strict=True) == 8
    assert results() == [expected, 2 * expected]
    counts = machine.count("dot", x, out)
    assert results() == [expected, 3 * expected]
    assert 64 <= counts.flash_data_bytes < 128
    assert 64 * 3 < counts.instructions < 64 * 20
    assert machine.count("dot", x, out) == counts
    machine.reset()
    assert machine.call("dot", x, out) == 7
    assert results() == [expected, expected]


@pytest.mark.parametrize("strict", [False, True])
def test_accesses_beside_memory(machine, strict):
    nowhere = 0x3000_0004
    with pytest.raises(QDeployError, match=r"load reads 4 bytes at 0x30000004, where .*load\+0x"):
        machine.call("load", nowhere, strict=strict)
    with pytest.raises(QDeployError, match=r"writes 4 bytes at 0x30000004"):
        machine.call("store", nowhere, 1, strict=strict)
    with pytest.raises(QDeployError, match=r"writes 1 bytes .*which is flash.*store_weight\+"):
        machine.call("store_weight", strict=strict)
    with pytest.raises(QDeployError, match=r"jumps to 0x30000004"):
        machine.call("jump", nowhere | 1, strict=strict)
    # And the machine goes on.
    place = machine.allocate(4)
    assert machine.call("store", place, 0xFFFFFFFF, strict=strict) == 0xFFFFFFFF
    assert machine.call("load", place, strict=strict) == 0xFFFFFFFF


def test_accesses_that_are_not_aligned(machine, core):
    place = machine.allocate(8)
    machine.write(place, bytes(range(8)))
    if "unaligned" in load_core(core).extensions:
        assert machine.call("load", place + 1, strict=True) == 0x04030201
        assert machine.count("load", place + 1).instructions == 2
        return
    with pytest.raises(QDeployError, match="aligned"):
        machine.call("load", place + 2, strict=True)
    with pytest.raises(QDeployError, match="aligned"):
        machine.count("short_load", place + 1)
    assert machine.call("short_load", place + 2, strict=True) == 0x0302


@pytest.mark.parametrize("line", ["ldrd r0, r1, [r0]", "ldm r0, {r0, r1}", "strd r1, r1, [r0]"])
@pytest.mark.parametrize("core_name", ["cortex-m3", "cortex-m33"])
def test_only_single_loads_may_be_anywhere(assemble, core_name, line):
    machine = assemble(core_name, f"{line}\nbx lr")
    place = machine.allocate(16)
    machine.call("f", place, strict=True)
    with pytest.raises(QDeployError, match=r"not aligned, in f\+0x0"):
        machine.call("f", place + 2, strict=True)


@pytest.mark.parametrize(
    ("line", "message"), [("ldr r2, [r0]", None), ("ldrd r2, r3, [r0]", r"not aligned, in f\+0xc ")]
)
def test_accesses_behind_an_added_instruction_have_their_own_address(assemble, line, message):
    machine = assemble("cortex-m55", f"mov r12, lr\nmov r2, #3\ndls lr, r2\nnop\n{line}\nbx r12")
    place = machine.allocate(16)
    machine.write(place, bytes(range(16)))
    if message is None:
        machine.call("f", place + 1, strict=True)
        return
    with pytest.raises(QDeployError, match=message):
        machine.call("f", place + 1, strict=True)


def test_stack_depth_is_that_of_the_frames(machine):
    shallow, deep = (machine.count("deep", n).stack_bytes for n in (0, 20))
    assert shallow >= 40
    assert (deep - shallow) % 20 == 0
    assert 20 * 40 <= deep - shallow <= 20 * 80


def test_stack_overflow(machine):
    for call in (machine.call, machine.count):
        with pytest.raises(QDeployError, match="the stack of deep fills all"):
            call("deep", 10_000)
        machine.reset()


def test_unknown_function(machine):
    with pytest.raises(QDeployError, match="no function 'nothing'"):
        machine.call("nothing")


def test_memory_from_outside(machine):
    with pytest.raises(ValueError, match="only read"):
        machine.write(machine.symbols["weights"], b"x")
    with pytest.raises(ValueError, match="one memory"):
        machine.read(0x1000_0000, 4)
    first, second = machine.allocate(3), machine.allocate(4, align=32)
    assert second % 32 == 0
    assert second >= first + 3
    with pytest.raises(QDeployError, match="MiB"):
        machine.allocate(1 << 30)


def test_image_for_other_memory(build, core):
    elf = build(core, SOURCE, KEEP)._elf
    elsewhere = Region(origin=0x1000_0000, kibibytes=64)
    with pytest.raises(QDeployError, match="none of the target's memories"):
        Machine(elf, load_core(core), elsewhere, Region(origin=0x2000_0000, kibibytes=32))


@pytest.mark.parametrize("core_name", ["cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_hooks_on_accesses_in_it_blocks_do_not_disturb_what_follows(assemble, core_name):
    """A condition that a hook leaves behind would fall on the next block."""
    lines = (
        "push {r4, lr}\nmovs r3, #0\n1: cmp r2, #0\nite ne\nstrne r3, [r0]\nstreq r3, [r1]\nb 2f\n"
        "2: adds r3, #1\ncmp r3, #5\nblt 1b\nldr r0, [r0]\nldr r1, [r1]\nadds r0, r1\n"
        "adr r1, 3f\ncmp r2, #0\nite ne\nldrne r2, [r1]\nldreq r2, [r1, #4]\nb 4f\n"
        "4: adds r0, r2\npop {r4, pc}"
    )
    machine = assemble(core_name, lines, data="3: .word 100, 200")
    a, b = machine.allocate(4), machine.allocate(4)
    for third, expected in ((0, 204), (1, 104)):
        machine.write(a, bytes(4))
        machine.write(b, bytes(4))
        for _ in range(2):
            assert machine.call("f", a, b, third) == expected
            assert machine.call("f", a, b, third, strict=True) == expected
            assert machine.count("f", a, b, third).instructions == 2 + 5 * 8 + 11


@pytest.mark.parametrize("core_name", ["cortex-m3", "cortex-m33"])
def test_a_fault_in_an_it_block_leaves_nothing_behind(assemble, core_name):
    machine = assemble(core_name, "cmp r1, #0\nitt eq\nldreq r0, [r0]\naddeq r0, #1\nbx lr")
    place = machine.allocate(4)
    for _ in range(3):
        with pytest.raises(QDeployError, match="no memory"):
            machine.call("f", 0x3000_0000, 0)
        assert machine.call("f", place, 0) == 1
        assert machine.call("f", 5, 1) == 5


def test_a_short_instruction_before_a_long_one_is_told_from_it(assemble):
    machine = assemble("cortex-m4", "ldr r0, [r0]\nadd.w r0, r0, #1\nbx lr")
    place = machine.allocate(8)
    machine.write(place, bytes([0, 1, 0, 0, 0, 0, 0, 0]))
    assert machine.call("f", place + 1, strict=True) == 2
