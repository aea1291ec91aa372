"""Firmware of every emulated machine boots in QEMU and gives the model's bits."""

import functools
import gc
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from qdeploy.errors import QDeployError
from qdeploy.firmware import ModelInterface, build_firmware
from qdeploy.runners import RUNNERS
from qdeploy.runners.protocol import Device
from qdeploy.runners.qemu import QemuMachine, obstacle
from qdeploy.targets import McuTarget, list_targets, load_core, load_target
from qdeploy.toolchains import TOOLCHAINS

MACHINES = [each.name for each in list_targets() if getattr(each, "emulator", None)]

HEADER = """
#include <stdint.h>
int small_predict(const int8_t *x, int64_t *scores);
"""
# 64-bit products and quotients, single and double precision: the compiler's helpers run, too.
SOURCE = """
#include "small.h"
static volatile int64_t divisor = 7;
static volatile float half = 0.5f;
static volatile double third = 3.0;
int small_predict(const int8_t *x, int64_t *scores)
{
    int64_t sum = 0;
    for (int i = 0; i < 33; i++) {
        sum += (int64_t)x[i] * (1000000007ll * (i + 1));
    }
    scores[0] = sum;
    scores[1] = sum / divisor;
    scores[2] = (int64_t)((float)x[0] * half) + (int64_t)((double)x[1] * 4294967296.0 / third);
    return 0;
}
"""
INTERFACE = ModelInterface("small", 33, 3, "int64")


def expected(x):
    wide = x.astype(np.int64)
    sums = (wide * (1000000007 * np.arange(1, 34))).sum(axis=1)
    quotients = np.sign(sums) * (np.abs(sums) // 7)
    halves = np.trunc(x[:, 0] * 0.5).astype(np.int64)
    thirds = np.trunc(x[:, 1] * 4294967296.0 / 3.0).astype(np.int64)
    return np.column_stack([sums, quotients, halves + thirds])


@dataclass
class Artifact:
    board: McuTarget
    firmware_elf: Path | None
    interface: ModelInterface = INTERFACE


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """Builds a machine's firmware; skips where QEMU or the toolchain is not there."""

    def build(name, toolchain="zig"):
        board, tools = load_target(name), TOOLCHAINS[toolchain]
        core = load_core(board.core)
        if told := obstacle(board) or tools.obstacle(core):
            pytest.skip(told)
        folder = tmp_path_factory.mktemp(name)
        (folder / "small.h").write_text(HEADER)
        (folder / "small.c").write_text(SOURCE)
        objects = tools.compile(core, [folder / "small.c"], folder)
        firmware = build_firmware(board, core, objects, INTERFACE, folder, tools)
        return Artifact(board, firmware.elf)

    return build


def samples(rows, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (rows, 33)).astype(np.int8)


def test_every_core_but_the_smallest_has_a_machine():
    cores = {load_target(name).core for name in MACHINES}
    assert cores == {"cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc"}


@pytest.mark.parametrize("toolchain", TOOLCHAINS.names())
@pytest.mark.parametrize("name", MACHINES)
def test_machine_boots_and_gives_the_models_bits(artifact, name, toolchain):
    made = artifact(name, toolchain)
    session = RUNNERS["qemu"].open(made)
    extremes = np.array([[-128] * 33, [127] * 33, [0] * 33], dtype=np.int8)
    x = np.concatenate([extremes, samples(5)])
    np.testing.assert_array_equal(session(x), expected(x))

    device = session.device
    assert device.name() == name
    assert device.profile().model == "small"
    assert device.clock_hertz() == made.board.firmware_megahertz * 1e6
    for refused in ("nonsense", "db load 1", "db zz", "infer 0", "x" * 100):
        with pytest.raises(QDeployError, match="refuses the command"):
            device.command(refused)
    assert device.command("db print 2") == [
        f"m-buffer-{int(x[-1, 0]) % 256:02x}-{int(x[-1, 1]) % 256:02x}"
    ]
    np.testing.assert_array_equal(session(x[:1]), expected(x[:1]))


def test_virtual_time_is_that_of_the_instructions(artifact):
    made = artifact("mps2-an386")
    runs = []
    for _ in range(2):
        device = RUNNERS["qemu"].open(made).device
        device.load(samples(1)[0].tobytes())
        runs.append(device.infer(1000, 0))
    times = [run.end_microseconds - run.start_microseconds for run in runs]
    # Time stamps are whole microseconds.
    assert abs(times[0] - times[1]) <= 1
    assert times[0] > 1000
    # Only what surrounds the inferences does not double.
    longer = device.infer(2000, 0)
    doubled = longer.end_microseconds - longer.start_microseconds
    assert 0 <= 2 * times[0] - doubled < 10


def test_exit_status_by_semihosting(artifact):
    made = artifact("mps2-an385")
    with QemuMachine(made.firmware_elf, made.board.emulator) as machine:
        assert machine.shut_down() == 0


def test_processes_end_with_their_session(artifact):
    session = RUNNERS["qemu"].open(artifact("mps2-an385"))
    process = session.device._stream._process
    assert process.poll() is None
    del session
    gc.collect()
    assert process.poll() is not None


def test_a_dead_machine_is_told(artifact):
    session = RUNNERS["qemu"].open(artifact("mps2-an385"))
    session.device._stream._process.kill()
    with pytest.raises(QDeployError, match=r"qemu-system-arm \(mps2-an385\) ended with status"):
        session(samples(2))


def test_qemus_own_complaint_is_told(artifact, tmp_path):
    made = artifact("mps2-an385")
    made.firmware_elf = tmp_path / "missing.elf"
    with pytest.raises(QDeployError, match=r"ended with status 1: .*missing\.elf"):
        RUNNERS["qemu"].open(made)


def test_missing_programs_machines_and_firmware_are_told(monkeypatch):
    board = load_target("mps2-an385")
    with pytest.raises(QDeployError, match="nucleo-l4r5zi names no machine of QEMU"):
        RUNNERS["qemu"].open(Artifact(load_target("nucleo-l4r5zi"), None))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda name: None)
        with pytest.raises(QDeployError, match="qemu-system-arm is not installed; install Debian"):
            RUNNERS["qemu"].open(Artifact(board, None))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda name: name)
        with pytest.raises(QDeployError, match="no firmware for mps2-an385"):
            RUNNERS["qemu"].open(Artifact(board, None))


def test_firmware_that_says_nothing_is_told(artifact, monkeypatch):
    """A machine that runs, but without a firmware that speaks."""
    made = artifact("mps2-an385")
    impatient = functools.partial(Device, timeout=0.1)
    monkeypatch.setattr("qdeploy.runners.qemu.Device", impatient)
    started = []
    popen = subprocess.Popen

    def paused(command, **options):
        started.append(popen([command[0], "-S", *command[1:]], **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", paused)
    with pytest.raises(QDeployError, match=r"did not answer 'start-up' within 0\.1 s"):
        RUNNERS["qemu"].open(made)
    assert started[0].poll() is not None
