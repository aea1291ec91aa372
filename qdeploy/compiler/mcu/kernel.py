"""A form bound to one network for a core that computes one value at a time: one sample a call."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as ops

from qdeploy.compiler.kernel import Constant, Operands, Scratch
from qdeploy.network import QuantizedNetwork

__all__ = ["McuKernel", "Part", "kernel_functions"]

Part = Callable[[Operands], None]
"""Writes the code of one function; in the operands, x is int8 (d,) and scores (K,)."""


class McuKernel(Protocol):
    """One network in one form for one kind of core.

    Attributes:
        network: what it computes.
        constants: its read-only arrays.
        scratch: its working memory.
        accumulators: proven integer width of each sum, for the plan.
        reloads: whether values are loaded anew behind each barrier; the function then does not
            promise that its pointers differ, or LLVM would keep them across.
    """

    @property
    def network(self) -> QuantizedNetwork: ...  # noqa: D102 (described above, as the others)
    @property
    def constants(self) -> tuple[Constant, ...]: ...  # noqa: D102
    @property
    def scratch(self) -> tuple[Scratch, ...]: ...  # noqa: D102
    @property
    def accumulators(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def reloads(self) -> bool: ...  # noqa: D102

    def parts(self) -> Sequence[Part]:
        """The code of one sample as functions that are called one after the other.

        Several where one would be so long that compilers need minutes for it.
        """
        ...


def kernel_functions(kernel: McuKernel, symbol: str) -> dict[str, Any]:
    """TVM functions (x, constants…, scores, scratch…) by symbol, in the order of their calls."""
    parts = kernel.parts()
    names = [symbol] if len(parts) == 1 else [f"{symbol}_{k}" for k in range(len(parts))]
    return {name: _function(kernel, name, part) for name, part in zip(names, parts, strict=True)}


def _function(kernel: McuKernel, symbol: str, part: Part) -> Any:
    network = kernel.network
    with IRBuilder() as builder, ops.prim_func(s_tir=True):
        ops.func_name(symbol)
        ops.func_attr({"tirx.noalias": not kernel.reloads, "global_symbol": symbol})
        x = ops.arg("x", ops.buffer((network.inputs,), "int8"))
        constants = {
            item.name: ops.arg(item.name, ops.buffer((item.values.size,), str(item.values.dtype)))
            for item in kernel.constants
        }
        scores = ops.arg("scores", ops.buffer((network.outputs,), network.score_dtype))
        scratch = {
            item.name: ops.arg(item.name, ops.buffer((item.elements,), item.dtype))
            for item in kernel.scratch
        }
        part(Operands(x, constants, scores, scratch))
    return builder.get()
