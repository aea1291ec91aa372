"""Counts against counts by hand, instruction by instruction."""

import numpy as np
import pytest

from qdeploy.emulation.reads import Reads
from qdeploy.errors import QDeployError

ARM = ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")


def test_straight_line(assemble):
    lines = "adds r0, #1\nlsls r0, r0, #2\nmuls r0, r1\nnop\nbx lr"
    counts = assemble("cortex-m0plus", lines).count("f", 3, 5)
    assert counts.instructions == 5
    assert counts.classes == {"alu": 3, "multiply": 1, "indirect": 1}
    assert counts.taken_branches == 1
    assert counts.registers == counts.flash_data_bytes == counts.stack_bytes == 0


@pytest.mark.parametrize("core", ARM)
@pytest.mark.parametrize("value", [0, 1])
def test_it_blocks_count_whether_or_not_the_condition_holds(assemble, core, value):
    machine = assemble(
        core,
        "cmp r0, #1\nittee eq\naddeq r0, #10\naddeq r0, #20\naddne r0, #3\naddne r0, #4\nbx lr",
    )
    assert machine.call("f", value) == (31 if value else 7)
    counts = machine.count("f", value)
    assert counts.classes == {"alu": 6, "indirect": 1}
    assert counts.taken_branches == 1


@pytest.mark.parametrize("core", ARM)
@pytest.mark.parametrize(("value", "instructions"), [(1, 3), (0, 5)])
def test_return_in_an_it_block(assemble, core, value, instructions):
    machine = assemble(core, "cmp r0, #1\nit eq\nbxeq lr\nmovs r0, #9\nbx lr")
    counts = machine.count("f", value)
    assert counts.instructions == instructions
    assert counts.taken_branches == 1


def test_loop(assemble):
    lines = "movs r1, #0\n1: adds r1, r0\nsubs r0, #1\nbne 1b\nmov r0, r1\nbx lr"
    machine = assemble("cortex-m0plus", lines)
    assert machine.call("f", 10) == 55
    counts = machine.count("f", 10)
    assert counts.classes == {"alu": 1 + 2 * 10 + 1, "branch": 10, "indirect": 1}
    assert counts.taken_branches == 9 + 1


@pytest.mark.parametrize("core", ["cortex-m0plus", *ARM])
def test_loads_and_stores_of_several(assemble, core):
    lines = (
        "push {r4, r5, lr}\nldmia r0!, {r2, r3, r4}\nadds r2, r3\nadds r2, r4\n"
        "stmia r1!, {r2, r3}\nmov r0, r2\npop {r4, r5, pc}"
    )
    machine = assemble(core, lines)
    source, target = machine.allocate(12), machine.allocate(8)
    machine.write(source, np.array([5, 6, 7], dtype="<i4").tobytes())
    assert machine.call("f", source, target) == 18
    counts = machine.count("f", source, target)
    assert counts.classes == {"alu": 3, "store_multiple": 2, "load_multiple": 1, "load_branch": 1}
    assert counts.registers == 3 + 3 + 2 + 3
    assert counts.stack_bytes == 12
    assert counts.taken_branches == 1


def test_double_words_and_pairs_of_loads(assemble):
    lines = (
        "ldrd r2, r3, [r0]\nldr r1, [r0]\nldr r2, [r0, #4]\nldr r2, [r0, #8]\nadd r2, r2, r1\n"
        "add r0, r0, #4\nldr r0, [r0]\nstrd r2, r3, [r0, #0]\nbx lr"
    )
    machine = assemble("cortex-m4", lines)
    source = machine.allocate(16)
    machine.write(source, np.array([source, source, 9, 9], dtype="<u4").tobytes())
    counts = machine.count("f", source)
    assert counts.classes == {
        "alu": 2, "load": 4, "load_multiple": 1, "store_multiple": 1, "indirect": 1,
    }  # fmt: skip
    assert counts.registers == 4
    # Two of the first three loads follow a load and do not need its value.
    assert counts.pipelined_loads == 2
    # r2 by the addition; r0 by the store.
    assert counts.load_uses == 2
    assert counts.address_uses == 1


def test_calls_and_literals(assemble):
    lines = "push {r4, lr}\nbl g\nldr r1, 2f\nadds r0, r1\npop {r4, pc}\ng: adds r0, #1\nbx lr"
    machine = assemble("cortex-m0plus", lines, data="2: .word 1000")
    assert machine.call("f", 1) == 1002
    counts = machine.count("f", 1)
    assert counts.classes == {
        "alu": 2, "load": 1, "store_multiple": 1, "load_branch": 1, "call": 1, "indirect": 1,
    }  # fmt: skip
    assert counts.taken_branches == 3
    assert counts.flash_data_bytes == 4


def test_table_branch(assemble):
    lines = "tbb [pc, r0]\n.byte 1, 2\nmovs r0, #10\nmovs r0, #20\nbx lr"
    counts = assemble("cortex-m4", lines).count("f", 1)
    assert counts.classes == {"table": 1, "alu": 1, "indirect": 1}
    assert counts.taken_branches == 2


def test_riscv(assemble):
    lines = (
        "li a2, 0\n1: lw a3, 0(a0)\nadd a2, a2, a3\naddi a0, a0, 4\naddi a1, a1, -1\nbnez a1, 1b\n"
        "mul a0, a2, a2\nmulh a3, a2, a2\nj 2f\nnop\n2: ret"
    )
    machine = assemble("rv32imc", lines)
    source = machine.allocate(40)
    machine.write(source, np.arange(1, 11, dtype="<i4").tobytes())
    assert machine.call("f", source, 10) == 55**2
    counts = machine.count("f", source, 10)
    assert counts.classes == {
        "alu": 1 + 3 * 10, "multiply": 1, "multiply_long": 1, "load": 10, "branch": 10, "jump": 1,
        "indirect": 1,
    }  # fmt: skip
    assert counts.taken_branches == 9 + 1 + 1
    assert counts.load_uses == 10


def test_long_straight_line_code_is_counted_quickly(assemble):
    body = "sadd16 r0, r0, r1\nssub16 r2, r0, r1\nsmlad r3, r0, r1, r3\n" * 25_000
    machine = assemble("cortex-m4", body + "bx lr")
    counts = machine.count("f", 1, 2)
    assert counts.classes == {"simd": 75_000, "indirect": 1}
    assert counts.taken_branches == 1
    assert counts.code_reads.footprint == 300_016
    assert counts.code_reads.misses(1024) == (300_016 // 16, 1)
    assert counts.code_reads.misses(512 * 1024) == (0, 0)


@pytest.mark.parametrize(
    ("core", "line"),
    [
        ("cortex-m3", ".inst.w 0xfa90f0f1 @ sadd16 r0, r0, r1"),
        ("cortex-m4", ".inst.w 0xee300a00 @ vadd.f32 s0, s0, s0"),
    ],
)
def test_instructions_of_other_cores_are_refused(assemble, core, line):
    machine = assemble(core, f"{line}\nbx lr")
    with pytest.raises(QDeployError, match=f"{core}|does not have"):
        machine.count("f")


def test_reads_that_caches_hold():
    loop = np.tile(np.arange(0, 256, 16), 10)
    reads = Reads(loop, np.full(loop.size, 4))
    assert reads.footprint == 256
    assert reads.misses(256) == (0, 0)
    # Round and round through more than the cache has: least recently used misses every line.
    assert reads.misses(128) == (160, 10)
    assert reads.misses(0) == (160, 10)


def test_reads_across_lines_and_of_nothing():
    assert Reads(np.array([12]), np.array([8])).footprint == 32
    empty = Reads(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    assert empty.footprint == 0
    assert empty.misses(0) == (0, 0)


def test_one_line_read_over_and_over_is_at_hand():
    reads = Reads(np.array([0, 4, 8, 12] * 5), np.full(20, 4))
    assert reads.misses(0) == (0, 0)
