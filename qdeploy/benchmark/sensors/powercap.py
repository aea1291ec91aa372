"""Energy counters of processors that the kernel offers as RAPL does, through powercap.

Source: the kernel's "Power Capping Framework": energy_uj in microjoules, which starts again at zero
after max_energy_range_uj.
"""

from typing import TYPE_CHECKING, Literal

from qdeploy.benchmark.sensors import SENSORS, Files, Probe, Sensor, shell

if TYPE_CHECKING:
    from qdeploy.remote import Place

# Only zones at the top: those below are parts of them.
_LISTING = """
for zone in /sys/class/powercap/*:*; do
    case ${zone##*/} in *:*:*) continue;; esac
    test -r "$zone/energy_uj" || continue
    echo "$zone|$(cat "$zone/name")|$(cat "$zone/max_energy_range_uj")|$(cat "$zone/energy_uj")"
done 2>/dev/null; true
"""
_MICRO = 1e-6


class _Counters(Probe):
    quantity: Literal["watts", "joules"] = "joules"

    def __init__(self, zones: list[tuple[str, str, int]]) -> None:
        self._files = Files([f"{path}/energy_uj" for path, _, _ in zones])
        self.title = f"powercap {' + '.join(name for _, name, _ in zones)}"
        self.covers = "the zones together, gross"
        self.statements = self._files.statements
        # Where there are several counters, their sum wraps with any of them; each wraps rarely.
        self._ranges = [(span + 1) * _MICRO for _, _, span in zones]

    def value(self, text: str) -> float | None:
        """Joules."""
        numbers = self._files.numbers(text)
        return None if numbers is None else sum(numbers) * _MICRO

    def step(self, before: float, after: float) -> float:
        """Joules; where the sum fell, the counter that makes the least of it has wrapped."""
        if after >= before:
            return after - before
        return min(after + span - before for span in self._ranges if after + span >= before)


class _Powercap(Sensor):
    name = "powercap"

    def find(self, place: "Place") -> Probe | None:
        zones = []
        for line in shell(place, _LISTING).splitlines():
            path, name, span, now = (*line.split("|"), "", "", "", "")[:4]
            if span.isdigit() and now.isdigit():
                zones.append((path, name, int(span)))
        return _Counters(zones) if zones else None


SENSORS.register(_Powercap.name)(_Powercap())
