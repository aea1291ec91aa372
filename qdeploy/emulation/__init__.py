"""In-process emulation of microcontrollers: calls, exact counts, and estimates of cycles."""

from qdeploy.emulation.counting import Counts
from qdeploy.emulation.cycles import core_cycles, cycles, flash_cycles
from qdeploy.emulation.libraries import check_libraries
from qdeploy.emulation.machine import Machine
from qdeploy.emulation.reads import Reads

__all__ = [
    "Counts",
    "Machine",
    "Reads",
    "check_libraries",
    "core_cycles",
    "cycles",
    "flash_cycles",
]
