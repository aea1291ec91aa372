"""A real board: its own time stamps, and its energy where an instrument is in its supply."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.meters import Load, choose_meter
from qdeploy.benchmark.meters.capture import Stretch
from qdeploy.benchmark.suites import OWN
from qdeploy.benchmark.timing import Estimate, order_statistic_interval
from qdeploy.errors import QDeployError
from qdeploy.runners.serial_board import BoardSession, SerialBoardRunner
from qdeploy.targets import McuTarget

if TYPE_CHECKING:
    from qdeploy.compiler.mcu.artifact import FirmwareArtifact

__all__ = ["ANY_PORT", "measure_board"]

ANY_PORT = "auto"
"""The port that stands for the only board that is plugged in."""

ESTIMATE = "estimate"
"""The meter that measures nothing: estimates of microcontrollers come from counts."""

COMPARED_ROWS = 16
"""Rows whose scores are compared before anything is timed."""

ROUNDS = 7
"""Runs that the time of an inference is the median of."""

WARM_UPS = 10
PATIENCE = 10.0
"""Seconds beyond the expected time that a run may take."""


class BoardTimer:
    """Lets a connected board infer; one call is one inference.

    Args:
        session: the board, with an input loaded.
        seconds: expected of one inference.
    """

    def __init__(self, session: BoardSession, seconds: float) -> None:
        self._session = session
        self._seconds = seconds

    def measure(self, calls: int, groups: int, warm_seconds: float = 0.0) -> NDArray[np.float64]:
        """Mean seconds a call of each group by the board's own clock, (groups,)."""
        warm = max(WARM_UPS, int(warm_seconds / self._seconds))
        return np.array([self._lap(calls, warm) for _ in range(groups)])

    def prepare(self) -> None:
        """See that the board answers."""
        self._session.device.synchronize()

    def run(self, calls: int) -> Stretch:
        """Run that many calls in a row; when they ran, on the host's clock."""
        done = self._session.infer(calls, timeout=self._timeout(calls))
        return Stretch(done.start, done.end, done.uncertainty)

    def _lap(self, calls: int, warm: int) -> float:
        done = self._session.infer(calls, warm, timeout=self._timeout(calls + warm))
        microseconds = done.inference.microseconds
        if microseconds is None:
            raise QDeployError(
                "the board runs an energy build, which gives no time stamps; flash the firmware "
                "of the artifact"
            )
        return microseconds * 1e-6

    def _timeout(self, calls: int) -> float:
        return PATIENCE + 10 * calls * self._seconds


def measure_board(
    sheet: FigureSheet,
    artifact: "FirmwareArtifact",
    target: McuTarget,
    inputs: NDArray[np.int8],
    expected_seconds: float,
    *,
    port: str,
    seconds: float,
    meters: Sequence[str],
) -> tuple[str, ...]:
    """Enter measured latency and, with an instrument, measured energy of the model.

    Args:
        sheet: takes the figures.
        artifact: of the family mcu, with firmware.
        target: the board.
        inputs: int8 rows (n, d); some are compared with the model, the first is timed.
        expected_seconds: estimated time of one inference.
        port: serial port, or `ANY_PORT`.
        seconds: time for each figure.
        meters: in order of preference.

    Returns:
        Notes.

    Raises:
        QDeployError: the board does not work, or gives other scores than the model.
    """
    named = None if port == ANY_PORT else port
    with SerialBoardRunner(named).open(artifact) as session:
        latency, note = _latency(session, artifact, inputs, expected_seconds, seconds)
    sheet.add(OWN, "latency", latency, note, batch=1, obtained="measured")
    meter, passed_over = choose_meter([name for name in meters if name != ESTIMATE])
    if meter is None:
        return tuple(f"energy was not measured: {reason}" for reason in passed_over)
    # Without a pin for pulses, the host's time stamps have to tell when the inferences ran.
    pulses = artifact.energy_firmware_elf is not None
    with SerialBoardRunner(named, energy=pulses).open(artifact) as session:
        session.load(inputs[0])
        timer = BoardTimer(session, latency.value)
        reading = meter.measure(Load(timer, latency, 1, seconds, target.stated_power))
    sheet.add(OWN, "energy", reading.joules, reading.note, batch=1, obtained=reading.obtained)
    return (f"energy of the board by the meter {meter.name!r}",)


def _latency(
    session: BoardSession,
    artifact: "FirmwareArtifact",
    inputs: NDArray[np.int8],
    expected_seconds: float,
    seconds: float,
) -> tuple[Estimate, str]:
    """Time of one inference by the board's own clock, once its scores are the model's."""
    rows = inputs[:COMPARED_ROWS]
    wrong = (session(rows) != artifact.model.network.forward(rows)).any(axis=1)
    if wrong.any():
        raise QDeployError(
            f"the board gives other scores than the model for {int(wrong.sum())} of {len(rows)} "
            "rows; flash the firmware of this artifact, or report this"
        )
    session.load(inputs[0])
    calls = max(1, round(seconds / ROUNDS / expected_seconds))
    laps = BoardTimer(session, expected_seconds).measure(calls, ROUNDS)
    low, high = order_statistic_interval(laps)
    median = float(np.median(laps))
    return Estimate(median, min(low, median), max(high, median)), (
        f"time stamps of the board at {session.device.clock_hertz() / 1e6:g} MHz, {ROUNDS} runs of "
        f"{calls} inferences on one row, {len(rows)} rows compared with the model; interval: 95 % "
        "order statistics of the runs"
    )
