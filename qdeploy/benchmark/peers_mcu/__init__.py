"""What a user would otherwise deploy on a microcontroller, as freestanding C99, one module each.

One convention for all of them, and for qdeploy: a call takes one row as the implementation wants
it (int8, int16 or float32, standardised where its model was trained on standardised features), and
gives scores or a class number. Turning raw features into that row, and scores into labels, is the
caller's part and is not counted for anybody.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context
from qdeploy.registry import Registry

__all__ = ["MCU_PEERS", "McuPeer", "McuSubject"]


@dataclass(frozen=True, eq=False)
class McuSubject:
    """One implementation, ready to be built for a core.

    The C uses what the compiler says of the core (`__ARM_FEATURE_DSP`), so one subject serves all
    cores. It calls no C library; the compiler's own helpers for floats and 64-bit integers, and
    memcpy and memset, are the linker's to provide.

    Attributes:
        name: short identifier of the implementation.
        title: a few words for tables and plots.
        note: what it is, with which settings and kernels.
        entry: C function `void ENTRY(const T *x, S *scores)`.
        input_dtype: T; x is aligned to 4 bytes.
        output_dtype: S.
        inputs: elements of x.
        outputs: elements of scores.
        encode: raw features (n, D) to rows of inputs (n, inputs): the caller's part before.
        decode: scores (n, outputs) to labels (n,) or numbers (n,) or (n, K): the part after.
        reference: raw features (n, D) to predictions in Python. Of integers it has the same
            meaning bit for bit, of floats the same labels.
        sources: text by file name, C files and the headers that they include.
        objects: object files or archives to link, beside the sources.
        expected: inputs to the exact scores that the C must give, where they are integers.
    """

    name: str
    title: str
    note: str
    entry: str
    input_dtype: np.dtype[Any]
    output_dtype: np.dtype[Any]
    inputs: int
    outputs: int
    encode: Callable[[NDArray[np.float64]], NDArray[Any]]
    decode: Callable[[NDArray[Any]], NDArray[Any]]
    reference: Callable[[NDArray[np.float64]], NDArray[Any]] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    objects: Sequence[Path] = ()
    expected: Callable[[NDArray[Any]], NDArray[Any]] | None = None

    def write(self, folder: Path) -> list[Path]:
        """Put the sources into a folder, which the compiler must also search for headers.

        Returns:
            The C files, sorted.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.sources.items():
            (folder / name).write_text(text, encoding="utf-8")
        return [folder / name for name in sorted(self.sources) if name.endswith(".c")]


class McuPeer(ABC):
    """One way of computing the predictions on a microcontroller.

    Attributes:
        name: `implementation` of its figures.
    """

    name: str

    def obstacle(self, context: Context) -> str | None:
        """Why it cannot take part, in a few words; None when it can. It needs rows to learn."""
        return "needs training rows" if context.train is None else None

    @abstractmethod
    def prepare(self, context: Context) -> McuSubject:
        """Fit it on the training rows and generate its C."""


MCU_PEERS: Registry[McuPeer] = Registry("microcontroller peer", "qdeploy.benchmark.peers_mcu")
