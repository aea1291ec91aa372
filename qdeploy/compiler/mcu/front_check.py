"""Proof by trial that the float front gives the bits of the model's quantiser, in the emulator."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler.mcu.variant import Workshop
from qdeploy.emulation import Machine
from qdeploy.errors import QDeployError
from qdeploy.model import Model

__all__ = ["front_trials", "verify_front"]

_RANDOM = 24


def front_trials(model: Model) -> NDArray[np.float32]:
    """Raw features that reach ties, both ends of the int8 range and beyond: float32 (n, D)."""
    quantizer = model.quantizer
    assert quantizer is not None, "there is no front without a quantiser"
    rng = np.random.default_rng(0)
    count = len(quantizer.feature_names)
    offset, scale = np.zeros(count, np.float32), np.ones(count, np.float32)
    offset[quantizer.kept], scale[quantizer.kept] = quantizer.offset, quantizer.scale
    largest = np.finfo(np.float32).max
    steps = [
        *(np.full(count, value) for value in (0.0, 0.5, -0.5, 1.5, 126.5, 127.5, -128.5, 300.0)),
        *rng.uniform(-140, 140, (_RANDOM, count)),
        *(rng.integers(-130, 130, (_RANDOM, count)) + 0.5),
    ]
    with np.errstate(over="ignore"):
        rows = offset + np.asarray(steps, dtype=np.float32) * scale
    ends = np.stack([np.full(count, value, np.float32) for value in (largest, -largest, 0.0)])
    rows = np.concatenate([rows.astype(np.float32), ends])
    return rows[np.isfinite(rows).all(axis=1)]


def verify_front(model: Model, workshop: Workshop, image: Path) -> None:
    """Compare ``NAME_predict_features`` with quantiser and network.

    Args:
        model: the meaning.
        workshop: the target.
        image: the linked model.

    Raises:
        QDeployError: a score differs, or a value that is not finite is not refused.
    """
    target, interface = workshop.target, workshop.interface
    machine = Machine(image, workshop.core, target.flash, target.ram)
    symbol = f"{interface.name}_predict_features"
    rows = front_trials(model)
    dtype = np.dtype(interface.score_type)
    x = machine.allocate(rows.shape[1] * 4)
    scores = machine.allocate(interface.outputs * dtype.itemsize)
    expected = model.network.forward(model.quantize(rows))
    for row, wanted in zip(rows, expected, strict=True):
        machine.write(x, row.astype("<f4").tobytes())
        machine.call(symbol, x, scores, strict=True)
        raw = machine.read(scores, interface.outputs * dtype.itemsize)
        if not np.array_equal(np.frombuffer(raw, dtype=dtype.newbyteorder("<")), wanted):
            raise QDeployError(
                f"verification failed in the float front on {workshop.core.name}: it differs from "
                "the model's quantiser; nothing was written"
            )
    for value in (np.nan, np.inf, -np.inf):
        row = rows[0].copy()
        row[-1] = value
        machine.write(x, row.astype("<f4").tobytes())
        if machine.call(symbol, x, scores) != 2**32 - 1:
            raise QDeployError(
                f"verification failed in the float front on {workshop.core.name}: {value} is not "
                "refused; nothing was written"
            )
