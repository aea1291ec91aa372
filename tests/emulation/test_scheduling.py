"""Instructions on the units of a core: short sequences whose cycles follow from the tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.emulation import LibraryMachine, cycles_by_cause, pipeline_cycles
from qdeploy.emulation.aarch64 import FLAGS, Aarch64Decoder
from qdeploy.emulation.pipeline import mispredicted
from qdeploy.emulation.scheduling import Scheduler
from qdeploy.errors import QDeployError
from qdeploy.targets import list_arm_cores, load_arm_core
from qdeploy.targets.pipeline import PIPELINE_CLASSES

WORDS = {
    "add x0, x0, x1": 0x8B010000,
    "add x2, x3, x4": 0x8B040062,
    "add x5, x6, x7": 0x8B0700C5,
    "add x8, x9, x10": 0x8B0A0128,
    "add x0, x0, x1, lsl #2": 0x8B010800,
    "add x0, x0, x1, lsr #2": 0x8B410800,
    "mul w0, w0, w1": 0x1B017C00,
    "madd w0, w1, w2, w0": 0x1B020020,
    "ldr x0, [x0]": 0xF9400000,
    "ldr x1, [x0], #8": 0xF8408401,
    "str x1, [x2]": 0xF9000041,
    "cmp x0, x1": 0xEB01001F,
    "csel x2, x3, x4, ne": 0x9A841062,
    "ldr q0, [x0]": 0x3DC00000,
    "ldr d0, [x0]": 0xFD400000,
    "ldp q0, q1, [x2, #32]!": 0xADC10440,
    "add v0.4s, v1.4s, v2.4s": 0x4EA28420,
    "add v3.4s, v4.4s, v5.4s": 0x4EA58483,
    "sdot v0.4s, v1.16b, v2.16b": 0x4E829420,
    "smlal v0.4s, v1.4h, v2.4h": 0x0E628020,
    "mla v0.4s, v1.4s, v2.4s": 0x4EA29420,
    "mla v0.2s, v1.2s, v2.2s": 0x0EA29420,
    "umov w0, v1.s[2]": 0x0E143C20,
    "mov v0.s[1], w2": 0x4E0C1C40,
    "tbl v0.16b, {v1.16b, v2.16b}, v3.16b": 0x4E032020,
    "ld1 {v0.16b, v1.16b}, [x0]": 0x4C40A000,
    "bsl v0.16b, v1.16b, v2.16b": 0x6E621C20,
    "fmadd s0, s1, s2, s0": 0x1F020020,
    "movk x0, #3, lsl #16": 0xF2A00060,
    "bl 8": 0x94000002,
    "ret": 0xD65F03C0,
}
"""Encodings, as GNU's assembler gives them."""

CORES = list_arm_cores()


def decode(core, *texts):
    code = b"".join(WORDS[text].to_bytes(4, "little") for text in texts)
    return Aarch64Decoder(load_arm_core(core)).block(code, 0)


def turn(core, *texts, taken=False, turns=60):
    """Cycles of one turn of a loop in its steady state."""
    core = load_arm_core(core)
    scheduler = Scheduler(core, core.pipeline)
    block = scheduler.prepare(decode(core.name, *texts))
    ends = scheduler.finish([(block, taken)] * turns)
    return (ends[-1] - ends[turns // 2 - 1]) / (turns - turns // 2)


@pytest.mark.parametrize(
    ("text", "kind", "reads", "address", "writes", "base", "accumulator"),
    [
        ("add x0, x0, x1", "alu", (0, 1), (), (0,), None, None),
        ("add x0, x0, x1, lsl #2", "alu_scaled", (0, 1), (), (0,), None, None),
        ("add x0, x0, x1, lsr #2", "alu_shift", (0, 1), (), (0,), None, None),
        ("madd w0, w1, w2, w0", "multiply", (1, 2, 0), (), (0,), None, 0),
        ("mul w0, w0, w1", "multiply", (0, 1), (), (0,), None, None),
        ("ldr x1, [x0], #8", "load", (), (0,), (1,), 0, None),
        ("str x1, [x2]", "store", (1,), (2,), (), None, None),
        ("cmp x0, x1", "alu", (0, 1), (), (FLAGS,), None, None),
        ("csel x2, x3, x4, ne", "alu", (3, 4, FLAGS), (), (2,), None, None),
        ("ldp q0, q1, [x2, #32]!", "vector_load_pair", (), (2,), (32, 33), 2, None),
        ("sdot v0.4s, v1.16b, v2.16b", "vector_dot", (33, 34, 32), (), (32,), None, 32),
        ("umov w0, v1.s[2]", "from_vector", (33,), (), (0,), None, None),
        ("mov v0.s[1], w2", "to_vector", (2, 32), (), (32,), None, None),
        (
            "tbl v0.16b, {v1.16b, v2.16b}, v3.16b",
            *("vector_tables", (33, 34, 35), (), (32,), None, None),
        ),
        ("ld1 {v0.16b, v1.16b}, [x0]", "vector_load_many", (), (0,), (32, 33), None, None),
        ("bsl v0.16b, v1.16b, v2.16b", "vector_alu", (33, 34, 32), (), (32,), None, None),
        ("fmadd s0, s1, s2, s0", "float_multiply_add", (33, 34, 32), (), (32,), None, 32),
        ("movk x0, #3, lsl #16", "alu", (0,), (), (0,), None, None),
        ("bl 8", "branch", (), (), (30,), None, None),
        ("ret", "indirect", (30,), (), (), None, None),
    ],
)
def test_what_instructions_read_and_write(text, kind, reads, address, writes, base, accumulator):
    (operation,) = decode("neoverse-v1", text)
    found = (operation.kind, operation.reads, operation.address, operation.writes)
    assert found == (kind, reads, address, writes)
    assert (operation.base, operation.accumulator) == (base, accumulator)
    assert operation.weight == (2 if "{" in text else 1)
    assert operation.branch == (kind in ("branch", "indirect"))


@pytest.mark.parametrize(
    ("core", "texts", "cycles"),
    [
        # Two independent additions a cycle in order, but a chain of them takes one each.
        ("cortex-a53", ["add x2, x3, x4", "add x5, x6, x7"], 1),
        ("cortex-a53", ["add x0, x0, x1", "add x0, x0, x1"], 2),
        # A load whose address is its own result; one load a cycle; a base that moves on.
        ("cortex-a53", ["ldr x0, [x0]"], 3),
        ("cortex-a53", ["ldr x1, [x0], #8"], 1),
        # The address comes of an addition, two cycles later than other operands.
        ("cortex-a53", ["add x0, x0, x1", "ldr x0, [x0]"], 3 + 3),
        # Vectors: loads of 128 bits take the vector unit along, of 64 bits half as long.
        ("cortex-a53", ["ldr q0, [x0]"], 2),
        ("cortex-a53", ["ldr d0, [x0]"], 1),
        ("cortex-a53", ["ldr q0, [x0]", "add v3.4s, v4.4s, v5.4s"], 3),
        ("cortex-a53", ["add v3.4s, v4.4s, v5.4s", "add x2, x3, x4"], 1),
        # Out of order: three, four and eight a cycle, when the units suffice.
        ("cortex-a72", ["add x2, x3, x4", "str x1, [x2]", "add v3.4s, v4.4s, v5.4s"], 1),
        ("cortex-a72", ["add x2, x3, x4", "add x5, x6, x7", "add x8, x9, x10"], 1.5),
        ("cortex-a76", ["add x2, x3, x4", "add x5, x6, x7", "add x8, x9, x10"], 1),
        ("neoverse-v1", ["add x2, x3, x4", "add x5, x6, x7"] * 2, 1),
        # A chain hides behind nothing, accumulators are forwarded, products share one unit.
        ("cortex-a76", ["ldr x0, [x0]"], 4),
        ("cortex-a76", ["sdot v0.4s, v1.16b, v2.16b"], 1),
        ("neoverse-v1", ["sdot v0.4s, v1.16b, v2.16b"], 1),
        ("cortex-a72", ["mla v0.4s, v1.4s, v2.4s"], 2),
        ("cortex-a72", ["mla v0.2s, v1.2s, v2.2s"], 2),
        ("cortex-a72", ["smlal v0.4s, v1.4h, v2.4h"], 1),
        ("cortex-a72", ["mul w0, w0, w1"], 3),
        ("cortex-a72", ["madd w0, w1, w2, w0"], 1),
        ("cortex-a72", ["add x0, x0, x1, lsr #2"], 2),
        ("cortex-a76", ["add x0, x0, x1, lsl #2"], 1),
    ],
)
def test_cycles_of_a_loop(core, texts, cycles):
    assert turn(core, *texts) == cycles


def test_a_taken_branch_ends_the_cycle():
    texts = ["add x2, x3, x4", "add x5, x6, x7"]
    assert turn("cortex-a76", *texts) == 2 / 3
    assert turn("cortex-a76", *texts, taken=True) == 1


def test_the_window_bounds_what_runs_ahead():
    """Loads of five cycles: two a cycle, or as many as the window holds every five."""
    core = load_arm_core("cortex-a76")
    small = core.pipeline.model_copy(update={"window": 2})
    block = decode("cortex-a76", "ldr d0, [x0]")
    results = []
    for pipeline in (core.pipeline, small):
        scheduler = Scheduler(core, pipeline)
        ends = scheduler.finish([(scheduler.prepare(block), False)] * 60)
        results.append((ends[-1] - ends[29]) / 30)
    assert results == [0.5, 2.5]


@given(st.lists(st.sampled_from(sorted(set(WORDS) - {"bl 8", "ret"})), min_size=1, max_size=40))
@pytest.mark.parametrize("core_name", ["cortex-a72", "neoverse-v1", "cortex-a53"])
def test_no_sequence_is_quicker_than_dispatch_and_units_allow(core_name, texts):
    if not load_arm_core(core_name).extensions:
        texts = [text for text in texts if "sdot" not in text] or ["add x0, x0, x1"]
    core = load_arm_core(core_name)
    pipeline = core.pipeline
    scheduler = Scheduler(core, pipeline)
    block = scheduler.prepare(decode(core_name, *texts))
    (end,) = scheduler.finish([(block, False)])
    slots = sum(each.slots for each in block)
    assert end >= slots / pipeline.dispatch - 1
    names = list(pipeline.units)
    for number, name in enumerate(names):
        alone = sum(each.cycles for each in block if each.units == (number,))
        # The last result of a store may be done before its unit is free again.
        longest = max(each.cycles for each in block)
        assert end >= alone / pipeline.units[name] - longest
    # More of the same never takes less, and every instruction has been waited for.
    longer = scheduler.finish([(block, False), (block, False)])
    assert longer[0] == end
    assert longer[1] >= end


@pytest.mark.parametrize("core_name", CORES)
def test_every_class_has_figures_that_can_run(core_name):
    core = load_arm_core(core_name)
    for name in PIPELINE_CLASSES:
        pipe = getattr(core.pipeline.classes, name)
        assert (pipe is None) == (
            (name == "vector_dot" and "dotprod" not in core.extensions)
            or (name == "vector_matrix" and "i8mm" not in core.extensions)
        )


@pytest.fixture
def count(link):
    def make(lines, core, *arguments):
        return LibraryMachine(link(lines, kind="f"), load_arm_core(core)).count("f", *arguments)

    return make


def test_a_loop_that_ends_costs_one_misprediction(count):
    counts = count("1: subs x0, x0, #1\nb.ne 1b", "cortex-a76", 100)
    assert mispredicted(counts, 32) == 1
    # The history holds all of a short loop.
    counts = count("1: subs x0, x0, #1\nb.ne 1b", "cortex-a76", 20)
    assert mispredicted(counts, 32) == 0
    assert mispredicted(counts, 8) == 1


def test_loops_in_loops(count):
    lines = "1: mov x1, {}\n2: subs x1, x1, #1\nb.ne 2b\nsubs x0, x0, #1\nb.ne 1b"
    assert mispredicted(count(lines.format(5), "cortex-a76", 3), 32) == 0
    # Each end of the inner loop, and that of the outer one.
    assert mispredicted(count(lines.format(50), "cortex-a76", 30), 32) == 31


def test_estimates_add_causes_and_carry_the_band(count):
    core = load_arm_core("cortex-a76")
    counts = count("1: add x1, x1, x2\nsubs x0, x0, #1\nb.ne 1b", "cortex-a76", 1000)
    found = cycles_by_cause(counts, core)
    # One turn a cycle, a misprediction, and little at the ends.
    assert found.branches == core.pipeline.mispredict
    assert found.units == pytest.approx(1000, abs=20)
    assert found.memory == 0
    estimate = pipeline_cycles(counts, core)
    band = core.pipeline.band
    assert estimate.value == found.total
    assert (estimate.low, estimate.high) == (found.total * band.low, found.total * band.high)


def test_constants_beyond_the_first_cache_cost_their_lines(count):
    lines = "adr x1, 3f\nmov x2, #{}\n1: ldr q0, [x1], #16\nsubs x2, x2, #16\nb.ne 1b\nb 2f\n"
    lines += ".balign 64\n3: .fill 65536, 1, 3\n2:"
    core = load_arm_core("cortex-a53")
    assert core.first_level_kibibytes == 32
    assert cycles_by_cause(count(lines.format(16384), core.name), core).memory == 0
    counts = count(lines.format(49152), core.name)
    found = cycles_by_cause(counts, core)
    assert found.memory == pytest.approx(49152 / core.pipeline.second_level_bytes)
    estimate = pipeline_cycles(counts, core)
    own = found.units + found.branches
    assert estimate.low == own * core.pipeline.band.low
    assert estimate.high == own * core.pipeline.band.high + 2 * found.memory


def test_many_histories_are_cut_short(count, monkeypatch):
    """With few histories allowed, the result stays near."""
    lines = (
        "mov x1, #400\n1: lsr x3, x0, #3\neor x0, x3, x0, lsl #5\ntbz x0, #4, 2f\nadd x4, x4, #1\n"
        "2: tbz x0, #9, 3f\nmul x5, x5, x4\n3: subs x1, x1, #1\nb.ne 1b"
    )
    counts = count(lines, "cortex-a72", 0x1234_5678_9ABC)
    core = load_arm_core("cortex-a72")
    whole = cycles_by_cause(counts, core).units
    monkeypatch.setattr("qdeploy.emulation.pipeline._CONTEXTS", 20)
    assert cycles_by_cause(counts, core).units == pytest.approx(whole, rel=0.3)


def test_classes_that_a_table_lacks_are_an_error(count):
    counts = count("sdot v0.4s, v1.16b, v2.16b", "cortex-a76")
    with pytest.raises(QDeployError, match=r"cortex-a72\.toml.*classes\.vector_dot.*sdot"):
        cycles_by_cause(counts, load_arm_core("cortex-a72"))


def test_the_order_of_blocks_is_told(count):
    counts = count("1: subs x0, x0, #1\nb.ne 1b\nnop", "cortex-a72", 3)
    assert [block.runs for block in counts.blocks] == [2, 1] or len(counts.blocks) == 2
    assert counts.order.size == sum(block.runs for block in counts.blocks)
    assert np.count_nonzero(counts.taken) == counts.taken_branches
