"""From a network to an artifact: plan, kernel forms, TVM lowering."""

from typing import TYPE_CHECKING, Any

from qdeploy.compiler.artifact import Artifact
from qdeploy.compiler.families import Goal

if TYPE_CHECKING:
    from qdeploy.compiler.compilation import compile_model

__all__ = ["Artifact", "Goal", "compile_model"]


def __getattr__(name: str) -> Any:
    """Load the compiler, and TVM with it, when it is first asked for."""
    if name == "compile_model":
        from qdeploy.compiler.compilation import compile_model

        return compile_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
