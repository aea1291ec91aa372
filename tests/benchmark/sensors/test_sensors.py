"""Power sensors: what boards print, and what it means."""

import subprocess

import pytest

from qdeploy.benchmark.sensors import SENSORS, find_probe
from qdeploy.benchmark.sensors.hwmon import Channel, ChannelProbe
from qdeploy.benchmark.sensors.raspberry_pi import rail_watts
from qdeploy.benchmark.sensors.recording import parse_recording, record
from qdeploy.errors import QDeployError
from qdeploy.targets import load_benchmark, load_target

ORDER = [
    name for name in load_benchmark(load_target("raspberry-pi-5")).meters if name != "estimate"
]

PMIC = """\
    3V7_WL_SW_A current(0)=0.09759540A
       DDR_VDD2_A current(4)=0.02000000A
       VDD_CORE_A current(7)=1.50000000A
    3V7_WL_SW_V volt(8)=3.70000000V
       DDR_VDD2_V volt(12)=1.10000000V
       VDD_CORE_V volt(15)=0.80000000V
        EXT5V_V volt(24)=5.14000000V
         BATT_V volt(25)=0.00000000V
"""
PMIC_WATTS = 0.0975954 * 3.7 + 0.02 * 1.1 + 1.5 * 0.8

JETSON = """\
/sys/class/hwmon/hwmon1/curr1_input|ina3221|VDD_IN|1000|4960
/sys/class/hwmon/hwmon1/curr2_input|ina3221|VDD_CPU_GPU_CV|120|4952
/sys/class/hwmon/hwmon1/curr3_input|ina3221|VDD_SOC|280|4952
/sys/class/hwmon/hwmon1/curr4_input|ina3221||1400|0
"""


class Told:
    """A place that answers scripts with recorded texts."""

    name = title = "a recorded board"
    native = True

    def __init__(self, **answers):
        self.answers = answers

    def command(self, words, timeout=None):
        script = words[-1]
        found = [text for key, text in self.answers.items() if key in script]
        if not found:
            raise QDeployError("sh: not found")
        return found[0]


def test_the_rails_of_a_raspberry_pi_are_added():
    assert sum(rail_watts(PMIC).values()) == pytest.approx(PMIC_WATTS)
    assert rail_watts(PMIC.replace("\n", " ")) == rail_watts(PMIC)
    # The input has no current, so it is on no rail.
    assert set(rail_watts(PMIC)) == {"3V7_WL_SW", "DDR_VDD2", "VDD_CORE"}
    assert rail_watts('error=2 error_msg="Invalid arguments"') == {}


def test_older_firmware_of_the_raspberry_pi():
    assert rail_watts("VDD_CORE_V=0.8000V VDD_CORE_A=1.5000A") == {"VDD_CORE": pytest.approx(1.2)}


def test_a_raspberry_pi_is_known_by_its_command():
    probe = find_probe(Told(pmic_read_adc=PMIC, hwmon="", powercap=""), ORDER)
    assert "Raspberry Pi, 3 rails" in probe.title
    assert probe.value(PMIC.replace("\n", " ")) == pytest.approx(PMIC_WATTS)
    # A reading of which a part is missing is none.
    assert probe.value("VDD_CORE_A current(7)=1.5A VDD_CORE_V volt(15)=0.8V") is None


def test_a_jetson_is_known_by_its_input():
    probe = find_probe(Told(hwmon=JETSON, pmic_read_adc=PMIC), ORDER)
    assert probe.title == "ina3221 VDD_IN"
    assert "whole module" in probe.covers
    assert probe.value("1000 4960") == pytest.approx(4.96)
    assert "/hwmon1/curr1_input" in probe.statements
    assert "/hwmon1/in1_input" in probe.statements


@pytest.mark.parametrize(
    ("listing", "title", "covers"),
    [
        ("/sys/class/hwmon/hwmon0/power1_input|ina231||2500000|", "ina231 power1_input", "behind"),
        (
            "/sys/class/hwmon/hwmon0/power1_input|ina226|soc|1500000|\n"
            "/sys/class/hwmon/hwmon1/power1_input|ina226|total|2500000|",
            "ina226 total",
            "by its label, gross, without adding the channels ina226 soc",
        ),
        (
            "/sys/class/hwmon/hwmon0/power1_input|a|x|1500000|\n"
            "/sys/class/hwmon/hwmon1/curr1_input|b|y|500|5000",
            "b y",
            "as the largest",
        ),
    ],
)
def test_monitors_of_the_kernel(listing, title, covers):
    probe = SENSORS["hwmon"].find(Told(hwmon=listing))
    assert probe.title == title
    assert covers in probe.covers


def test_power_stands_before_the_current_of_the_same_channel():
    listing = (
        "/sys/class/hwmon/hwmon0/power1_input|ina226|in|2500000|\n"
        "/sys/class/hwmon/hwmon0/curr1_input|ina226|in|500|5000"
    )
    probe = SENSORS["hwmon"].find(Told(hwmon=listing))
    assert probe.value("2500000") == pytest.approx(2.5)
    assert probe.value("x") is None


def test_counters_of_powercap_wrap():
    probe = SENSORS["powercap"].find(
        Told(powercap="/sys/class/powercap/rapl:0|package-0|999999|500000\n")
    )
    assert probe.quantity == "joules"
    assert probe.value("500000") == pytest.approx(0.5)
    assert probe.step(0.25, 0.5) == pytest.approx(0.25)
    assert probe.step(0.9, 0.1) == pytest.approx(0.2)


@pytest.mark.parametrize("place", [Told(), Told(hwmon="", powercap="", pmic_read_adc="")])
def test_a_board_without_sensors_has_none(place):
    assert find_probe(place, ORDER) is None


class Watts:
    title, covers, statements, quantity = "a probe", "all", "echo 1", "watts"

    def value(self, text):
        return float(text) if text.replace(".", "").isdigit() else None


class Joules(Watts):
    quantity = "joules"

    def step(self, before, after):
        return after - before


def recorded(busy, *, idle="1", status=0, step=0.1, counter=False):
    """A run of 3 s after 2 s of idling."""
    lines, joules = [], 0.0
    for i in range(50):
        moment = i * step
        if moment >= 2 and "begin 102.00" not in lines:
            lines.append("begin 102.00")
        value = float(idle) if moment < 2 else busy(moment - 2)
        joules += value * step
        lines.append(f"sample {100 + moment:.2f} {joules if counter else value:.6f}")
    return "\n".join([*lines, "end 105.00", f"status {status}"])


def test_mean_power_of_the_run_and_of_the_idle_board():
    found = parse_recording(recorded(lambda t: 3.0), Watts(), "there")
    assert found.idle == 1.0
    assert (found.watts.low, found.watts.value, found.watts.high) == (3.0, 3.0, 3.0)


def test_the_edges_of_a_run_do_not_count_and_its_drift_is_the_interval():
    found = parse_recording(
        recorded(lambda t: 100.0 if t < 0.15 or t > 2.85 else 2.0 + t), Watts(), "there"
    )
    assert 2.2 <= found.watts.low < found.watts.value < found.watts.high <= 4.8


def test_counters_give_power_by_their_steps():
    found = parse_recording(recorded(lambda t: 3.0, counter=True), Joules(), "there")
    assert found.watts.value == pytest.approx(3.0, rel=1e-3)
    assert found.idle == pytest.approx(1.0, rel=1e-3)


def test_readings_that_are_none_are_left_out():
    text = recorded(lambda t: 3.0)
    some = text.replace("sample 103.00 3.000000", "sample 103.00 x")
    assert some != text
    whole, less = (parse_recording(each, Watts(), "there").readings for each in (text, some))
    assert less == whole - 1


@pytest.mark.parametrize(
    "text",
    ["", recorded(lambda t: 3.0, status=1), recorded(lambda t: 3.0).replace("end", "and")],
)
def test_a_run_that_failed(text):
    with pytest.raises(QDeployError, match="failed on there"):
        parse_recording(text, Watts(), "there")


def test_too_few_readings():
    text = "\n".join(
        line
        for line in recorded(lambda t: 3.0).splitlines()
        if not line.startswith("sample 10[34]")
    )
    text = "\n".join(text.splitlines()[:25] + text.splitlines()[-2:])
    with pytest.raises(QDeployError, match="too few"):
        parse_recording(text, Watts(), "there")


def test_a_shell_reads_the_sensor_while_the_program_runs(tmp_path, monkeypatch):
    class Here:
        title = "here"

        def command(self, words, timeout=None):
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=timeout, check=True
            )
            return done.stdout

    monkeypatch.setattr("qdeploy.benchmark.sensors.recording.IDLE_SECONDS", 0.3)
    # Far more readings than are needed, for a machine that is busy.
    monkeypatch.setattr("qdeploy.benchmark.sensors.recording.INTERVAL_SECONDS", 0.02)
    file = tmp_path / "power1_input"
    file.write_text("2500000\n", encoding="ascii")
    probe = ChannelProbe(Channel((str(file),), "ina", "", 2.5), "all")
    found = record(Here(), probe, ["sleep", "1.3"], 1.3)
    assert found.watts.value == found.idle == 2.5
    assert found.readings >= 6
    with pytest.raises(QDeployError, match="failed on here"):
        record(Here(), probe, ["false"], 0.1)


def test_every_sensor_has_its_place_in_the_order():
    assert set(ORDER) == set(SENSORS.names())
