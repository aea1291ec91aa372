"""A program run on a board while its sensor is read: one shell there does both.

The readings carry the board's own uptime, so neither the network nor two clocks are in any figure.
The board idles first; then the program runs for as long as was asked, and only what was read well
within that time counts. Reading takes a little of another core's time, before and during the run.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from qdeploy.benchmark.sensors import Probe
from qdeploy.benchmark.timing import Estimate
from qdeploy.errors import QDeployError

if TYPE_CHECKING:
    from qdeploy.remote import Place

__all__ = ["Recording", "parse_recording", "record"]

IDLE_SECONDS = 2.0
MARGIN_SECONDS = 0.2
"""Left out after the program starts and before it ends."""
INTERVAL_SECONDS = 0.1
PARTS = 6
"""Of the run; their extremes are the interval."""
_TIMEOUT_SECONDS = 60.0

# `read` of the shell starts no process. The samples of a program that ends early are few.
_SCRIPT = """
sample() {{
    while :; do
        read up rest < /proc/uptime
        line=$({statements})
        echo "sample $up $line"
        sleep {interval}
    done
}}
sample & sampler=$!
sleep {idle}
read up rest < /proc/uptime; echo "begin $up"
{program} > /dev/null; status=$?
read up rest < /proc/uptime; echo "end $up"
kill $sampler; wait $sampler 2>/dev/null
echo "status $status"
"""


@dataclass(frozen=True)
class Recording:
    """Power of a board while a program ran.

    Attributes:
        watts: mean while it ran; interval: extremes of parts of the run.
        idle: mean before, in watts.
        readings: that were used, of the run.
    """

    watts: Estimate
    idle: float
    readings: int


def record(place: "Place", probe: Probe, words: Sequence[str], seconds: float) -> Recording:
    """Run a program there and read its board's power.

    Args:
        place: the board.
        probe: its sensor.
        words: the program there, and its arguments.
        seconds: roughly, how long it runs.

    Raises:
        QDeployError: the program fails, or the sensor gives too few readings.
    """
    script = _SCRIPT.format(
        statements=probe.statements,
        interval=INTERVAL_SECONDS,
        idle=IDLE_SECONDS,
        program=shlex.join(words),
    )
    text = place.command(["sh", "-c", script], _TIMEOUT_SECONDS + 3 * seconds)
    return parse_recording(text, probe, place.title)


def parse_recording(text: str, probe: Probe, title: str) -> Recording:
    """What the readings of a run say.

    Args:
        text: lines "sample UPTIME READING", "begin UPTIME", "end UPTIME", "status NUMBER".
        probe: knows what a reading means.
        title: of the place, for messages.

    Raises:
        QDeployError: the program failed, or there are too few readings.
    """
    marks = {
        word: re.search(rf"^{word} (\S+)$", text, re.MULTILINE)
        for word in ("begin", "end", "status")
    }
    begin, end, status = (marks[word] for word in ("begin", "end", "status"))
    if begin is None or end is None or status is None or status[1] != "0":
        raise QDeployError(
            f"the program whose energy is measured failed on {title}; measure without its sensors"
        )
    samples = [
        (float(moment), value)
        for moment, reading in re.findall(r"^sample (\S+) (.*)$", text, re.MULTILINE)
        if (value := probe.value(reading)) is not None
    ]
    started, ended = float(begin[1]), float(end[1])
    idle = _watts([each for each in samples if each[0] < started], probe)
    within = [
        each for each in samples if started + MARGIN_SECONDS <= each[0] <= ended - MARGIN_SECONDS
    ]
    parts = [
        watts
        for part in np.array_split(np.arange(len(within)), PARTS)
        if (watts := _watts([within[i] for i in part], probe)) is not None
    ]
    busy = _watts(within, probe)
    if idle is None or busy is None or len(parts) < PARTS:
        raise QDeployError(
            f"{probe.title} on {title} gave {len(within)} readings in {ended - started:.1f} s, "
            "which are too few; measure for longer"
        )
    return Recording(
        Estimate(busy, min(busy, *parts), max(busy, *parts)), idle, readings=len(within)
    )


def _watts(samples: Sequence[tuple[float, float]], probe: Probe) -> float | None:
    """Mean power of readings; None where there are too few."""
    if probe.quantity == "watts":
        return float(np.mean([value for _, value in samples])) if samples else None
    if len(samples) < 2 or samples[-1][0] <= samples[0][0]:
        return None
    values = [value for _, value in samples]
    joules = sum(probe.step(a, b) for a, b in pairwise(values))
    return joules / (samples[-1][0] - samples[0][0])
