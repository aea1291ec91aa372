"""The pipeline model against others' figures; ``python -m qdeploy.emulation.pipeline_validation``.

CoreMark was counted once (`coremark.toml`); published scores give the true cycles. Loops of our own
kernels stand beside what llvm-mca says of them (`blocks.toml`). Small programs are built anew.
"""

from qdeploy.emulation.pipeline_validation.blocks import BlockComparison, compare_blocks
from qdeploy.emulation.pipeline_validation.coremark import (
    Comparison,
    compare,
    coremark_entry,
    fingerprint,
)
from qdeploy.emulation.pipeline_validation.page import comparisons_section, page
from qdeploy.emulation.pipeline_validation.programs import ProgramCycles, program_cycles

__all__ = [
    "BlockComparison",
    "Comparison",
    "ProgramCycles",
    "compare",
    "compare_blocks",
    "comparisons_section",
    "coremark_entry",
    "fingerprint",
    "page",
    "program_cycles",
]
