"""Search for faster plans: kernels and their block sizes, timed where they will run, and logged.

The compiler's own plan is the default; a tuned one replaces it only where a last race shows it to
be faster. The log makes the result reproducible: `TuningLog.selection` gives its result again.
"""

from qdeploy.tuning.log import TuningLog, read_log
from qdeploy.tuning.measures import MEASURES, Access, Measure, Subject
from qdeploy.tuning.search import tune

__all__ = ["MEASURES", "Access", "Measure", "Subject", "TuningLog", "read_log", "tune"]
