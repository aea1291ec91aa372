"""Exact operation counts of a kernel, read off its TVM function.

Every statement is visited once and weighted with the iterations around it, so the counts follow
the kernels without a second description of them. Accumulators count as registers, not memory.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx
from tvm.ir import Call
from tvm.ir.expr import TensorLoad
from tvm.sym import Analyzer

from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.tir import TRIPS

__all__ = ["Cost", "count_operations"]

_ARITHMETIC = (
    tirx.Add,
    tirx.Sub,
    tirx.Mul,
    tirx.BitwiseAnd,
    tirx.BitwiseOr,
    tirx.BitwiseXor,
    tirx.LShift,
    tirx.RShift,
)
_FIRST_LEVEL_CACHE = 32 * 1024
_SECOND_LEVEL_BYTES = 32
_CACHE_LINE = 64
_FORWARDING_STALL = 20


@dataclass(frozen=True)
class Cost:
    """Instructions by class and memory traffic, for one block of samples.

    Attributes:
        multiply: multiply-accumulate instructions (dot products and vector multiplications).
        arithmetic: other vector arithmetic and conversions.
        loads: vector and scalar loads; a broadcast from memory is one.
        crossings: loads that are expected to cross a cache line, from their alignment.
        stores: vector and scalar stores.
        overhead: loop iterations.
        stalls: scratch arrays that are read at other boundaries than they were written at, which
            waits until the stores have reached the cache.
        bytes_read: bytes of the constants.
    """

    multiply: float
    arithmetic: float
    loads: float
    crossings: float
    stores: float
    overhead: float
    stalls: float
    bytes_read: float

    @property
    def cycles(self) -> float:
        """Estimate that ranks forms; no promise of a time.

        The busiest resource of a core that issues, each cycle, four instructions, among them one
        multiplication, two vector operations, two loads and one store, as x86-64 cores of the last
        ten years and larger ARM cores do at least; constants that do not fit the first-level cache
        arrive at 32 bytes a cycle.
        """
        beyond = self.bytes_read if self.bytes_read > _FIRST_LEVEL_CACHE else 0.0
        vector = self.multiply + self.arithmetic
        loads = self.loads + self.crossings
        busiest = max(
            self.multiply,
            vector / 2,
            loads / 2,
            self.stores,
            (vector + loads + self.stores + 2 * self.overhead) / 4,
            beyond / _SECOND_LEVEL_BYTES,
        )
        return busiest + _FORWARDING_STALL * self.stalls


def count_operations(function: Any, isa: InstructionSet, constants: frozenset[str]) -> Cost:
    """Count the operations of a function with constant loop bounds.

    Args:
        function: TVM function of one block of samples.
        isa: instruction set, for the width of a vector register.
        constants: names of the parameters that are read-only arrays.
    """
    counter = _Counter(max(isa.vector_bits, 64), constants)
    counter.statement(function.body, 1.0)
    counted = {name: counter.totals[name] for name in Cost.__dataclass_fields__ if name != "stalls"}
    return Cost(**counted, stalls=len(counter.stalled))


def _width(dtype: str) -> tuple[int, int]:
    """Bits of a lane and number of lanes."""
    scalar, _, lanes = dtype.partition("x")
    return np.dtype(scalar).itemsize * 8, int(lanes or 1)


class _Counter:
    def __init__(self, vector_bits: int, constants: frozenset[str]) -> None:
        self._vector_bits = vector_bits
        self._constants = constants
        self._registers: list[Any] = []
        self._written: set[str] = set()
        self._analyzer = Analyzer()
        self.stalled: set[str] = set()
        self.totals: defaultdict[str, float] = defaultdict(float)

    def _add(self, kind: str, dtype: str, times: float) -> None:
        bits, lanes = _width(dtype)
        self.totals[kind] += times * -(-bits * lanes // self._vector_bits)

    def _load(self, node: Any, dtype: str, times: float) -> None:
        self._add("loads", dtype, times)
        bits, lanes = _width(dtype)
        size = bits * lanes // 8
        name = str(node.source)
        if name in self._constants:
            self.totals["bytes_read"] += times * size
        index = node.indices[-1]
        if lanes > 1 and not self._aligned(index.base, lanes):
            registers = -(-bits * lanes // self._vector_bits)
            self.totals["crossings"] += times * min(size / _CACHE_LINE, registers)
            if name in self._written:
                self.stalled.add(name)

    def _aligned(self, start: Any, lanes: int) -> bool:
        """Whether an index is a multiple of the lanes, whatever the loop variables are."""
        found = self._analyzer.modular_set(start)
        return int(found.coeff) % lanes == 0 and int(found.base) % lanes == 0

    def _in_register(self, buffer: Any) -> bool:
        return any(buffer.same_as(other) for other in self._registers)

    def statement(self, node: Any, times: float) -> None:
        """Count a statement that runs `times` times."""
        if isinstance(node, tirx.SeqStmt):
            for part in node.seq:
                self.statement(part, times)
        elif isinstance(node, tirx.For):
            given = node.annotations.get(TRIPS)
            trips = float(str(given)) if given is not None else float(int(node.extent))
            self.totals["overhead"] += times * trips
            self.statement(node.body, times * trips)
        elif isinstance(node, tirx.BufferStore):
            self.expression(node.value, times)
            if not self._in_register(node.buffer):
                self._written.add(str(node.buffer))
                self._add("stores", str(node.value.ty), times)
        elif isinstance(node, tirx.AllocBuffer):
            self._registers.append(node.buffer)
        elif isinstance(node, tirx.Bind):
            self.expression(node.value, times)
        else:
            raise TypeError(f"cannot count a statement of type {type(node).__name__}")

    def expression(self, node: Any, times: float) -> None:
        """Count an expression that is evaluated `times` times."""
        dtype = str(node.ty)
        if isinstance(node, TensorLoad):
            if not self._in_register(node.source):
                self._load(node, dtype, times)
        elif isinstance(node, Call):
            arguments = list(node.args)
            if node.op.name == "tirx.call_llvm_pure_intrin":
                arguments = arguments[1:]
                # A reduction narrows its operand step by step; a dot product is one instruction.
                reduces = len(arguments) == 1
                wide = str(arguments[0].ty) if reduces else dtype
                self._add("arithmetic" if reduces else "multiply", wide, times)
            for argument in arguments:
                self.expression(argument, times)
        elif isinstance(node, tirx.Shuffle):
            # Instructions take one lane, or half of a register, as they lie.
            if len(node.vectors) > 1:
                self._add("arithmetic", dtype, times)
            for vector in node.vectors:
                self.expression(vector, times)
        elif isinstance(node, tirx.Broadcast):
            self.expression(node.value, times)
        elif isinstance(node, tirx.Cast):
            self._add("arithmetic", dtype, times)
            self.expression(node.value, times)
        elif isinstance(node, _ARITHMETIC):
            kind = "multiply" if isinstance(node, tirx.Mul) else "arithmetic"
            self._add(kind, dtype, times)
            self.expression(node.a, times)
            self.expression(node.b, times)
        elif not isinstance(node, tirx.IntImm | tirx.Var):
            raise TypeError(f"cannot count an expression of type {type(node).__name__}")
