"""A small vocabulary for writing kernels as TVM statements.

Kernels are written flat (no schedule): loops, vector loads and stores, and accumulators that LLVM
keeps in registers. With one lane everything is scalar, which is what TVM's C generator prints.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as ops

__all__ = [
    "TRIPS",
    "Accumulator",
    "bind",
    "broadcast",
    "broadcast_group",
    "constant",
    "copy_inputs",
    "evaluate",
    "intrinsic",
    "lane",
    "load",
    "loop",
    "reduce_add",
    "reinterpret",
    "shuffle",
    "splat",
    "store",
    "vector_type",
]

TRIPS = "qdeploy_trips"
"""Loop annotation: the exact mean number of iterations where the bounds are read from data."""

_UNROLL_LIMIT = 4


def vector_type(dtype: str, lanes: int) -> str:
    """TVM's name of a vector type; the scalar type for one lane."""
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def _index(start: Any, lanes: int) -> Any:
    return start if lanes == 1 else tirx.Ramp(start, 1, lanes)


def load(buffer: Any, start: Any, lanes: int, row: Any = None) -> Any:
    """`lanes` consecutive elements of a one-dimensional buffer, or of one row of a matrix."""
    index = _index(start, lanes)
    return buffer[index] if row is None else buffer[row, index]


def store(buffer: Any, value: Any, start: Any, lanes: int, row: Any = None) -> None:
    """Write `lanes` consecutive elements."""
    index = _index(start, lanes)
    ops.buffer_store(buffer, value, [index] if row is None else [row, index])


def bind(value: Any) -> Any:
    """Name a value, so that it is computed once."""
    return ops.Bind(value)


def evaluate(value: Any) -> None:
    """A call for its effect."""
    ops.evaluate(value)


def broadcast(value: Any, lanes: int) -> Any:
    """The same scalar in every lane."""
    return value if lanes == 1 else tirx.Broadcast(value, lanes)


def constant(value: int, dtype: str, lanes: int) -> Any:
    """The same number in every lane."""
    return broadcast(tirx.const(value, dtype), lanes)


def lane(value: Any, index: int) -> Any:
    """One lane of a vector."""
    return shuffle([value], [index])


def splat(value: Any, index: int, count: int) -> Any:
    """One lane of a vector in every lane of another; a scalar has one lane."""
    scalar = value if "x" not in str(value.ty) else lane(value, index)
    return broadcast(scalar, count)


def shuffle(vectors: Sequence[Any], lanes: Iterable[int]) -> Any:
    """The given lanes of the vectors, put one behind the other."""
    return tirx.Shuffle(list(vectors), [tirx.const(index, "int32") for index in lanes])


def reinterpret(value: Any, dtype: str, lanes: int) -> Any:
    """The same bits as another type."""
    return tirx.reinterpret(vector_type(dtype, lanes), value)


def broadcast_group(buffer: Any, start: Any, group: int, lanes: int, dtype: str) -> Any:
    """`group` consecutive elements, repeated until `lanes` groups are filled.

    One group fills 32 bits, so that the processor broadcasts it as one integer.
    """
    if group == 1:
        return broadcast(buffer[start], lanes)
    word = tirx.reinterpret("int32", load(buffer, start, group))
    return tirx.reinterpret(vector_type(dtype, group * lanes), broadcast(word, lanes))


def intrinsic(name: str, dtype: str, lanes: int, *arguments: Any) -> Any:
    """Call of a pure LLVM intrinsic."""
    return tirx.call_llvm_pure_intrin(vector_type(dtype, lanes), name, *arguments)


def reduce_add(value: Any, dtype: str, lanes: int) -> Any:
    """Sum over the lanes."""
    return value if lanes == 1 else intrinsic("llvm.vector.reduce.add", dtype, 1, value)


@contextmanager
def loop(start: Any, stop: Any = None, trips: float | None = None) -> Iterator[Any]:
    """A loop over [0, start) or [start, stop); a loop that runs once is no loop.

    Args:
        start: first value, or the number of iterations when `stop` is absent.
        stop: one past the last value.
        trips: mean number of iterations, for counting, where the bounds are not constants.
    """
    if stop is None:
        start, stop = 0, start
    if isinstance(start, int) and isinstance(stop, int) and stop - start == 1:
        yield start
        return
    annotations = None if trips is None else {TRIPS: str(trips)}
    with ops.serial(start, stop, annotations=annotations) as index:
        yield index


class Accumulator:
    """A vector variable; LLVM promotes it to a register.

    Every accumulator is a buffer of its own: TVM moves larger ones out of the stack.
    """

    def __init__(self, dtype: str, lanes: int) -> None:
        self.dtype = dtype
        self.lanes = lanes
        self._buffer = ops.alloc_buffer((lanes,), dtype)

    @property
    def value(self) -> Any:
        """The present value."""
        return load(self._buffer, 0, self.lanes)

    def set(self, value: Any) -> None:
        """Replace the value."""
        store(self._buffer, value, 0, self.lanes)

    def clear(self) -> None:
        """Set every lane to zero."""
        self.set(constant(0, self.dtype, self.lanes))


def copy_inputs(
    target: Any, offset: Any, source: Any, row: Any, count: int, convert: Any, widest: int
) -> None:
    """Convert the `count` inputs of one sample into scratch memory, touching nothing beyond them.

    Whole vectors first; what is left over is one more vector that overlaps the last whole one.

    Args:
        target: one-dimensional scratch buffer.
        offset: first element to write.
        source: the inputs, int8 (n, d).
        row: sample to read.
        count: number of inputs d.
        convert: from (vector of inputs, lanes) to the vector to store.
        widest: most lanes to handle at once, a power of two.
    """
    lanes = min(widest, 1 << (count.bit_length() - 1))
    whole = count // lanes

    def piece(start: Any) -> None:
        value = convert(load(source, start, lanes, row), lanes)
        store(target, value, offset + start, lanes)

    if whole <= _UNROLL_LIMIT:
        for number in range(whole):
            piece(number * lanes)
    else:
        with loop(whole) as number:
            piece(number * lanes)
    if count % lanes:
        piece(count - lanes)
