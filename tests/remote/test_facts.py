"""Facts of boards, from texts as boards print them."""

import pytest

from qdeploy.errors import QDeployError
from qdeploy.remote import board_facts, throttling
from qdeploy.remote.facts import (
    cooling_facts,
    cpuinfo_facts,
    raspberry_throttling,
    temperature,
)

PROCESSOR = """processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: {variant}
CPU part\t: {part}
CPU revision\t: 1

"""  # noqa: E501
PI5 = "".join(PROCESSOR.format(number=n, variant="0x4", part="0xd0b") for n in range(4)) + (
    "Revision\t: c04170\nSerial\t\t: 0\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
)
ROCK = "".join(
    PROCESSOR.format(number=n, variant="0x2", part="0xd0b" if n > 3 else "0xd05") for n in range(6)
)


class Board:
    """A place that tells what it was given."""

    name, title, native = "told", "a board", True

    def __init__(self, files, commands):
        self.files, self.commands = files, commands

    def read(self, path):
        return self.files.get(path)

    def command(self, words, timeout=None):
        key = next((each for each in self.commands if each in " ".join(words)), None)
        if key is None:
            raise QDeployError(f"{words[0]} is not there")
        return self.commands[key]


def raspberry(throttled="throttled=0x0\n", temperature="47350\n"):
    frequency = "/sys/devices/system/cpu/cpu0/cpufreq"
    return Board(
        {
            "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "/proc/cpuinfo": PI5,
            "/proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-2712\n",
            "/proc/loadavg": "0.08 0.03 0.01 1/180 1234\n",
            f"{frequency}/scaling_governor": "ondemand\n",
            f"{frequency}/scaling_cur_freq": "1500000\n",
            f"{frequency}/cpuinfo_max_freq": "2400000\n",
        },
        {"vcgencmd get_throttled": throttled, "thermal_zone": temperature},
    )


def test_a_raspberry_pi():
    assert board_facts(raspberry()) == {
        "model": "Raspberry Pi 5 Model B Rev 1.0",
        "processor": "4 x cortex-a76 (0x41, 0xd0b)",
        "processors": 4,
        "kernel": "6.6.31+rpt-rpi-2712",
        "governor": "ondemand",
        "frequency_megahertz": 1500.0,
        "highest_megahertz": 2400.0,
        "temperature_celsius": 47.35,
        "load": 0.08,
        "throttled": "no",
        "throttled_since_start": "no",
    }


def test_a_board_that_tells_nothing():
    facts = board_facts(Board({}, {"thermal_zone": "", "cooling_device": ""}))
    assert facts
    assert set(facts.values()) == {None}


def test_an_emulator_has_no_facts():
    board = raspberry()
    board.native = False
    assert board_facts(board) == {}


def test_processors_of_two_kinds():
    facts = cpuinfo_facts(ROCK)
    assert facts["processor"] == "4 x core (0x41, 0xd05), 2 x cortex-a76 (0x41, 0xd0b)"
    assert facts["processors"] == 6
    assert cpuinfo_facts("") == {"processor": None, "processors": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("47350\n", 47.35),
        ("31000\n62500\n-256000\n", 62.5),
        ("cat: temp: Resource temporarily unavailable\n", None),
        ("", None),
    ],
)
def test_temperatures(text, expected):
    assert temperature(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("throttled=0x0\n", ("no", "no")),
        ("throttled=0x50000\n", ("no", "under-voltage, throttled")),
        ("throttled=0x50005\n", ("under-voltage, throttled", "under-voltage, throttled")),
        ("throttled=0xe000e", tuple(["frequency capped, throttled, soft temperature limit"] * 2)),
        ('error=1 error_msg="Command not registered"\n', (None, None)),
    ],
)
def test_what_slows_a_raspberry_pi(text, expected):
    assert raspberry_throttling(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pwm-fan 3\ncpufreq-cpu0 0\ncpufreq-cpu4 0\n", "no"),
        ("pwm-fan 3\ncpufreq-cpu0 2\nthermal-cpufreq-1 0\n", "cpufreq-cpu0 at step 2"),
        ("Processor 1\n17000000.ga10b 3\n", "Processor at step 1"),
        ("pwm-fan 3\n", None),
        ("", None),
    ],
)
def test_what_slows_other_boards(text, expected):
    assert cooling_facts(text) == expected


def test_throttling_is_noticed_before_after_and_between():
    calm = board_facts(raspberry())
    assert throttling(calm, calm) is None
    assert throttling({}, {}) is None
    hot = board_facts(raspberry("throttled=0x80008\n"))
    assert throttling(calm, hot) == (
        "after it: soft temperature limit; during it: soft temperature limit"
    )
    assert throttling(hot, calm) == "before it: soft temperature limit"
    over = board_facts(raspberry("throttled=0xd0000\n"))
    assert throttling(calm, over) == "during it: under-voltage, throttled, soft temperature limit"
    assert throttling(over, over) is None
