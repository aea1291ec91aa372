"""Sessions with a simulated board, and with the firmware's own protocol compiled for the host."""

import os
import re
import subprocess
import termios
import threading
import time
import tty
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from qdeploy.errors import QDeployError
from qdeploy.firmware import ModelInterface, build_firmware
from qdeploy.firmware.linking import runtime_folder
from qdeploy.firmware.sources import configuration
from qdeploy.native import compiler_command
from qdeploy.runners import RUNNERS, qemu, serial_board
from qdeploy.runners.serial_board import SerialBoardRunner, connect
from qdeploy.runners.serial_ports import BoardPort
from qdeploy.targets import McuTarget, load_core, load_target
from qdeploy.toolchains import TOOLCHAINS

BOARD = load_target("nucleo-l4r5zi")


@dataclass
class Artifact:
    interface: ModelInterface
    firmware_elf: Path | None = None
    energy_firmware_elf: Path | None = None
    board: McuTarget = BOARD


@pytest.fixture
def session(simulated_board, toy_interface):
    with connect(BOARD, toy_interface, BoardPort(simulated_board.port)) as connected:
        yield connected


def samples(rows, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (rows, 40)).astype(np.int8)


def test_scores_are_exact(session, expected):
    x = np.concatenate([samples(4), np.full((1, 40), -128, np.int8), np.zeros((1, 40), np.int8)])
    scores = session(x)
    assert scores.dtype == np.int64
    np.testing.assert_array_equal(scores, expected(x))
    assert session(x[:0]).shape == (0, 3)
    with pytest.raises(QDeployError, match=r"int8 array of shape \(n, 40\)"):
        session(x[:, :39])


def test_a_board_that_has_said_much_and_starts_late(simulated_board, toy_interface, expected):
    simulated_board.boot()
    simulated_board.silent_until = time.monotonic() + 1.2
    threading.Timer(1.3, simulated_board.boot).start()
    with connect(BOARD, toy_interface, BoardPort(simulated_board.port)) as session:
        np.testing.assert_array_equal(session(samples(2)), expected(samples(2)))


def test_answers_that_come_late_are_not_taken_for_others(
    simulated_board, toy_interface, expected, monkeypatch
):
    monkeypatch.setattr(serial_board, "_ATTEMPT_SECONDS", 0.2)
    answer = simulated_board.answer

    def late(text):
        time.sleep(0.45 if text == "attempt-0" else 0)
        answer(text)

    monkeypatch.setattr(simulated_board, "answer", late)
    with connect(BOARD, toy_interface, BoardPort(simulated_board.port)) as session:
        np.testing.assert_array_equal(session(samples(2)), expected(samples(2)))
    assert "attempt-1" in simulated_board.commands


def test_half_a_command_of_an_interrupted_program(simulated_board, toy_interface, expected):
    with connect(BOARD, toy_interface, BoardPort(simulated_board.port)) as session:
        session._stream.write(b"db 00")
    with connect(BOARD, toy_interface, BoardPort(simulated_board.port)) as session:
        np.testing.assert_array_equal(session(samples(1)), expected(samples(1)))
    assert "db 00" in simulated_board.commands


@pytest.mark.parametrize(
    ("attribute", "told"),
    [("name", "the board on .* is 'other', not 'nucleo-l4r5zi'"), ("model", "the model on .*")],
)
def test_another_board_or_model_is_refused(simulated_board, toy_interface, attribute, told):
    setattr(simulated_board, attribute, "other")
    for _ in range(2):  # the port is free again
        with pytest.raises(QDeployError, match=told):
            connect(BOARD, toy_interface, BoardPort(simulated_board.port))


def test_a_silent_board(simulated_board, toy_interface, monkeypatch):
    monkeypatch.setattr(serial_board, "_START_SECONDS", 0.2)
    monkeypatch.setattr(serial_board, "_ATTEMPT_SECONDS", 0.15)
    simulated_board.silent_until = np.inf
    with pytest.raises(QDeployError, match=r"nothing answers on .* at 115200 bits a second; flash"):
        connect(BOARD, toy_interface, BoardPort(simulated_board.port))


@pytest.mark.parametrize("command", ["name", "infer 1 0"])
def test_a_board_that_is_unplugged(simulated_board, toy_interface, command):
    simulated_board.unplugged_by = command
    with pytest.raises(QDeployError, match=r"the connection to .* was lost .*; plug the board in"):
        connect(BOARD, toy_interface, BoardPort(simulated_board.port))(samples(2))


def test_another_number_of_scores(simulated_board, session):
    simulated_board.answers["infer 1 0"] = ["m-infer-start-1", "m-results-[1,2]"]
    with pytest.raises(QDeployError, match="gives 2 scores, the model has 3"):
        session(samples(1))


def test_the_speed_is_that_of_the_build(simulated_board, toy_interface):
    def speed():
        return termios.tcgetattr(simulated_board.slave)[5]

    port = BoardPort(simulated_board.port)
    with connect(BOARD, toy_interface, port):
        assert speed() == termios.B115200
    with connect(BOARD, toy_interface, port, energy=True):
        assert speed() == termios.B9600


@pytest.mark.parametrize("energy", [False, True])
def test_the_host_sees_when_inferences_run(simulated_board, toy_interface, energy):
    simulated_board.energy = energy
    with connect(BOARD, toy_interface, BoardPort(simulated_board.port), energy=energy) as session:
        session.load(samples(1)[0])
        done = session.infer(2000, 3, timeout=5)
    start, end = simulated_board.ran
    assert abs(done.start - start) < done.uncertainty
    assert abs(done.end - end) < done.uncertainty
    assert done.uncertainty < (0.06 if energy else 0.03)
    seconds = done.inference.microseconds
    assert seconds is None if energy else seconds == pytest.approx(100)
    assert "infer 2000 3" in simulated_board.commands


def test_firmware_that_does_not_say_when_it_infers(simulated_board, session):
    simulated_board.answers["infer 1 0"] = ["m-results-[1,2,3]"]
    session.load(samples(1)[0])
    with pytest.raises(QDeployError, match="does not say when it infers"):
        session.infer(1, timeout=1)


def test_a_target_without_serial_port(toy_interface):
    with pytest.raises(QDeployError, match=r"add a \[uart\] table"):
        connect(load_target("cortex-m4"), toy_interface, BoardPort("/dev/null"))


@pytest.fixture
def flashed(monkeypatch):
    calls = []
    monkeypatch.setattr(serial_board, "flash", lambda *arguments: calls.append(arguments))
    return calls


def test_the_runner_flashes_and_connects(simulated_board, toy_interface, usb, flashed, expected):
    usb(simulated_board.port, 0x0483, 0x374B, "STM32 STLink", "66FF")
    artifact = Artifact(toy_interface, Path("firmware.elf"))
    with RUNNERS["board"].open(artifact) as session:
        np.testing.assert_array_equal(session(samples(1)), expected(samples(1)))
    assert flashed == [(BOARD, Path("firmware.elf"), "66FF")]


def test_the_runner_takes_a_port_and_what_is_flashed(simulated_board, toy_interface, flashed):
    runner = SerialBoardRunner(simulated_board.port, flashing=False)
    runner.open(Artifact(toy_interface)).close()
    assert flashed == []
    with pytest.raises(QDeployError, match="no firmware for nucleo-l4r5zi; compile it again"):
        SerialBoardRunner(simulated_board.port).open(Artifact(toy_interface))


def test_the_energy_build_is_another_firmware(simulated_board, toy_interface, flashed):
    runner = SerialBoardRunner(simulated_board.port, energy=True)
    runner.open(Artifact(toy_interface, Path("a.elf"), Path("energy.elf"))).close()
    assert [firmware for _, firmware, _ in flashed] == [Path("energy.elf")]
    assert termios.tcgetattr(simulated_board.slave)[5] == termios.B9600
    with pytest.raises(QDeployError, match=r"no energy build .* with a \[pulse\]"):
        runner.open(Artifact(toy_interface, Path("a.elf")))


HEADER = """
#include <stdint.h>
int toy_predict(const int8_t *x, int64_t *scores);
"""
SOURCE = """
#include "toy.h"
int toy_predict(const int8_t *x, int64_t *scores)
{
    int64_t sum = 0, squares = 0;
    for (int i = 0; i < 40; i++) {
        sum += x[i];
        squares += (int64_t)x[i] * x[i];
    }
    scores[0] = sum;
    scores[1] = -squares * ((int64_t)1 << 40);
    scores[2] = INT64_MIN;
    return 0;
}
"""


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    """The firmware's protocol as a program of this machine."""
    folder = tmp_path_factory.mktemp("firmware")
    text = configuration(
        BOARD, load_core(BOARD.core), ModelInterface("toy", 40, 3, "int64"), energy=False
    )
    (folder / "configuration.h").write_text(text)
    (folder / "toy.h").write_text(HEADER)
    (folder / "toy.c").write_text(SOURCE)
    host = Path(__file__).parents[1] / "firmware" / "host_board.c"
    subprocess.run(
        [
            *compiler_command(),
            *("-std=c99", "-O1", f"-I{folder}", f"-I{runtime_folder()}"),
            *map(str, (runtime_folder() / "protocol.c", host, folder / "toy.c")),
            *("-o", str(folder / "device")),
        ],
        check=True,
    )
    return folder / "device"


def test_the_firmwares_own_protocol(toy_interface, firmware, expected):
    pytest.importorskip("serial")
    master, slave = os.openpty()
    tty.setraw(slave)
    with subprocess.Popen([firmware], stdin=master, stdout=master) as process:
        try:
            with connect(BOARD, toy_interface, BoardPort(os.ttyname(slave))) as session:
                x = samples(5)
                np.testing.assert_array_equal(session(x), expected(x))
                done = session.infer(10, 1, timeout=5)
                assert done.inference.microseconds == pytest.approx(0.7)
                assert session.device.clock_hertz() == 120_000_000
        finally:
            process.kill()
            os.close(master)
            os.close(slave)


@pytest.fixture(scope="module")
def emulated_port(tmp_path_factory):
    """The real firmware in QEMU, at the other end of a pseudo-terminal."""
    board, tools = load_target("mps2-an386"), TOOLCHAINS["zig"]
    core = load_core(board.core)
    if told := qemu.obstacle(board) or tools.obstacle(core):
        pytest.skip(told)
    pytest.importorskip("serial")
    folder = tmp_path_factory.mktemp("emulated")
    (folder / "toy.h").write_text(HEADER)
    (folder / "toy.c").write_text(SOURCE)
    objects = tools.compile(core, [folder / "toy.c"], folder)
    interface = ModelInterface("toy", 40, 3, "int64")
    image = build_firmware(board, core, objects, interface, folder, tools)
    machine = [board.emulator.program, "-machine", board.emulator.machine, "-display", "none"]
    channel = ["-monitor", "none", "-chardev", "pty,id=uart", "-serial", "chardev:uart"]
    with subprocess.Popen(
        [*machine, *channel, "-kernel", str(image.elf)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            # "char device redirected to /dev/pts/3 (label uart)"
            yield re.search(r"to (\S+)", process.stdout.readline()).group(1)
        finally:
            process.kill()


def test_the_firmware_itself(emulated_port, toy_interface, expected):
    artifact = Artifact(toy_interface, board=load_target("mps2-an386"))
    with SerialBoardRunner(emulated_port, flashing=False).open(artifact) as session:
        x = samples(3)
        np.testing.assert_array_equal(session(x), expected(x))
        done = session.infer(100, 2, timeout=20)
        assert done.start <= done.end
        assert done.inference.microseconds > 0
    with pytest.raises(QDeployError, match="is 'mps2-an386', not 'nucleo-l4r5zi'"):
        connect(BOARD, toy_interface, BoardPort(emulated_port))
