"""Two words of 32 bits as one value of 64, which is one load on cores that have those."""

from typing import Any

from tvm import tirx

from qdeploy.compiler import tir

__all__ = ["joined", "split"]


def joined(low: Any, high: Any) -> Any:
    """Two int32 words as one int64 value."""
    upper = high.astype("int64") * tirx.const(1 << 32, "int64")
    return upper + (low.astype("int64") & tirx.const(0xFFFFFFFF, "int64"))


def split(value: Any) -> tuple[Any, Any]:
    """The low and the high word of an int64 value."""
    low = tir.bind(value.astype("int32"))
    return low, tir.bind((value >> tirx.const(32, "int64")).astype("int32"))
