"""A real board: its own time stamps, and its energy where an instrument is in its supply."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.board_timer import ROUNDS, BoardTimer
from qdeploy.benchmark.figures import FigureSheet
from qdeploy.benchmark.meters import Load
from qdeploy.benchmark.meters.instrument import Instrument
from qdeploy.benchmark.suites import OWN
from qdeploy.errors import QDeployError
from qdeploy.runners.serial_board import BoardSession, SerialBoardRunner
from qdeploy.targets import McuTarget

if TYPE_CHECKING:
    from qdeploy.compiler.mcu.artifact import FirmwareArtifact

__all__ = ["ANY_PORT", "measure_board"]

ANY_PORT = "auto"
"""The port that stands for the only board that is plugged in."""

COMPARED_ROWS = 16
"""Rows whose scores are compared before anything is timed."""


def measure_board(
    sheet: FigureSheet,
    artifact: "FirmwareArtifact",
    target: McuTarget,
    inputs: NDArray[np.int8],
    expected_seconds: float,
    *,
    port: str,
    seconds: float,
    instrument: Instrument | None,
) -> None:
    """Enter measured latency and, with an instrument, measured energy of the model.

    Args:
        sheet: takes the figures.
        artifact: of the family mcu, with firmware.
        target: the board.
        inputs: int8 rows (n, d); some are compared with the model, the first is timed.
        expected_seconds: estimated time of one inference.
        port: serial port, or `ANY_PORT`.
        seconds: time for each figure.
        instrument: in the board's supply, or None.

    Raises:
        QDeployError: the board or the instrument does not work, or the board gives other scores
            than the model.
    """
    named = None if port == ANY_PORT else port
    if instrument is not None:
        # The board has no power before.
        instrument.switch_on()
    with SerialBoardRunner(named).open(artifact) as session:
        rows = inputs[:COMPARED_ROWS]
        _compare(session, artifact, rows)
        timer = BoardTimer(lambda: session, inputs[0], expected_seconds)
        latency = timer.latency(seconds)
        note = (
            f"time stamps of the board at {session.device.clock_hertz() / 1e6:g} MHz, median of "
            f"{ROUNDS} runs on one row, {len(rows)} rows compared with the model; interval: 95 % "
            "order statistics of the runs, and a tick of the board's clock"
        )
    sheet.add(OWN, "latency", latency, note, batch=1, obtained="measured")
    if instrument is None:
        return
    # Without a pin for pulses, the host's time stamps have to tell when the inferences ran.
    runner = SerialBoardRunner(named, energy=artifact.energy_firmware_elf is not None)
    with BoardTimer(lambda: runner.open(artifact), inputs[0], latency.value) as timer:
        reading = instrument.measure(Load(timer, latency, 1, seconds, target.stated_power))
    sheet.add(OWN, "energy", reading.joules, reading.note, batch=1, obtained=reading.obtained)


def _compare(session: BoardSession, artifact: "FirmwareArtifact", rows: NDArray[np.int8]) -> None:
    """See that the board gives the scores of the model."""
    wrong = (session(rows) != artifact.model.network.forward(rows)).any(axis=1)
    if wrong.any():
        raise QDeployError(
            f"the board gives other scores than the model for {int(wrong.sum())} of {len(rows)} "
            "rows; flash the firmware of this artifact, or report this"
        )
