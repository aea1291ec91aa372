"""In-process emulation: calls of functions, exact counts, and estimates of cycles."""

from qdeploy.emulation.block_counts import BlockCounts, BlockRuns
from qdeploy.emulation.counting import Counts
from qdeploy.emulation.cycles import core_cycles, cycles, flash_cycles
from qdeploy.emulation.libraries import check_libraries
from qdeploy.emulation.library_machine import LibraryMachine
from qdeploy.emulation.machine import Machine
from qdeploy.emulation.pipeline import PipelineCycles, cycles_by_cause, pipeline_cycles
from qdeploy.emulation.reads import Reads

__all__ = [
    "BlockCounts",
    "BlockRuns",
    "Counts",
    "LibraryMachine",
    "Machine",
    "PipelineCycles",
    "Reads",
    "check_libraries",
    "core_cycles",
    "cycles",
    "cycles_by_cause",
    "flash_cycles",
    "pipeline_cycles",
]
