"""Power of a microcontroller board, in the units of its sources, with band, kind and source.

Measured figures are milliwatts; datasheets state microamperes, often for each megahertz.
"""

from collections.abc import Callable
from typing import Literal

from pydantic import Field, model_validator

from qdeploy.targets.tables import Positive, Power, Table

__all__ = ["Band", "BoardPower", "SleepPower"]

_BAND = "a table with low, typical and high"
_VOLTS = "a positive number of volts"


class Band(Table):
    """A likely value and the band around it, in the unit that the key names."""

    low: Positive = Field(description="a positive number")
    typical: Positive = Field(description="a positive number")
    high: Positive = Field(description="a positive number")

    @model_validator(mode="after")
    def _ordered(self) -> "Band":
        if not self.low <= self.typical <= self.high:
            raise ValueError("low, typical and high must be in this order")
        return self


class _Figure(Table):
    """What busy and sleeping power have in common.

    Attributes:
        milliwatts: the power, where the source states it.
        volts: supply voltage, where the source states currents.
        kind: whether the figure was measured, is of a datasheet, or only bounds what is plausible.
        source: where it comes from.
    """

    milliwatts: Band | None = Field(default=None, description=_BAND)
    volts: Positive | None = Field(default=None, description=_VOLTS)
    kind: Literal["measured", "datasheet", "bound"] = Field(
        description='"measured", "datasheet" or "bound"'
    )
    source: str = Field(min_length=1, description="the document or instrument, in words")

    def _one_of(self, current: str) -> None:
        if (self.milliwatts is None) == (getattr(self, current) is None):
            raise ValueError(f"either milliwatts or {current} must be there")
        if self.milliwatts is None and self.volts is None:
            raise ValueError(f"{current} needs volts")

    def _scaled(self, band: Band, watts: Callable[[float], float]) -> Power:
        return Power(
            low=watts(band.low),
            typical=watts(band.typical),
            high=watts(band.high),
            kind=self.kind,
            source=self.source,
        )


class BoardPower(_Figure):
    """Power of the busy board.

    Attributes:
        microamps_per_megahertz: supply current for each megahertz of the core's clock.
    """

    microamps_per_megahertz: Band | None = Field(default=None, description=_BAND)

    @model_validator(mode="after")
    def _stated(self) -> "BoardPower":
        self._one_of("microamps_per_megahertz")
        return self

    def at(self, megahertz: float) -> Power:
        """Power in watts at a clock; milliwatts are those of the target's own clock."""
        if self.milliwatts is not None:
            return self._scaled(self.milliwatts, lambda value: value * 1e-3)
        assert self.microamps_per_megahertz is not None
        factor = 1e-6 * megahertz * (self.volts or 0)
        return self._scaled(self.microamps_per_megahertz, lambda value: value * factor)


class SleepPower(_Figure):
    """Power between inferences, in a mode that keeps the memory and wakes by itself.

    Attributes:
        microamps: supply current.
    """

    microamps: Band | None = Field(default=None, description=_BAND)

    @model_validator(mode="after")
    def _stated(self) -> "SleepPower":
        self._one_of("microamps")
        return self

    @property
    def power(self) -> Power:
        """Power in watts."""
        if self.milliwatts is not None:
            return self._scaled(self.milliwatts, lambda value: value * 1e-3)
        assert self.microamps is not None
        factor = 1e-6 * (self.volts or 0)
        return self._scaled(self.microamps, lambda value: value * factor)
