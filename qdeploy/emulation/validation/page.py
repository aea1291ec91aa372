"""The page ``docs/cycle-model.md``: the model, its figures, and measurements beside it."""

from collections.abc import Iterable, Sequence

from qdeploy.emulation.cycles import FLASH_BAND
from qdeploy.emulation.validation.comparison import Comparison, compare, kernel_cycles
from qdeploy.emulation.validation.kernels import KERNELS, KernelCounts
from qdeploy.targets import Core, McuTarget, list_cores, list_targets, load_core
from qdeploy.targets.cycles import INSTRUCTION_CLASSES

__all__ = ["comparisons_section", "markdown_table", "page"]

_EVENTS = {
    "register": "each register of a load or store of several",
    "taken_branch": "each taken branch, besides",
    "load_use": "each load whose value the next instruction uses, besides",
    "address_use": "each access whose address the instruction before computes, besides",
    "pipelined_load": "each load after another whose value it does not use, less",
    "scale": "factor on the sum",
}


def page(kernels: Sequence[KernelCounts], compiler: str) -> str:
    """The whole page in Markdown.

    Args:
        kernels: our own kernels on every core that they were counted on.
        compiler: what built them.
    """
    cores = [load_core(name) for name in list_cores()]
    return "\n".join(
        [
            "# Cycle model of the microcontroller cores",
            "",
            "Written by `python -m qdeploy.emulation.validation`. Instructions are counted exactly "
            "in an emulator [emulated]: tests find the same instructions and taken branches under "
            "QEMU, kernel by kernel. Cycles are a model of them [estimated], and this page says "
            "how far the model is off.",
            "",
            "Cycles are a sum: instructions by class, registers of loads and stores of several, "
            "taken branches, stalls, times the figures below, which are for memory that answers "
            "at once. A board whose flash is slower adds to it (last section). An instruction in "
            "an IT block costs the same whether or not its condition holds. Interrupts, debuggers "
            "and other bus masters are left out.",
            "",
            "## Figures",
            "",
            *markdown_table(
                ["cycles of", *(core.name for core in cores)],
                [
                    *(
                        [name, *(_figure(core, name) for core in cores)]
                        for name in INSTRUCTION_CLASSES
                    ),
                    *(
                        [text, *(_event(core, name) for core in cores)]
                        for name, text in _EVENTS.items()
                    ),
                ],
            ),
            "",
            *(f"- **{core.name}**: {core.cycles.source}" for core in cores),
            "",
            *comparisons_section(),
            "",
            *_kernels_section(kernels, compiler),
            "",
            *_flash_section(),
            "",
        ]
    )


def comparisons_section() -> list[str]:
    """What does not depend on the toolchains at hand: bands and published scores, as lines."""
    cores = [load_core(name) for name in list_cores()]
    rows = [_comparison_row(comparison) for comparison in compare()]
    return [
        "## Bands",
        "",
        "True cycles lie between these factors times the model's; every estimate carries them.",
        "",
        *markdown_table(
            ["core", "low", "high", "basis"],
            [
                [core.name, f"{band.low:.2f}", f"{band.high:.2f}", band.basis]
                for core in cores
                for band in [core.cycles.band]
            ],
        ),
        "",
        "## CoreMark as others measured it",
        "",
        "One iteration of CoreMark 1.01 was built with GCC 12.2 (for RISC-V, with clang 22) and "
        "counted in the emulator; its three checksums are those of EEMBC's report. True cycles are "
        "the clock over the published score. The published programs were built by other versions "
        "of GCC at the level of optimisation that the board's menu names, so a part of each "
        "difference is the compiler's. Boards whose flash makes the core wait stand apart: the "
        "figures above leave waiting out.",
        "",
        *markdown_table(
            ["core", "board", "level", "true", "model", "true / model", "source"],
            [row for row, clean in rows if clean],
        ),
        "",
        "With wait states and no cache, for comparison:",
        "",
        *markdown_table(
            ["core", "board", "level", "true", "model", "true / model", "source"],
            [row for row, clean in rows if not clean],
        ),
    ]


def _comparison_row(comparison: Comparison) -> tuple[list[str], bool]:
    published = comparison.published
    row = [
        published.core,
        published.board,
        published.optimize,
        f"{published.cycles:,.0f}",
        f"{comparison.model:,.0f}",
        f"{comparison.ratio:.2f}",
        published.source,
    ]
    return row, published.clean


def _kernels_section(kernels: Sequence[KernelCounts], compiler: str) -> list[str]:
    by_core: dict[str, list[KernelCounts]] = {}
    for kernel in kernels:
        by_core.setdefault(kernel.core, []).append(kernel)
    rows = []
    for core, group in by_core.items():
        counts = {kernel.name: kernel.counts.instructions for kernel in group}
        true = [
            comparison.published.cycles / comparison.counted.counts.instructions
            for comparison in compare()
            if comparison.published.core == core and comparison.published.clean
        ]
        measured = f"{min(true):.2f} to {max(true):.2f}" if true else "none"
        rows.append(
            [
                core,
                *(f"{counts[name]:,}" for name in KERNELS),
                f"{kernel_cycles(group):.2f}",
                measured,
            ]
        )
    return [
        "## Our own kernels",
        "",
        f"Small programs with the kinds of work that CoreMark has, built by {compiler}: "
        "instructions of each, the model's cycles an instruction when all four take equal shares, "
        "and CoreMark's true cycles an instruction (scores above over counted instructions). A "
        "test builds them anew and fails when the ratio leaves the core's band.",
        "",
        *markdown_table(
            ["core", *KERNELS, "model, cycles each", "CoreMark, true cycles each"], rows
        ),
    ]


def _flash_section() -> list[str]:
    rows = []
    for target in list_targets():
        if isinstance(target, McuTarget) and (read := target.flash_read) is not None:
            rows.append(
                [
                    target.name,
                    f"{read.code_cycles_per_byte:g}",
                    f"{read.branch_cycles:g}",
                    f"{read.code_cache_bytes:,}",
                    f"{read.data_cycles_per_byte:g}",
                    f"{read.data_cache_bytes:,}",
                    read.source,
                ]
            )
    low, high = FLASH_BAND
    return [
        "## Flash",
        "",
        "The emulator records which lines of 16 bytes a call fetches and reads. What a fully "
        "associative cache of the stated size does not hold, when the call is one of many, costs "
        "the stated cycles besides; a taken branch to such a line costs its own. This part of an "
        f"estimate counts {low:g} to {high:g} times in its band: prefetch and replacement differ "
        "from board to board, and one figure alone was fitted to measurements. CoreMark, whose "
        "code does not fit the 1 KiB of the NUCLEO-L4R5ZI, loses 1 to 4 % there by this reckoning; "
        "ST's data sheet states 3.41 CoreMark a megahertz for it at 120 MHz, Arm 3.40 for the core "
        "without wait states.",
        "",
        *markdown_table(
            [
                "board",
                "cycles a byte of code",
                "cycles a branch",
                "cache for code",
                "cycles a byte of constants",
                "cache for constants",
                "source",
            ],
            rows,
        ),
    ]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _figure(core: Core, name: str) -> str:
    value = getattr(core.cycles.instructions, name)
    return "" if value is None else f"{value:g}"


def _event(core: Core, name: str) -> str:
    value = getattr(core.cycles, "register_" if name == "register" else name)
    neutral = 1.0 if name == "scale" else 0.0
    return "" if value is None or (value == neutral and name != "register") else f"{value:g}"
