"""Arrays as text inside JSON: little-endian bytes, deflated, in base64."""

import base64
import binascii
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError

__all__ = ["pack", "unpack"]


def pack(array: NDArray[Any], dtype: str) -> str:
    """The text of an array, stored as `dtype` (which names its byte order)."""
    return base64.b64encode(zlib.compress(array.astype(dtype).tobytes(), 9)).decode("ascii")


def unpack(text: str, dtype: str, count: int, what: str) -> NDArray[Any]:
    """The array of a text, inflated no further than the `count` values that it must hold.

    Raises:
        QDeployError: the text is damaged or holds another number of values.
    """
    size = count * np.dtype(dtype).itemsize
    inflater = zlib.decompressobj()
    try:
        values = inflater.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, zlib.error) as error:
        raise QDeployError(f"metadata: the array {what} is damaged ({error})") from error
    if len(values) != size or not inflater.eof or inflater.unused_data:
        raise QDeployError(f"metadata: the array {what} does not hold {count} values")
    return np.frombuffer(values, dtype=dtype)
