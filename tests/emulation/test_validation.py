"""The cycle model stays within the bands that it states, against published measurements."""

from pathlib import Path

import pytest

from qdeploy.emulation import core_cycles, cycles, flash_cycles
from qdeploy.emulation.validation import KERNELS, compare, count_kernels, kernel_cycles
from qdeploy.emulation.validation.page import comparisons_section
from qdeploy.errors import QDeployError
from qdeploy.targets import list_cores, load_core, load_target
from qdeploy.toolchains import TOOLCHAINS

CORES = list_cores()
CLEAN = [comparison for comparison in compare() if comparison.published.clean]


@pytest.mark.parametrize("comparison", CLEAN, ids=lambda each: each.published.board)
def test_published_scores_lie_within_the_band(comparison):
    band = load_core(comparison.published.core).cycles.band
    assert band.low <= comparison.ratio <= band.high


def test_boards_that_wait_for_flash_are_slower_than_the_model():
    waiting = [each for each in compare() if not each.published.clean]
    assert waiting
    assert all(each.ratio > 1.2 for each in waiting)


@pytest.fixture(scope="module")
def counted():
    known = {}

    def count(core, toolchain):
        if obstacle := TOOLCHAINS[toolchain].obstacle(load_core(core)):
            pytest.skip(obstacle)
        if (core, toolchain) not in known:
            known[core, toolchain] = count_kernels(load_core(core), TOOLCHAINS[toolchain])
        return known[core, toolchain]

    return count


@pytest.mark.parametrize("toolchain", TOOLCHAINS.names())
@pytest.mark.parametrize("core", CORES)
def test_kernels_give_the_same_results_everywhere(counted, core, toolchain):
    results = {kernel.name: kernel.result for kernel in counted(core, toolchain)}
    assert tuple(results) == KERNELS
    assert results == {
        "list_work": 0xABBB5197,
        "matrix_work": 0x34F,
        "state_work": 0xC1FB92C,
        "checksum_work": 0xC1BF,
    }


@pytest.mark.parametrize("toolchain", TOOLCHAINS.names())
@pytest.mark.parametrize("core", sorted({each.published.core for each in CLEAN}))
def test_kernels_cost_as_much_an_instruction_as_published_scores_say(counted, core, toolchain):
    model = kernel_cycles(counted(core, toolchain))
    band = load_core(core).cycles.band
    optimized = [
        each.published.cycles / each.counted.counts.instructions
        for each in CLEAN
        if each.published.core == core and each.published.optimize == "-O2"
    ]
    assert optimized
    for true in optimized:
        assert band.low <= true / model <= band.high


def test_checksum_in_python(counted):
    """One kernel written a second time, so that the results above are not only each other's."""
    seed, crc = 7, 0xFFFF
    for _ in range(128):
        seed = (seed * 1664525 + 1013904223) % 2**32
        crc ^= seed >> 16 & 0xFF
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    kernels = {kernel.name: kernel.result for kernel in counted("cortex-m4", "zig")}
    assert kernels["checksum_work"] == crc


def test_the_page_is_up_to_date():
    page = Path(__file__).parents[2] / "docs" / "cycle-model.md"
    text = page.read_text(encoding="utf-8")
    assert "\n".join(comparisons_section()) in text, "run python -m qdeploy.emulation.validation"
    for core in map(load_core, list_cores()):
        assert core.cycles.source in text


def test_estimates_carry_the_band(assemble):
    core, target = load_core("cortex-m4"), load_target("cortex-m4")
    counts = assemble("cortex-m4", "ldr r0, [r0]\nmul r0, r0, r1\nbx lr").count(
        "f", assemble("cortex-m4", "bx lr").allocate(4), 1
    )
    # A load of 2 cycles, a product, and a taken branch of 1 + 2.
    assert core_cycles(counts, core) == 2 + 1 + 3
    assert flash_cycles(counts, target) == 0
    estimate = cycles(counts, core, target)
    band = core.cycles.band
    assert (estimate.low, estimate.value, estimate.high) == (6 * band.low, 6, 6 * band.high)


def test_flash_adds_what_its_caches_do_not_hold(assemble):
    core, board = load_core("cortex-m4"), load_target("nucleo-l4r5zi")
    read = board.flash_read
    lines = "adr r1, 2f\nmovs r0, #0\nmovs r3, #0\n1: ldrb r2, [r1, r3]\nadds r0, r2\nadds r3, #1\n"
    lines += "cmp r3, #800\nblt 1b\nbx lr"
    machine = assemble("cortex-m4", lines, data="2: .fill 1024, 1, 3")
    assert machine.call("f") == 2400
    counts = machine.count("f")
    assert counts.flash_data_bytes == 800
    assert read.data_cache_bytes < 800
    expected = 800 * read.data_cycles_per_byte
    assert flash_cycles(counts, board) == pytest.approx(expected)
    estimate = cycles(counts, core, board)
    assert estimate.low < core_cycles(counts, core) + expected < estimate.high


def test_classes_that_a_table_lacks_are_an_error(assemble):
    counts = assemble("cortex-m4", "udiv r0, r0, r1\nbx lr").count("f", 8, 2)
    with pytest.raises(QDeployError, match=r"cortex-m0plus\.toml.*instructions\.divide"):
        core_cycles(counts, load_core("cortex-m0plus"))


def test_code_that_no_cache_holds_waits_for_flash(assemble):
    board = load_target("nucleo-l4r5zi")
    read = board.flash_read
    short, long = (
        assemble("cortex-m4", "sadd16 r0, r0, r1\n" * times + "bx lr").count("f", 1, 2)
        for times in (100, 1000)
    )
    assert flash_cycles(short, board) == 0
    streamed = long.code_reads.footprint * read.code_cycles_per_byte
    assert flash_cycles(long, board) == pytest.approx(streamed + read.branch_cycles)
