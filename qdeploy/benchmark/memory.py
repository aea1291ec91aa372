"""Bytes of a compiled model, as its artifact records them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qdeploy.benchmark.peers import Size

if TYPE_CHECKING:
    from qdeploy.compiler.library_artifact import LibraryArtifact

__all__ = ["artifact_sizes"]


def artifact_sizes(artifact: "LibraryArtifact") -> Mapping[str, Size]:
    """Code, weights and scratch by metric name."""
    memory = artifact.manifest.memory
    return {
        "flash_code": Size(memory.code, "machine code of the C library"),
        "flash_weights": Size(memory.constants, "read-only data of the C library"),
        "ram_scratch": Size(
            memory.scratch + memory.writable,
            "stack for working memory in the larger of the two functions, and writable data",
        ),
    }
