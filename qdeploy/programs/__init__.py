"""Programs for Linux boards around a compiled model: one runs it, one times it; both in C."""

from qdeploy.programs.build import Programs, build_bench, build_programs
from qdeploy.programs.glue import Glue

__all__ = ["Glue", "Programs", "build_bench", "build_programs"]
