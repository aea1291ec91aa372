"""Estimates put together: spreads over rows, means and multiples of bands, power in words."""

from collections.abc import Sequence

import numpy as np

from qdeploy.benchmark.timing import Estimate
from qdeploy.targets import Power

__all__ = ["mean", "product", "scaled", "spread", "watts"]


def spread(values: Sequence[float]) -> Estimate:
    """Mean, smallest, largest."""
    low, high = min(values), max(values)
    return Estimate(min(max(float(np.mean(values)), low), high), low, high)


def mean(estimates: Sequence[Estimate]) -> Estimate:
    """Mean of estimates whose errors go the same way."""
    return Estimate(
        float(np.mean([each.value for each in estimates])),
        float(np.mean([each.low for each in estimates])),
        float(np.mean([each.high for each in estimates])),
    )


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """An estimate times an exact positive factor."""
    return Estimate(estimate.value * factor, estimate.low * factor, estimate.high * factor)


def product(seconds: Estimate, power: Power) -> Estimate:
    """Energy of a time at a power, joules, with both bands."""
    return Estimate(
        seconds.value * power.typical, seconds.low * power.low, seconds.high * power.high
    )


def watts(power: Power) -> str:
    """A power with its band, kind and source, in milliwatts below one watt."""
    factor, unit = (1e3, "mW") if power.typical < 1 else (1.0, "W")
    typical, low, high = (f"{each * factor:.3g}" for each in (power.typical, power.low, power.high))
    return f"{typical} {unit} ({low} … {high}, {power.kind}: {power.source})"
