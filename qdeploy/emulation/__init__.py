"""In-process emulation of microcontrollers: calls, exact counts, and estimates of cycles."""

from qdeploy.emulation.counting import Counts
from qdeploy.emulation.machine import Machine
from qdeploy.emulation.reads import Reads

__all__ = ["Counts", "Machine", "Reads"]
