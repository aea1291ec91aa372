"""Energy without a meter: latency times the power of a busy core."""

from qdeploy.benchmark.meters import METERS, EnergyReading, Load, Meter
from qdeploy.benchmark.timing import Estimate

__all__ = ["EstimateMeter"]


class EstimateMeter(Meter):
    """The band is that of the power times that of the measured latency."""

    name = "estimate"

    def obstacle(self) -> str | None:
        """Works everywhere."""
        return None

    def measure(self, load: Load) -> EnergyReading:
        """Latency x power x busy cores."""
        assert load.power is not None, "who knows no power takes no estimates"
        power, latency, cores = load.power, load.latency, load.threads
        return EnergyReading(
            Estimate(
                power.typical * latency.value * cores,
                power.low * latency.low * cores,
                power.high * latency.high * cores,
            ),
            "estimated",
            f"measured latency x {power.typical:.3g} W a busy core ({power.low:.3g} … "
            f"{power.high:.3g} W), busy cores: {cores}; power: {power.source}",
        )


METERS.register(EstimateMeter.name)(EstimateMeter())
