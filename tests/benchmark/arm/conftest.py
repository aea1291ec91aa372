"""A board that is none: programs of this test computed by their meaning, files from a table."""

import json

import numpy as np
import pytest

from qdeploy.errors import QDeployError
from qdeploy.remote import checksum

FILES = {
    "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "/proc/cpuinfo": "\n\n".join(
        f"processor\t: {i}\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b" for i in range(4)
    ),
    "/proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-2712\n",
    "/proc/loadavg": "0.10 0.20 0.30 1/200 999\n",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000\n",
    "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2400000\n",
}


class SimulatedBoard:
    """A place whose programs give scores by `meanings`, and times that do not vary.

    Args:
        meanings: by beginning of a program's name: seconds a row, and scores of bytes of rows.
    """

    name, title, native = "simulated", "pi@simulated", True

    def __init__(self, meanings, *, watts=None, throttled=("0x0", "0x0")):
        self.meanings = meanings
        self.watts = watts
        self.throttled = list(throttled)
        self.closed = False
        self.runs = []

    def run(self, program, arguments=(), data=b"", timeout=None):
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        batch, groups = int(options["--batch"]), int(options["--groups"])
        seconds, scores = next(
            value for key, value in self.meanings.items() if program.name.startswith(key)
        )
        self.runs.append((program.name, batch))
        return json.dumps(
            {
                "batch": batch,
                "inputs": 2,
                "calls": int(options["--calls"]),
                "seconds": [seconds * batch * (1 + 0.01 * i) for i in range(groups)],
                "clock_cost": 5e-8,
                "loop_cost": 2e-9,
                "peak_resident_kibibytes": 512,
                "checksum": checksum(scores(data)),
            }
        ).encode()

    def put(self, file):
        return f"/tmp/{file.name}"

    def read(self, path):
        return FILES.get(path)

    def command(self, words, timeout=None):
        text = " ".join(words)
        if text == "vcgencmd get_throttled":
            return f"throttled={self.throttled.pop(0) if self.throttled else '0x0'}"
        if "/proc/uptime" in text and self.watts is not None:
            samples = [f"sample {t / 10} {int(self.watts(t / 10) * 1e6)}" for t in range(60)]
            return "\n".join([*samples[:20], "begin 2.0", *samples[20:50], "end 5.0", "status 0"])
        if "hwmon" in text:
            return "" if self.watts is None else "/sys/class/hwmon/h/power1_input|ina|in|2000000|"
        if words[0] == "sh":
            return ""
        raise QDeployError(f"{words[0]}: not found")

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def simulated_board():
    """The class, which tests may vary."""
    return SimulatedBoard


@pytest.fixture
def meanings(tiny):
    """What programs of the tiny model give: the same bits, at different speeds."""
    network = tiny[0].network

    def scores(data):
        rows = np.frombuffer(data, dtype=np.int8).reshape(-1, network.inputs)
        return network.forward(rows)

    return {
        "tiny-bench": (1e-7, scores),
        "plain_c": (3e-7, scores),
        "tvm_default": (1e-6, scores),
    }
