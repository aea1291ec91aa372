"""Battery life of a board that sleeps between inferences.

The capacity is taken as stated, without derating for temperature, age, self-discharge or the
voltage below which the board stops; a real battery gives less.
"""

import math
from dataclasses import dataclass

from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError

__all__ = ["BatteryLife", "battery_life"]

_COULOMBS = 3.6
"""In a milliampere hour."""


@dataclass(frozen=True)
class BatteryLife:
    """How long a battery lasts.

    Attributes:
        seconds: its life.
        average_watts: mean power that it gives.
        duty: share of the time that the board is busy.
    """

    seconds: Estimate
    average_watts: Estimate
    duty: Estimate


def battery_life(
    energy: Estimate,
    time: Estimate,
    sleep: Estimate,
    rate: float,
    capacity: float,
    volts: float,
) -> BatteryLife:
    """Life of a battery under a steady rate of inferences.

    With energy e and time t of an inference, rate r and power S of the sleeping board, the mean
    power is P = r·e + (1 - r·t)·S and the life 3.6·capacity·volts / P. P rises with e and S and
    falls with t, so the ends of the bands give the ends of its band.

    Args:
        energy: of one inference, joules.
        time: of one inference, seconds.
        sleep: power between inferences, watts.
        rate: inferences a second.
        capacity: of the battery, milliampere hours, as stated on it.
        volts: of the battery; its mean, where it falls while it empties.

    Raises:
        QDeployError: a number is not positive and finite, a band is not in order, or the board
            would be busy for more than all of the time.
    """
    _check_band("energy of an inference", energy)
    _check_band("time of an inference", time)
    _check_band("power of the sleeping board", sleep)
    for what, number in (("rate", rate), ("capacity", capacity), ("voltage", volts)):
        if not 0 < number < math.inf:
            raise QDeployError(f"battery life needs a positive {what}, not {number:g}")
    if rate * time.value > 1:
        raise QDeployError(
            f"{rate:g} inferences a second of {time.value:.3g} s each take "
            f"{rate * time.value:.0%} of the time; ask for at most {1 / time.value:.3g} a second"
        )
    # A board whose time may be longer than the period is busy all the time at worst.
    duty = Estimate(rate * time.value, rate * time.low, min(1.0, rate * time.high))
    watts = Estimate(
        rate * energy.value + (1 - duty.value) * sleep.value,
        rate * energy.low + (1 - duty.high) * sleep.low,
        rate * energy.high + (1 - duty.low) * sleep.high,
    )
    joules = _COULOMBS * capacity * volts
    if watts.low <= 0 or math.isinf(joules / watts.low):
        raise QDeployError(
            "the board may draw no power at all by its bands, so that no battery life follows; "
            "state a power of the sleeping board above 0"
        )
    life = Estimate(joules / watts.value, joules / watts.high, joules / watts.low)
    return BatteryLife(life, watts, duty)


def _check_band(what: str, band: Estimate) -> None:
    if not 0 <= band.low <= band.value <= band.high < math.inf:
        raise QDeployError(
            f"battery life needs a finite {what} within its band, "
            f"not {band.value:g} in {band.low:g} … {band.high:g}"
        )
