"""The real image of a microcontroller artifact, run by the emulator in this process."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from qdeploy.runners import RUNNERS, Interface, Session, check_inputs
from qdeploy.targets import Core, Region

if TYPE_CHECKING:
    from qdeploy.emulation import Counts

__all__ = ["EmulatedImage", "EmulatorRunner", "EmulatorSession"]


class EmulatedImage(Protocol):
    """What the emulator needs to know of an artifact."""

    @property
    def interface(self) -> Interface:
        """How the model is called."""

    @property
    def image_elf(self) -> Path:
        """The linked image."""

    @property
    def core(self) -> Core:
        """What it was compiled for."""

    @property
    def memories(self) -> tuple[Region, Region]:
        """Flash and RAM that it was linked for."""


class EmulatorSession:
    """``NAME_predict`` of an image, called sample by sample.

    Args:
        image: the linked image.
        core: the core.
        flash: its flash.
        ram: its RAM.
        interface: how the model is called.
        strict: samples of a call of which every access is checked for its alignment, which takes
            time and depends little on the values.
    """

    def __init__(
        self,
        image: Path,
        core: Core,
        flash: Region,
        ram: Region,
        interface: Interface,
        *,
        strict: int = 0,
    ) -> None:
        from qdeploy.emulation import Machine

        self._machine = Machine(image, core, flash, ram)
        self._interface = interface
        self._symbol = f"{interface.name}_predict"
        self._dtype = np.dtype(interface.score_type)
        self._strict = strict
        # One byte beside an aligned address: callers need not align their inputs.
        self._x = self._machine.allocate(interface.inputs + 1) + 1
        self._scores = self._machine.allocate(interface.outputs * self._dtype.itemsize)

    def __call__(self, x: NDArray[np.int8]) -> NDArray[np.integer]:
        """Scores (n, K) of int8 inputs (n, d)."""
        x = check_inputs(x, self._interface.inputs)
        scores = np.empty((len(x), self._interface.outputs), dtype=self._dtype)
        for sample, row in enumerate(x):
            self._machine.write(self._x, row.tobytes())
            strict = sample < self._strict
            self._machine.call(self._symbol, self._x, self._scores, strict=strict)
            scores[sample] = self._read_scores()
        return scores

    def count(self, x: NDArray[np.int8]) -> "Counts":
        """Exact counts of one call on an input, int8 (d,)."""
        self._machine.write(self._x, np.ascontiguousarray(x, dtype=np.int8).tobytes())
        return self._machine.count(self._symbol, self._x, self._scores)

    def _read_scores(self) -> NDArray[np.integer]:
        size = self._interface.outputs * self._dtype.itemsize
        little = self._dtype.newbyteorder("<")
        return np.frombuffer(self._machine.read(self._scores, size), dtype=little)


class EmulatorRunner:
    """Needs nothing but the wheel."""

    name = "emulator"
    family = "mcu"
    title = "emulator in this process"

    def open(self, artifact: EmulatedImage) -> Session:
        """Load the artifact's image."""
        return EmulatorSession(
            artifact.image_elf, artifact.core, *artifact.memories, artifact.interface
        )


RUNNERS.register(EmulatorRunner.name)(EmulatorRunner())
