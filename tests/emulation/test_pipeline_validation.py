"""The pipeline model stays within the bands that it states, against others' figures."""

from pathlib import Path

import pytest

from qdeploy.emulation.pipeline_validation import (
    compare,
    compare_blocks,
    comparisons_section,
    coremark_entry,
    fingerprint,
    program_cycles,
)
from qdeploy.targets import list_arm_cores, load_arm_core
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS

SCORES = [each for each in compare() if each.published]
_, BLOCKS = compare_blocks()


@pytest.mark.parametrize("comparison", SCORES, ids=lambda each: each.published.board)
def test_published_scores_lie_within_the_band(comparison):
    band = load_arm_core(comparison.counted.core).pipeline.band
    assert band.low <= comparison.ratio <= band.high


def test_the_boards_that_there_are_targets_for_have_scores():
    assert {each.counted.core for each in SCORES} == {"cortex-a53", "cortex-a72", "cortex-a76"}


@pytest.mark.parametrize(
    "counted", [each.counted for each in compare()], ids=lambda each: each.core
)
def test_coremark_was_scheduled_on_the_tables_of_today(counted):
    assert counted.tables == fingerprint(load_arm_core(counted.core)), "count CoreMark again"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda each: f"{each.core}-{each.kernel}")
def test_llvm_mca_lies_within_the_band(block):
    band = load_arm_core(block.core).pipeline.band
    # Where it is known to be wrong, a note says so.
    assert bool(block.note) != (band.low <= block.ratio <= band.high)


@pytest.mark.parametrize("core_name", list_arm_cores())
def test_programs_give_the_results_of_the_microcontrollers(core_name):
    core, toolchain = load_arm_core(core_name), LINUX_TOOLCHAINS["zig"]
    if obstacle := toolchain.obstacle(core):
        pytest.skip(obstacle)
    found = program_cycles(core, toolchain)
    assert {each.name: each.result for each in found} == {
        "list_work": 0xABBB5197,
        "matrix_work": 0x34F,
        "state_work": 0xC1FB92C,
        "checksum_work": 0xC1BF,
    }
    each = [program.cycles / program.instructions for program in found]
    # The same kinds of work as CoreMark: cycles an instruction of the same size.
    assert 0.2 < sum(each) / len(each) < 2


def test_the_page_is_up_to_date():
    page = Path(__file__).parents[2] / "docs" / "pipeline-model.md"
    text = page.read_text(encoding="utf-8")
    assert "\n".join(comparisons_section()) in text, (
        "run python -m qdeploy.emulation.pipeline_validation"
    )
    for core in map(load_arm_core, list_arm_cores()):
        assert core.pipeline.source in text


def test_an_entry_for_another_build(link):
    core = load_arm_core("cortex-a72")
    source = "static int n;\nvoid init(void) { n = 1; }\nint iterate(void) { return n++; }\n"
    entry = coremark_entry(link(source), core, "zig", "-O2")
    assert entry.startswith('[[counted]]\ncore = "cortex-a72"\n')
    assert f'tables = "{fingerprint(core)}"' in entry
