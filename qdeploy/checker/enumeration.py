"""max |uᵀGv| over sign vectors, exactly, by visiting every u up to its overall sign.

For a fixed u the best v is sign(Gᵀu), so the maximum is that of ‖Gu‖₁ (G symmetric). The walk is
`gray_walk.c`: int64 additions only.
"""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy.native import cached_library
from qdeploy.progress import Progress, ProgressEvent, silent

__all__ = ["LARGEST_DIMENSION", "fits_walk", "largest_bilinear_value"]

LARGEST_DIMENSION = 34
"""Largest d that is enumerated: 2³³ sign vectors, which two cores visit in under a minute."""

CHUNK_SIGNS = 22
"""Free signs of one call into C: short enough to interrupt, long enough to make calls free."""

LANES = 8
"""Rows are padded to a multiple of this many int64 values, one 512-bit vector."""


def fits_walk(gram: NDArray[np.int64]) -> bool:
    """Whether no sum of the walk can leave int64: 2 Σ|G_ij| < 2⁶³, in Python integers."""
    return 2 * sum(abs(value) for value in gram.ravel().tolist()) < 2**63


def largest_bilinear_value(
    gram: NDArray[np.int64],
    *,
    ceiling: int | None = None,
    stage: str = "enumerating sign vectors",
    progress: Progress = silent,
) -> int:
    """Exact max |uᵀGv| over u, v in {±1}^d.

    Args:
        gram: G, symmetric int64 (d, d), for which `fits_walk` is true.
        ceiling: stop as soon as a larger value is met; the result is then that value, which
            exceeds the ceiling but need not be the maximum.
        stage: what the progress is called.
        progress: told how many sign vectors have been visited.

    Raises:
        ValueError: d exceeds `LARGEST_DIMENSION` or a sum could overflow.
        QDeployError: there is no working C compiler.
    """
    size = len(gram)
    if size > LARGEST_DIMENSION or not fits_walk(gram):
        raise ValueError("this matrix is outside the range of the enumeration")
    width = -(-size // LANES) * LANES
    padded = np.zeros((size, width), dtype=np.int64)
    padded[:, :size] = gram
    # The last sign stays +1: u and -u give the same norm.
    free = min(size - 1, CHUNK_SIGNS)
    table = np.empty((max(free, 1), 2, width), dtype=np.int64)
    table[:, 0] = -2 * padded[: len(table)]
    table[:, 1] = 2 * padded[: len(table)]

    walk = cached_library(
        Path(__file__).with_name("gray_walk.c"), ["-march=native", f"-DWIDTH={width}"]
    ).largest_norm
    walk.restype = ctypes.c_int64
    walk.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32]

    def visit(prefix: int) -> int:
        signs = np.ones(size, dtype=np.int64)
        for bit in range(size - 1 - free):
            if prefix >> bit & 1:
                signs[free + bit] = -1
        start = np.ascontiguousarray(signs @ padded)
        return walk(table.ctypes.data, start.ctypes.data, free)

    chunks = 1 << (size - 1 - free)
    largest = 0
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        try:
            walks = [threads.submit(visit, prefix) for prefix in range(chunks)]
            for done, walked in enumerate(as_completed(walks), start=1):
                largest = max(largest, walked.result())
                progress(ProgressEvent(stage, float(done << free), float(chunks << free)))
                if ceiling is not None and largest > ceiling:
                    break
        finally:
            # An interrupt or an early end waits for the chunks under way, not for all of them.
            threads.shutdown(cancel_futures=True)
    return largest
