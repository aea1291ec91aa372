import numpy as np
import pytest

from qdeploy.benchmark.meters import METERS, Load, choose_meter
from qdeploy.benchmark.meters.rapl import RaplCounter, RaplMeter
from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError
from qdeploy.targets import Power

RANGE = 262_143_328_850


class Machine:
    """A powercap tree whose package counters move when the load runs, wrapping as they do."""

    def __init__(self, root, packages=1, start=0):
        self.root = root
        self.counters = []
        for package in range(packages):
            self._zone(f"intel-rapl:{package}", f"package-{package}", start)
            self._zone(f"intel-rapl:{package}:0", "core", start)
        self.counters = sorted(root.glob("intel-rapl:?/energy_uj"))
        # The same packages once more, by another interface: not to be counted twice.
        self._zone("intel-rapl-mmio:0", "package-0", start)

    def _zone(self, folder, name, energy):
        zone = self.root / folder
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"{name}\n")
        (zone / "max_energy_range_uj").write_text(f"{RANGE}\n")
        (zone / "energy_uj").write_text(f"{energy}\n")

    def burn(self, microjoules):
        for counter in self.counters:
            energy = (int(counter.read_text()) + microjoules) % (RANGE + 1)
            counter.write_text(f"{energy}\n")

    def measure(self, calls, groups, warm_seconds=0.0):
        self.burn(50 * calls * groups)
        return np.full(groups, 1e-3)


def load(timer, latency=1e-3):
    power = Power(low=2.0, typical=4.0, high=12.0, kind="datasheet", source="a document")
    estimate = Estimate(latency, 0.9 * latency, 1.2 * latency)
    return Load(timer, estimate, threads=1, seconds=0.6, power=power)


@pytest.mark.parametrize("packages", [1, 2])
def test_packages_are_added_and_parts_of_them_are_not(tmp_path, packages):
    machine = Machine(tmp_path, packages)
    counter = RaplCounter(tmp_path)
    machine.burn(1_500_000)
    assert counter.joules() == pytest.approx(1.5 * packages)


def test_a_wrap_loses_nothing(tmp_path):
    machine = Machine(tmp_path, start=RANGE - 10)
    counter = RaplCounter(tmp_path)
    steps = [5, 5, 1, 7, 1_000_000]
    for step in steps:
        machine.burn(step)
        counter.joules()
    assert counter.joules() == pytest.approx(sum(steps) * 1e-6, rel=1e-12)


def test_energy_of_one_call_is_measured_gross(tmp_path):
    machine = Machine(tmp_path, start=RANGE - 1000)
    reading = RaplMeter(tmp_path).measure(load(machine))
    assert reading.joules.value == pytest.approx(50e-6)
    assert reading.obtained == "measured"
    assert "not subtracted" in reading.note


@pytest.mark.parametrize("what", ["absent", "empty", "foreign"])
def test_without_counters_the_meter_says_so(tmp_path, what):
    root = tmp_path / "powercap"
    if what != "absent":
        root.mkdir()
    if what == "foreign":
        (root / "intel-rapl:0").mkdir()
        (root / "intel-rapl:0" / "name").write_text("psys")
    with pytest.raises(QDeployError, match="energy cannot be measured"):
        RaplCounter(root)
    assert RaplMeter(root).obstacle() is not None


def test_a_counter_that_cannot_be_read_is_named(tmp_path):
    Machine(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert "energy_uj" in (RaplMeter(tmp_path).obstacle() or "")


def test_an_estimate_carries_both_bands():
    reading = METERS["estimate"].measure(load(None))
    assert reading.obtained == "estimated"
    assert reading.joules.value == pytest.approx(4e-3)
    assert reading.joules.low == pytest.approx(2.0 * 0.9e-3)
    assert reading.joules.high == pytest.approx(12.0 * 1.2e-3)
    assert "a document" in reading.note


@pytest.mark.parametrize("name", METERS.names())
def test_every_meter_conforms(name, tmp_path):
    meter = METERS[name]
    assert meter.name == name
    if meter.obstacle() is not None:
        pytest.skip(meter.obstacle())
    reading = meter.measure(load(Machine(tmp_path)))
    assert 0 <= reading.joules.low <= reading.joules.value <= reading.joules.high
    assert reading.obtained in {"measured", "estimated"}
    assert reading.note


def test_the_first_meter_that_works_is_chosen(monkeypatch):
    monkeypatch.setattr(METERS["rapl"], "obstacle", lambda: "no counters")
    meter, passed_over = choose_meter(["rapl", "estimate"])
    assert meter is METERS["estimate"]
    assert passed_over == ("rapl: no counters",)
    assert choose_meter(["rapl"]) == (None, ("rapl: no counters",))
