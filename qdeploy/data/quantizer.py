"""Real features to int8: standardise, scale, round half to even, saturate.

The meaning is that of the ONNX operators Sub and QuantizeLinear in float32, so that an exported
front gives the same bits.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.data.validation import check_numbers
from qdeploy.errors import QDeployError

__all__ = ["INPUT_STEP", "InputQuantizer", "Scaling"]

Scaling = Literal["feature", "tensor"]

INPUT_STEP = 2.0**-5
"""Standard deviations for one integer step: int8 then spans ±4 standard deviations."""


@dataclass(frozen=True, eq=False)
class InputQuantizer:
    """q = saturate(round((x[kept] - offset) / scale) + zero_point), all in float32.

    Attributes:
        feature_names: names of all the raw features, in order.
        kept: indices of the raw features that the network sees, int64 (d,).
        offset: float32 (d,), in raw units.
        scale: float32 (d,), raw units for one integer step, positive.
        zero_point: the integer that stands for offset.
    """

    feature_names: tuple[str, ...]
    kept: NDArray[np.int64]
    offset: NDArray[np.float32]
    scale: NDArray[np.float32]
    zero_point: int = 0

    def __post_init__(self) -> None:
        for name, dtype in (("kept", np.int64), ("offset", np.float32), ("scale", np.float32)):
            array = np.array(getattr(self, name), dtype=dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        width = self.kept.size
        if not width or self.kept.shape != (width,) or len(np.unique(self.kept)) != width:
            raise QDeployError("input quantiser: the kept features must be distinct and not none")
        if self.kept.min() < 0 or self.kept.max() >= len(self.feature_names):
            raise QDeployError("input quantiser: a kept feature is not among the named ones")
        if self.offset.shape != (width,) or self.scale.shape != (width,):
            raise QDeployError("input quantiser: one offset and one scale a kept feature is needed")
        if not (np.isfinite(self.offset).all() and np.isfinite(self.scale).all()):
            raise QDeployError("input quantiser: offsets and scales must be finite")
        if not (self.scale > 0).all() or not -128 <= self.zero_point <= 127:
            raise QDeployError("input quantiser: scales must be positive, the zero point an int8")

    @classmethod
    def fit(
        cls,
        features: NDArray[np.float64],
        feature_names: tuple[str, ...],
        scaling: Scaling = "feature",
        weights: NDArray[np.float64] | None = None,
    ) -> "InputQuantizer":
        """Standardise on the training rows; what the network would see as constant is left out.

        Args:
            features: float64 (n, D), finite.
            feature_names: D names.
            scaling: "feature" divides each feature by its own standard deviation, "tensor" all of
                them by the mean one (right for pixels and signals, which share a unit).
            weights: of the rows, float64 (n,), or None.

        Raises:
            QDeployError: every feature is constant, or a value is not finite in single precision.
        """
        raw = np.asarray(features, dtype=np.float64)
        check_numbers(raw, feature_names, what="feature")
        single = raw.astype(np.float32)
        kept = np.flatnonzero((single != single[:1]).any(axis=0))
        if not kept.size:
            raise QDeployError("every feature is constant in the training rows; nothing to learn")
        used = single[:, kept].astype(np.float64)
        centre = np.average(used, axis=0, weights=weights)
        if weights is None:
            deviation = used.std(axis=0)
        else:
            deviation = np.sqrt(np.average((used - centre) ** 2, axis=0, weights=weights))
        if scaling == "tensor":
            deviation = np.full(kept.size, deviation.mean())
        # A normal number: subnormal divisors are flushed to zero on some processors.
        scale = np.maximum(deviation * INPUT_STEP, float(np.finfo(np.float32).tiny))
        quantizer = cls(
            feature_names=tuple(feature_names),
            kept=kept,
            offset=centre.astype(np.float32),
            scale=scale.astype(np.float32),
        )
        steps = quantizer.quantize(single)
        varying = (steps != steps[:1]).any(axis=0)
        if not varying.any():
            raise QDeployError(
                "every feature varies too little in the training rows; nothing to learn"
            )
        return replace(
            quantizer,
            kept=quantizer.kept[varying],
            offset=quantizer.offset[varying],
            scale=quantizer.scale[varying],
        )

    def only(self, chosen: NDArray[np.bool_]) -> "InputQuantizer":
        """The same for some of the kept features, a mask (d,)."""
        return replace(
            self, kept=self.kept[chosen], offset=self.offset[chosen], scale=self.scale[chosen]
        )

    def rescaled(self, factors: NDArray[np.float64]) -> "InputQuantizer":
        """The same with every kept feature `factors` (d,) times as large in integer steps."""
        smallest = float(np.finfo(np.float32).tiny)
        scale = np.maximum(self.scale.astype(np.float64) / factors, smallest)
        return replace(self, scale=scale.astype(np.float32))

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the raw features that the network does not see."""
        seen = set(self.kept.tolist())
        return tuple(name for i, name in enumerate(self.feature_names) if i not in seen)

    def quantize(self, features: NDArray[np.floating]) -> NDArray[np.int8]:
        """Quantised inputs, int8 (n, d), of raw features (n, D).

        Raises:
            QDeployError: wrong shape, NaN or infinity (the row and the feature are named).
        """
        raw = np.asarray(features)
        if raw.ndim != 2 or raw.shape[1] != len(self.feature_names):
            raise QDeployError(
                f"the model takes {len(self.feature_names)} features a row; "
                f"an array of shape {raw.shape} was given"
            )
        if raw.dtype.kind not in "fiub":
            raise QDeployError(f"features must be numbers, not {raw.dtype}")
        with np.errstate(over="ignore"):
            single = raw.astype(np.float32)
        if not np.isfinite(single).all():
            row, column = np.argwhere(~np.isfinite(single))[0]
            raise QDeployError(
                f"feature {self.feature_names[column]!r}, row {row + 1}: "
                f"{raw[row, column]} is not a finite single-precision number"
            )
        with np.errstate(over="ignore"):
            steps = (single[:, self.kept] - self.offset) / self.scale
        return np.clip(np.rint(steps) + np.float32(self.zero_point), -128, 127).astype(np.int8)
