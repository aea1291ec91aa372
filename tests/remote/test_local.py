"""Programs as processes of this machine, and the two programs called from Python."""

import os
import platform
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from qdeploy.errors import QDeployError
from qdeploy.firmware import ModelInterface
from qdeploy.remote import (
    LocalPlace,
    ProgramSession,
    ProgramTimer,
    QemuPlace,
    checksum,
    local_place,
    run_bench,
)
from qdeploy.remote.connection import load_paramiko
from qdeploy.remote.place import failure
from qdeploy.runners import RUNNERS
from qdeploy.runners.local import LocalRunner
from qdeploy.targets import load_arm_core

MACHINE = platform.machine()
INTERFACE = ModelInterface("toy", 2, 1, "int32")


@pytest.fixture
def place():
    with LocalPlace(MACHINE) as made:
        yield made


@pytest.fixture
def script(tmp_path):
    def write(text, name="program"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        return path

    return write


def test_programs_run_in_a_folder_that_goes(place, script, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    program = script('pwd > "$1"; touch left; cat').relative_to(tmp_path)
    data = os.urandom(1 << 20)
    assert place.run(program, [str(tmp_path / "where")], data) == data
    assert not os.path.exists((tmp_path / "where").read_text().strip())  # noqa: PTH110
    assert not (tmp_path / "left").exists()


def test_failures_are_one_sentence(place, script, tmp_path):
    with pytest.raises(QDeployError, match=r"^program failed on this machine with status 3: no$"):
        place.run(script("echo no >&2; exit 3"))
    with pytest.raises(QDeployError, match=r"was ended on this machine by SIGKILL$"):
        place.run(script("kill -9 $$"))
    with pytest.raises(QDeployError, match=r"program did not end within 0.2 s on this machine"):
        place.run(script("exec sleep 60"), timeout=0.2)
    with pytest.raises(QDeployError, match=r"cannot be started \(No such file"):
        place.run(tmp_path / "none")
    with pytest.raises(QDeployError, match="there is no file"):
        place.put(tmp_path / "none")


@pytest.mark.parametrize(
    ("status", "complaints", "expected"),
    [
        (1, "\n", "p failed on b with status 1: it said nothing"),
        (2, "x\n/tmp/0123-p: bad row\n", "p failed on b with status 2: bad row"),
        (128, "", "p failed on b with status 128: it said nothing"),
        (137, "x", "p was ended on b by SIGKILL"),
        (-9, "x", "p was ended on b by SIGKILL"),
        (255, "x", "p was ended on b by signal 127"),
    ],
)
def test_statuses_in_words(status, complaints, expected):
    assert str(failure("p", "b", status, complaints)) == expected


def test_files_and_commands(place, tmp_path):
    assert place.read("/proc/sys/kernel/osrelease").strip() == platform.release()
    assert place.read(str(tmp_path / "none")) is None
    assert place.command(["uname", "-m"]).strip() == MACHINE
    assert place.put(Path(__file__)) == __file__


def test_other_machines_are_refused():
    with pytest.raises(QDeployError, match=rf"this machine is {MACHINE} and programs for pdp11"):
        LocalPlace("pdp11")
    with pytest.raises(QDeployError, match="programs for pdp11"):
        LocalRunner("pdp11").open(SimpleNamespace())


def test_without_qemu(monkeypatch):
    core = load_arm_core("cortex-a72")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(QDeployError, match="qemu-aarch64 is not installed; install Debian's"):
        QemuPlace(core)
    if MACHINE != "aarch64":
        assert local_place(core) is None


def test_without_paramiko(monkeypatch):
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(QDeployError, match=r"add it with: pip install 'qdeploy\[ssh\]'"):
        load_paramiko()


def test_a_session_is_one_process_a_call(place, script, tmp_path):
    """A model of two inputs whose scores are its inputs, four bytes of two rows each."""
    program = script(f"echo run >> '{tmp_path}/calls'; cat; cat '{tmp_path}/more' 2>/dev/null; :")
    session = ProgramSession(place, program, INTERFACE)
    x = np.arange(-4, 4, dtype=np.int8).reshape(4, 2)
    (tmp_path / "more").write_bytes(bytes(8))
    scores = session(x)
    assert scores.dtype == np.int32
    assert scores.shape == (4, 1)
    assert scores[:2].tobytes() == x.tobytes()
    assert session(x[:0]).shape == (0, 1)
    assert (tmp_path / "calls").read_text() == "run\n"
    (tmp_path / "more").write_bytes(bytes(9))
    with pytest.raises(QDeployError, match=r"gave 17 bytes on this machine for 4 rows, not 16"):
        session(x)
    with pytest.raises(QDeployError, match=r"shape \(n, 2\)"):
        session(np.zeros((3, 3), dtype=np.int8))


RESULT = (
    '{"name": "b", "batch": 2, "inputs": 3, "calls": 5, "groups": 2, "clock_cost": 2e-8, '
    '"loop_cost": 1e-9, "peak_resident_kibibytes": 100, "peak_resident_source": "VmHWM", '
    '"checksum": "00ff", "seconds": [1e-6, 2e-6]}'
)


def test_a_timer_is_a_process_a_measurement(place, script, tmp_path):
    program = script(f"echo \"$@\" > '{tmp_path}/words'; cat > /dev/null; echo '{RESULT}'")
    timer = ProgramTimer(place, program, bytes(12), batch=2)
    np.testing.assert_array_equal(timer.measure(5, 2, 0.25), [1e-6, 2e-6])
    words = (tmp_path / "words").read_text()
    assert words == "--inputs - --batch 2 --calls 5 --groups 2 --warm 0.25\n"
    assert timer.last is not None
    assert (timer.last.peak_resident_bytes, timer.last.checksum) == (102_400, "00ff")
    for nonsense in ("[]", "not JSON", "{}"):
        with pytest.raises(QDeployError, match="printed no result on this machine"):
            run_bench(place, script(f"echo '{nonsense}'"), b"")


def test_the_checksum_is_fnv_1a():
    """Values from the test vectors of draft-eastlake-fnv."""
    assert checksum(b"") == "cbf29ce484222325"
    assert checksum(b"a") == "af63dc4c8601ec8c"
    assert checksum(b"foobar") == "85944171f73967e8"
    assert checksum(np.frombuffer(b"foobar", dtype=np.int8)) == "85944171f73967e8"


def test_runners_of_arm_boards_that_need_no_address():
    named = {each.name for each in RUNNERS.values() if each.family == "arm"}
    assert named == {"library-emulator", "qemu-aarch64", "local"}
