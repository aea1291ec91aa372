"""Package energy from the processor's own counters (RAPL), read through Linux powercap.

The counters cover the whole package: cores, caches and memory controller, and whatever else the
machine does meanwhile. Figures are gross; the idle power, measured first, is stated beside them.
"""

import time
from pathlib import Path

import numpy as np

from qdeploy.benchmark.meters import METERS, EnergyReading, Load, Meter
from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError

__all__ = ["RaplCounter", "RaplMeter"]

POWERCAP = Path("/sys/class/powercap")
IDLE_SECONDS = 0.5
REPEATS = 6


class RaplCounter:
    """Energy of all packages since the counter was made, across wraps of the hardware's counters.

    A counter holds `max_energy_range_uj` and then starts again at zero; it must be read more often
    than it wraps (about once a minute at 1 kW for the usual 32 bits of 15 µJ).

    Args:
        root: the powercap folder.

    Raises:
        QDeployError: there is no package counter, or it cannot be read.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        zones = sorted(root.glob("*-rapl:*")) if root.is_dir() else []
        packages = [zone for zone in zones if _text(zone / "name").startswith("package")]
        if not packages:
            raise QDeployError(f"no RAPL package counter under {root}; energy cannot be measured")
        self._counters = [zone / "energy_uj" for zone in packages]
        self._ranges = [int(_text(zone / "max_energy_range_uj")) for zone in packages]
        self._last = self._read()
        self._microjoules = 0

    def joules(self) -> float:
        """Energy so far; reading it also accounts for a wrap since the last reading."""
        now = self._read()
        for before, after, span in zip(self._last, now, self._ranges, strict=True):
            # span is the largest value, so the step from it to zero is one more microjoule.
            self._microjoules += (after - before) % (span + 1)
        self._last = now
        return self._microjoules * 1e-6

    def _read(self) -> list[int]:
        return [int(_text(counter)) for counter in self._counters]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise QDeployError(
            f"the energy counter {path} cannot be read ({error.strerror}); "
            "make it readable, for instance with: chmod a+r"
        ) from error


class RaplMeter(Meter):
    """Runs the load in several stretches and reads the counters around each.

    Args:
        root: the powercap folder.
    """

    name = "rapl"

    def __init__(self, root: Path = POWERCAP) -> None:
        self._root = root

    def obstacle(self) -> str | None:
        """Works where a package counter can be read."""
        try:
            RaplCounter(self._root)
        except QDeployError as error:
            return str(error)
        return None

    def measure(self, load: Load) -> EnergyReading:
        """Gross package energy of one call: the median stretch, and the extreme ones."""
        counter = RaplCounter(self._root)
        idle = self._idle_watts(counter)
        calls = max(1, int(load.seconds / REPEATS / load.latency.value))
        joules = []
        for _ in range(REPEATS):
            before = counter.joules()
            load.timer.measure(calls, 1)
            joules.append((counter.joules() - before) / calls)
        return EnergyReading(
            Estimate(float(np.median(joules)), min(joules), max(joules)),
            "measured",
            f"RAPL package counters, gross, {REPEATS} stretches of {calls} calls; interval: "
            f"extreme stretches; idle power {idle:.2f} W is not subtracted",
        )

    @staticmethod
    def _idle_watts(counter: RaplCounter) -> float:
        before, start = counter.joules(), time.perf_counter()
        time.sleep(IDLE_SECONDS)
        return (counter.joules() - before) / (time.perf_counter() - start)


METERS.register(RaplMeter.name)(RaplMeter())
