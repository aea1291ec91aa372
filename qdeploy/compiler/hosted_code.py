"""The code of one plan for an operating system: kernels, the C side around them, TVM's module."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tvm

from qdeploy.compiler.artifact import header_file
from qdeploy.compiler.c_source import Symbols
from qdeploy.compiler.graph import Match, with_kernel
from qdeploy.compiler.hosted_artifact import ENTRY_FILE, KERNEL_FILE, MODULE_FILE
from qdeploy.compiler.kernel import batch_function, block_function
from qdeploy.compiler.library import entry_source, header_source
from qdeploy.compiler.lowering import Processor, lower_to_object
from qdeploy.compiler.plan import PlannedKernels
from qdeploy.model import Model

__all__ = ["HostedCode"]


@dataclass(frozen=True, eq=False)
class HostedCode:
    """Files of an artifact folder that are written for a processor, not yet for a C compiler.

    Attributes:
        model: what is compiled.
        symbols: its names in C.
        processor: what for.
        planned: forms and tiles.
        folder: the artifact folder.
    """

    model: Model
    symbols: Symbols
    processor: Processor
    planned: PlannedKernels
    folder: Path

    @property
    def scratch_bytes(self) -> int:
        """Stack that the larger of the two functions needs for working memory."""
        plan = self.planned.plan
        return max(plan.single.scratch_bytes, plan.batch.scratch_bytes)

    @cached_property
    def _batch(self) -> Any:
        """TVM function for many samples."""
        planned = self.planned
        return batch_function(planned.batch, self.symbols.batch_kernel, planned.plan.batch.tile)

    def kernels(self) -> Path:
        """Write the object with both kernels."""
        symbols = self.symbols
        functions = {
            symbols.single_kernel: block_function(self.planned.single, symbols.single_kernel),
            symbols.batch_kernel: self._batch,
        }
        path = self.folder / KERNEL_FILE
        lower_to_object(functions, self.processor, path)
        return path

    def entry(self) -> Path:
        """Write the public header and the C file that calls the kernels; returns the latter."""
        header = self.folder / header_file(self.model.name)
        header.write_text(header_source(self.model, self.planned, self.symbols), encoding="ascii")
        entry = self.folder / ENTRY_FILE
        entry.write_text(entry_source(self.planned, self.symbols), encoding="ascii")
        return entry

    def module(self, graph: Any, match: Match, link: Callable[..., None]) -> Path:
        """Write the module for TVM's virtual machine.

        Args:
            graph: the model as TVM imported it.
            match: where its layers are; the kernel for many samples takes their place.
            link: given the library's path and those of its objects.
        """
        tile = self.planned.plan.batch.tile
        replaced = with_kernel(graph, match, self.planned.batch, self._batch, tile)
        path = self.folder / MODULE_FILE
        tvm.compile(replaced, target=self.processor.target).export_library(str(path), fcompile=link)
        return path
