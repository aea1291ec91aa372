"""The norm by enumeration of all sign vectors, in compiled code, for d up to 32.

max_v uᵀGv = ‖Gu‖₁, so 2^(d-1) vectors u are enough. The entries are rounded to a common scale so
that every sum fits 32 bits; what the rounding can change is added to the bound in exact integers.
"""

import ctypes
import os
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.native import cached_library
from qdeploy.progress import Progress, ProgressEvent
from qdeploy.training.bounds import (
    BoundCapability,
    IntegerMatrix,
    NormProof,
    Request,
    SignMatrix,
    TimeLimitReached,
    best_pair,
    norm_bound,
)

__all__ = ["prove_by_enumeration", "rounded_matrix"]

LARGEST_DIMENSION = 32
WORD = 2**31
"""The absolute entries of the rounded matrix sum to less than this."""
CHUNKS = 64
"""Pieces of the work: as many candidates, steps of progress and moments to stop."""


@norm_bound("enumeration", BoundCapability(LARGEST_DIMENSION, exact=True))
def prove_by_enumeration(matrix: IntegerMatrix, request: Request) -> NormProof:
    """Visit all 2^(d-1) sign vectors; see `NormBound.prove`.

    Exact up to the rounding of G to 32-bit sums: a relative slack near 1e-6, or none. An
    interruption (Ctrl-C) takes effect within one chunk, 1/64 of the work.
    """
    rounded, scale, error = rounded_matrix(matrix)
    largest, patterns = _enumerate(rounded, request.progress, request.time_limit)
    attained, candidates = best_pair(matrix, request.known(patterns))
    return NormProof(
        norm_bound=scale * largest + error,
        multipliers=None,
        method="enumeration",
        attained=attained,
        candidates=candidates[:CHUNKS],
    )


def rounded_matrix(matrix: IntegerMatrix) -> tuple[NDArray[np.int32], int, int]:
    """G = scale·R + E with Σ|R_ij| < 2^31.

    Args:
        matrix: G, int64 (d, d), Σ|G_ij| < 2^62.

    Returns:
        R, int32 (d, d), symmetric as G is; the scale, a positive integer; Σ|E_ij|, an upper bound
        on the norm of E (0 when the scale is 1).
    """
    # |R_ij| ≤ |G_ij| / scale + 1/2, so this scale keeps the sum at or below 2^31 - 1.
    room = WORD - 1 - matrix.size
    scale = max(1, -(-int(np.abs(matrix).sum()) // room))
    rounded = (matrix + scale // 2) // scale
    error = int(np.abs(matrix - scale * rounded).sum())
    return rounded.astype(np.int32), scale, error


def _enumerate(
    rounded: NDArray[np.int32], progress: Progress, time_limit: float | None
) -> tuple[int, SignMatrix]:
    """The norm of R, and the best sign vector of each chunk, int8 (chunks, d)."""
    library = _library()
    dimension = rounded.shape[0]
    # Zero rows and columns change no value: they fill the low coordinates of a small matrix.
    padded = max(dimension, 1 + library.low_coordinates)
    filled = np.zeros((padded, padded), dtype=np.int32)
    filled[:dimension, :dimension] = rounded
    patterns = 2 ** (padded - 1 - library.low_coordinates)
    chunk = -(-patterns // CHUNKS)
    ranges = ((first, min(first + chunk, patterns)) for first in range(0, patterns, chunk))
    started = time.monotonic()
    found: list[tuple[int, int]] = []
    for result in _in_threads(library, filled, ranges):
        found.append(result)
        progress(ProgressEvent("enumeration", min(len(found) * chunk, patterns), patterns))
        if (
            time_limit is not None
            and len(found) * chunk < patterns
            and time.monotonic() - started > time_limit
        ):
            raise TimeLimitReached(
                f"enumeration of 2^{dimension - 1} sign patterns was stopped at the time limit of "
                f"{time_limit:g} s; raise the limit or use the sdp bound"
            )
    codes = np.array([code for _, code in found], dtype=np.uint64)
    bits = (codes[:, None] >> np.arange(dimension - 1, dtype=np.uint64)) & np.uint64(1)
    first = np.ones((codes.size, 1), dtype=np.int8)
    return max(value for value, _ in found), np.hstack([first, 1 - 2 * bits.astype(np.int8)])


def _in_threads(
    library: "_Library", matrix: NDArray[np.int32], ranges: Iterator[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Results of the chunks, as they come, from one thread a core."""
    threads = _cores()
    with ThreadPoolExecutor(threads) as executor:
        running: set[Future[tuple[int, int]]] = set()
        while True:
            # Few are queued at a time, so that leaving the loop early leaves little to wait for.
            running |= {
                executor.submit(library.best_in, matrix, *piece)
                for piece in islice(ranges, 2 * threads - len(running))
            }
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Library:
    """The compiled enumeration; calls release the interpreter lock."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._enumerate = library.qdeploy_enumerate
        self._enumerate.restype = None
        self._enumerate.argtypes = [
            ctypes.c_void_p,
            ctypes.c_int32,
            ctypes.c_uint64,
            ctypes.c_uint64,
            ctypes.POINTER(ctypes.c_int32),
            ctypes.POINTER(ctypes.c_uint64),
        ]
        library.qdeploy_low_coordinates.restype = ctypes.c_int32
        self.low_coordinates = int(library.qdeploy_low_coordinates())

    def best_in(self, matrix: NDArray[np.int32], first: int, last: int) -> tuple[int, int]:
        """Largest value in the high patterns [first, last), and its bits (i - 1 set: u_i = -1)."""
        best, pattern = ctypes.c_int32(), ctypes.c_uint64()
        self._enumerate(
            matrix.ctypes.data,
            matrix.shape[0],
            first,
            last,
            ctypes.byref(best),
            ctypes.byref(pattern),
        )
        return best.value, pattern.value


@cache
def _library() -> _Library:
    source = Path(__file__).with_suffix(".c")
    try:
        return _Library(cached_library(source, ["-march=native"]))
    except QDeployError:
        # Some compilers know no such option on some machines; if it was not that, this fails too.
        return _Library(cached_library(source))
