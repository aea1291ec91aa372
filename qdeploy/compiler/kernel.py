"""A kernel form bound to one network: constants, scratch memory and the code for some samples.

This module turns that into TVM functions; it knows neither the forms nor how code is lowered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as ops

from qdeploy.compiler import tir
from qdeploy.compiler.isa import InstructionSet
from qdeploy.network import QuantizedNetwork

__all__ = ["Constant", "Form", "Kernel", "Operands", "Scratch", "batch_function", "block_function"]


@dataclass(frozen=True, eq=False)
class Constant:
    """A read-only array of a kernel, one-dimensional."""

    name: str
    values: NDArray[np.integer]


@dataclass(frozen=True)
class Scratch:
    """Working memory of a kernel; its contents mean nothing before and after a call.

    Attributes:
        name: of the array.
        dtype: of an element.
        elements: how many.
        stages: first and last stage of the kernel in which it is in use, both included; arrays
            whose stages do not meet may lie in the same place. None for always.
    """

    name: str
    dtype: str
    elements: int
    stages: tuple[int, int] | None = None

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Operands:
    """The buffers that a kernel's code works on.

    Attributes:
        x: inputs, int8 (n, d).
        constants: the kernel's constants by name.
        scores: output (n, K).
        scratch: the kernel's scratch memory by name.
    """

    x: Any
    constants: Mapping[str, Any]
    scores: Any
    scratch: Mapping[str, Any]


class Kernel(Protocol):
    """One network in one form for one instruction set.

    Attributes:
        network: what it computes.
    """

    network: QuantizedNetwork

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Its read-only arrays; the same for every number of samples."""
        ...

    @property
    def accumulators(self) -> Mapping[str, str]:
        """Proven integer width of each sum, for the plan."""
        ...

    def scratch(self, samples: int) -> tuple[Scratch, ...]:
        """Working memory for a block of samples."""
        ...

    def registers(self, samples: int) -> int:
        """Vector registers that the innermost loop needs for a block of samples."""
        ...

    def emit(self, operands: Operands, row: Any, samples: int) -> None:
        """Write the code for samples row … row + samples - 1 into the function being built."""
        ...


class Form(Protocol):
    """A way to compute the quadratic layer and its readout.

    Attributes:
        name: identifier, shown in plans and manifests.
        weights: what the weights must be, in words.
        single: whether the form is worth trying for one sample.
        batch: whether it is worth trying for batches.
        tiles: numbers of samples to try as one block in batches.
        block_vectors: vectors of neurons to try in a block of the loop over them, the default
            first; forms without such a loop have one entry.
    """

    name: str
    weights: str
    single: bool
    batch: bool
    tiles: tuple[int, ...]
    block_vectors: tuple[int, ...]

    def kernel(
        self, network: QuantizedNetwork, isa: InstructionSet, vectors: int | None = None
    ) -> Kernel | str:
        """The kernel, or why this form cannot compute the network.

        Args:
            network: what to compute.
            isa: what the processor offers.
            vectors: vectors of neurons in a block; the default of the form when None.
        """
        ...


def _arguments(kernel: Kernel, rows: Any, samples: int) -> Operands:
    network = kernel.network
    x = ops.arg("x", ops.buffer((rows, network.inputs), "int8"))
    constants = {
        item.name: ops.arg(item.name, ops.buffer((item.values.size,), str(item.values.dtype)))
        for item in kernel.constants
    }
    scores = ops.arg("scores", ops.buffer((rows, network.outputs), network.score_dtype))
    scratch = {
        item.name: ops.arg(item.name, ops.buffer((item.elements,), item.dtype))
        for item in kernel.scratch(samples)
    }
    return Operands(x, constants, scores, scratch)


def _name(symbol: str) -> None:
    ops.func_name(symbol)
    ops.func_attr({"tirx.noalias": True, "global_symbol": symbol})


def block_function(kernel: Kernel, symbol: str, samples: int = 1) -> Any:
    """TVM function (x, constants…, scores, scratch…) for exactly `samples` samples."""
    with IRBuilder() as builder, ops.prim_func(s_tir=True):
        _name(symbol)
        kernel.emit(_arguments(kernel, samples, samples), 0, samples)
    return builder.get()


def batch_function(kernel: Kernel, symbol: str, tile: int) -> Any:
    """TVM function (x, constants…, scores, scratch…) for any number of samples.

    Whole tiles first, the remaining samples one by one.
    """
    rows = tirx.Var("rows", "int64")
    with IRBuilder() as builder, ops.prim_func(s_tir=True):
        _name(symbol)
        operands = _arguments(kernel, rows, tile)
        with tir.loop(tirx.floordiv(rows, tile)) as block:
            kernel.emit(operands, block * tile, tile)
        if tile > 1:
            with tir.loop(tirx.floordiv(rows, tile) * tile, rows) as row:
                kernel.emit(operands, row, 1)
    return builder.get()
