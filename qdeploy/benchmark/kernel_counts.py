"""What whole inferences of random ±1 networks cost on a bare core, over sizes and settings.

Every network goes through the compiler as a user's would, its code verified and counted in the
emulator. With d inputs and m neurons there are 2·d·m weights of one bit.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.targets import McuTarget, load_target

if TYPE_CHECKING:
    from qdeploy.compiler.families import Goal

__all__ = [
    "INPUTS",
    "NEURONS",
    "OPTIMIZE",
    "KernelCount",
    "Limit",
    "count_kernels",
    "random_model",
]

INPUTS = (16, 32, 64, 128, 256)
NEURONS = (8, 16, 32, 64, 128, 256)
OPTIMIZE: "tuple[Goal, ...]" = ("speed", "size", "balanced")

MOST_BITS, MOST_CODE = 1.1, 1500
"""Flash in the size setting: bits of a weight, and bytes of everything else."""


@dataclass(frozen=True)
class Limit:
    """A goal of the project for one size and setting on cores with DSP.

    Attributes:
        text: what is asked for.
        met: whether it is so.
    """

    text: str
    met: bool


@dataclass(frozen=True)
class KernelCount:
    """One network in one setting.

    Attributes:
        optimize: the setting.
        inputs: d.
        neurons: m.
        form: kernel form that was chosen.
        generator: who wrote its machine code.
        instructions: of one whole inference, exact.
        cycles: of it, by the cycle model without wait states.
        code: bytes of machine code.
        constants: bytes of read-only data, readout weights and biases among them.
        ram: bytes of variables, stack, input and output.
        verified: samples on which the code gave the bits of the network.
    """

    optimize: "Goal"
    inputs: int
    neurons: int
    form: str
    generator: str
    instructions: int
    cycles: float
    code: int
    constants: int
    ram: int
    verified: int

    @property
    def per_product(self) -> float:
        """Instructions for each of the d·m pairs of weights."""
        return self.instructions / (self.inputs * self.neurons)

    @property
    def flash(self) -> int:
        """Bytes of code and constants."""
        return self.code + self.constants

    @property
    def bits_per_weight(self) -> float:
        """Bits of constants for each of the 2·d·m weights."""
        return 8 * self.constants / (2 * self.inputs * self.neurons)

    def limit(self) -> Limit | None:
        """The goal for this size and setting; None where there is none."""
        if self.optimize == "speed" and self.inputs >= 64:
            for most, applies in ((1.1, self.neurons == 16), (0.7, self.neurons >= 128)):
                if applies:
                    return Limit(f"{most:g}·d·m", self.per_product <= most)
        if self.optimize == "size":
            most = MOST_BITS * 2 * self.inputs * self.neurons / 8 + MOST_CODE
            return Limit(f"{MOST_BITS:g} bit + {MOST_CODE} B", self.flash < most)
        return None


def random_model(inputs: int, neurons: int, seed: int = 0) -> Model:
    """A network of random signs with readout weights of 8 bits and one output.

    Args:
        inputs: d.
        neurons: m.
        seed: of all of it.
    """
    generator = np.random.default_rng(seed)
    signs = generator.choice(np.array([-1, 1], dtype=np.int8), (2, neurons, inputs))
    none = np.zeros(neurons, dtype=np.int32)
    readout = generator.integers(-127, 128, (neurons, 1)).astype(np.int32)
    return Model(
        name="random_signs",
        network=QuantizedNetwork(
            [
                QuadraticLayer(signs[0], signs[1], none, none),
                ReadoutLayer(readout, np.zeros(1, dtype=np.int64)),
            ]
        ),
        scale=1.0,
        head=Classes(("no", "yes")),
        quantizer=None,
    )


def count_kernels(
    core: str,
    *,
    inputs: Sequence[int] = INPUTS,
    neurons: Sequence[int] = NEURONS,
    optimize: "Sequence[Goal]" = OPTIMIZE,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[KernelCount]:
    """Compile and count networks of every size in every setting, one after the other.

    Args:
        core: a target without wait states, such as "cortex-m4".
        inputs: numbers of inputs.
        neurons: numbers of neurons.
        optimize: settings.
        seed: of the networks.
        progress: told after each network, with an estimate of the time that is left.

    Raises:
        QDeployError: the target is no microcontroller, or a network cannot be compiled.
    """
    from qdeploy.compiler import compile_model
    from qdeploy.compiler.mcu.artifact import FirmwareArtifact

    target = load_target(core)
    if not isinstance(target, McuTarget):
        raise QDeployError(f"target {core!r} is no microcontroller; see: qdeploy targets")
    todo = list(product(optimize, inputs, neurons))
    # Compiling takes about so long by itself, and longer the more there is to emulate.
    total, done, started = sum(_effort(d, m) for _, d, m in todo), 0.0, time.monotonic()
    for goal, d, m in todo:
        left = _time_left(started, done, total)
        progress(ProgressEvent(f"{goal}: {d} inputs, {m} neurons", done, total, left))
        artifact = compile_model(random_model(d, m, seed), target, optimize=goal)
        assert isinstance(artifact, FirmwareArtifact), "targets of a family have its artifacts"
        chosen, memory = artifact.manifest.candidates[0], artifact.manifest.memory
        done += _effort(d, m)
        yield KernelCount(
            optimize=goal,
            inputs=d,
            neurons=m,
            form=chosen.form,
            generator=chosen.generator,
            instructions=chosen.instructions,
            cycles=chosen.cycles,
            code=memory.code,
            constants=memory.constants,
            ram=memory.ram,
            verified=artifact.verified,
        )


def _effort(inputs: int, neurons: int) -> float:
    return 1 + inputs * neurons / 2**13


def _time_left(started: float, done: float, total: float) -> dict[str, float | str]:
    if done == 0:
        return {}
    seconds = (time.monotonic() - started) * (total - done) / done
    return {"left": f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"}
