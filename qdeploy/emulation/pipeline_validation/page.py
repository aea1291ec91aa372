"""The page ``docs/pipeline-model.md``: the model, its figures, and others' figures beside it."""

from collections.abc import Sequence

from qdeploy.emulation.pipeline_validation.blocks import compare_blocks
from qdeploy.emulation.pipeline_validation.coremark import compare
from qdeploy.emulation.pipeline_validation.programs import ProgramCycles
from qdeploy.emulation.validation.kernels import KERNELS
from qdeploy.emulation.validation.page import markdown_table
from qdeploy.targets import ArmCore, list_arm_cores, load_arm_core
from qdeploy.targets.pipeline import PIPELINE_CLASSES, Pipe

__all__ = ["comparisons_section", "page"]

_MODEL = """\
Instructions are counted exactly in an emulator [emulated]: a test finds the same instructions and \
taken branches under QEMU, one by one. Cycles are a model of them [estimated]:

1. **Units.** What ran is cut into blocks, each up to a branch. A block is scheduled behind the \
blocks that ran before it (up to 16, or as many as fill the window), cycle by cycle: an \
instruction takes a slot of dispatch, waits for its operands and for a free unit that its class \
may use, and occupies it. On a core in order it also waits for all instructions before it to \
start. Out of order it is dispatched in order, starts when it can, and leaves the window in order. \
What the block adds to the time at which all is done is its cost; it is reckoned once for each \
different history and multiplied. A loop thus costs the largest of its dispatch, its busiest unit \
and its chain of dependent instructions.
2. **Branches.** A branch is expected to go where it went two of the last three times that the \
same blocks ran before it (as many as "history" says, then a fourth of them, then only its own). A \
loop that ends thus costs one misprediction, unless it is so short that the history holds all of \
it.
3. **Constants.** The lines of 64 bytes that a call reads of the library go through a first cache \
of the core's size (fully associative, least recently used, the call one of many equal ones). What \
it does not hold comes at the stated rate; this part counts from 0 to 2 times in the band, since \
prefetching hides it more or less.

Left out: the second cache's misses, address translation, instruction fetch, stores that loads \
wait for, moves that cost nothing, interrupts and neighbours. No figure was fitted to the scores \
below."""

_HEAD = {
    "order": "order",
    "dispatch": "instructions a cycle",
    "window": "window",
    "taken_branch": "cycles after a taken branch",
    "mispredict": "cycles of a misprediction",
    "history": "history, blocks",
    "address_use": "result to address, more cycles",
    "second_level_bytes": "bytes a cycle beyond the first cache",
}


def page(programs: Sequence[ProgramCycles], compiler: str) -> str:
    """The whole page in Markdown.

    Args:
        programs: our own small programs on every core.
        compiler: what built them.
    """
    cores = _cores()
    return "\n".join(
        [
            "# Pipeline model of the 64-bit ARM cores",
            "",
            "Written by `python -m qdeploy.emulation.pipeline_validation`.",
            "",
            _MODEL,
            "",
            "## Figures",
            "",
            *markdown_table(
                ["", *(core.name for core in cores)],
                [
                    *(
                        [text, *(_shown(core, key) for core in cores)]
                        for key, text in _HEAD.items()
                    ),
                    ["units", *(_units(core) for core in cores)],
                ],
            ),
            "",
            "Units that take an instruction (with those that it needs besides behind a plus, and "
            "how long it occupies them where that is not one cycle; behind a stroke, for vectors "
            "of 64 bits), then its latency (in parentheses, until the next one can add to the "
            "result):",
            "",
            *markdown_table(
                ["class", *(core.name for core in cores)],
                [[name, *(_pipe(core, name) for core in cores)] for name in PIPELINE_CLASSES],
            ),
            "",
            *(f"- **{core.name}**: {core.pipeline.source}" for core in cores),
            "",
            *comparisons_section(),
            "",
            *_programs_section(programs, compiler),
            "",
        ]
    )


def comparisons_section() -> list[str]:
    """What does not depend on the toolchains at hand, as lines: bands, scores, llvm-mca."""
    version, blocks = compare_blocks()
    return [
        "## Bands",
        "",
        "True cycles lie between these factors times the model's; every estimate carries them.",
        "",
        *markdown_table(
            ["core", "low", "high", "basis"],
            [
                [core.name, f"{band.low:.2f}", f"{band.high:.2f}", band.basis]
                for core in _cores()
                for band in [core.pipeline.band]
            ],
        ),
        "",
        "## CoreMark as others measured it",
        "",
        "One iteration of CoreMark 1.01 was built for each core, counted and scheduled; its three "
        "checksums are those of EEMBC's report. True cycles are the clock over the published "
        "score. The published programs were built by other versions of GCC, so a part of each "
        "difference is the compiler's. CoreMark has no vectors.",
        "",
        *markdown_table(
            ["core", "board", "built", "instructions", "true", "model", "true / model", "source"],
            [
                [
                    each.counted.core,
                    each.published.board if each.published else "no score found",
                    f"{each.counted.compiler} {each.counted.optimize}",
                    f"{each.counted.instructions:,}",
                    f"{each.published.cycles:,.0f}" if each.published else "",
                    f"{each.counted.model:,.0f}",
                    f"{each.ratio:.2f}" if each.ratio else "",
                    each.published.source if each.published else "",
                ]
                for each in compare()
            ],
        ),
        "",
        "## Loops of our kernels, and llvm-mca",
        "",
        f"Cycles a turn by the model and by {version}, which is another model and no measurement. "
        "It has its own tables for the Cortex-A53, and those of the Cortex-A57 for the Cortex-A72.",
        "",
        *markdown_table(
            ["core", "kernel", "instructions", "model", "llvm-mca", "llvm-mca / model", "note"],
            [
                [
                    each.core,
                    each.kernel,
                    str(each.instructions),
                    f"{each.model:.1f}",
                    f"{each.mca:.1f}",
                    f"{each.ratio:.2f}",
                    each.note,
                ]
                for each in blocks
            ],
        ),
    ]


def _programs_section(programs: Sequence[ProgramCycles], compiler: str) -> list[str]:
    by_core: dict[str, dict[str, ProgramCycles]] = {}
    for each in programs:
        by_core.setdefault(each.core, {})[each.name] = each
    true = {
        each.counted.core: each.published.cycles / each.counted.instructions
        for each in compare()
        if each.published
    }
    return [
        "## Our own small programs",
        "",
        f"The programs with the kinds of work that CoreMark has (as on the page of the "
        f"microcontrollers), built by {compiler}: the model's cycles an instruction of each, their "
        "mean, and CoreMark's true cycles an instruction.",
        "",
        *markdown_table(
            ["core", *KERNELS, "mean", "CoreMark, true"],
            [
                [
                    core,
                    *(f"{_each(found[name]):.2f}" for name in KERNELS),
                    f"{sum(map(_each, found.values())) / len(found):.2f}",
                    f"{true[core]:.2f}" if core in true else "",
                ]
                for core, found in by_core.items()
            ],
        ),
    ]


def _each(program: ProgramCycles) -> float:
    return program.cycles / program.instructions


def _cores() -> list[ArmCore]:
    return [load_arm_core(name) for name in list_arm_cores()]


def _shown(core: ArmCore, key: str) -> str:
    value = getattr(core.pipeline, key)
    return "" if value is None else str(value) if isinstance(value, str) else f"{value:g}"


def _units(core: ArmCore) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in core.pipeline.units.items())


def _pipe(core: ArmCore, name: str) -> str:
    pipe: Pipe | None = getattr(core.pipeline.classes, name)
    if pipe is None:
        return ""
    text = "/".join(pipe.units)
    if pipe.also:
        text += " + " + "/".join(pipe.also)
    if pipe.cycles != 1 or pipe.narrow:
        text += f" ×{pipe.cycles}" + (f"|{pipe.narrow}" if pipe.narrow else "")
    accumulate = "" if pipe.accumulate is None else f" ({pipe.accumulate})"
    # A stroke would end the cell of the table.
    return f"{text}: {pipe.latency}{accumulate}".replace("|", "\\|")
