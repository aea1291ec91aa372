"""Flashing by a simulated pyocd, and by commands that are programs of the test's own."""

import os
import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import Mock

import pytest

from qdeploy.errors import QDeployError
from qdeploy.runners import flashing
from qdeploy.runners.flashing import flash, flash_obstacle
from qdeploy.targets import Flashing, load_target


class PyocdError(Exception):
    pass


class TargetSupportError(PyocdError):
    pass


@pytest.fixture
def pyocd(monkeypatch):
    """pyocd 0.4x, as far as it is used; its state says what it did."""
    state = SimpleNamespace(probes=["066FFF"], log=[], failure=None, unknown=False)

    class Session:
        def __init__(self, probe, auto_open=True, options=None):
            if state.unknown:
                raise TargetSupportError("Target type not recognized")
            state.log.append((probe.unique_id, options["target_override"]))
            self.target = SimpleNamespace(reset=lambda: state.log.append("reset"))

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            state.log.append("closed")

    class FileProgrammer:
        def __init__(self, session):
            pass

        def program(self, path):
            if state.failure is not None:
                raise state.failure
            state.log.append(path)

    def get_all_connected_probes(blocking=True):
        assert not blocking
        return [SimpleNamespace(unique_id=each) for each in state.probes]

    contents = {
        "pyocd": {},
        "pyocd.core": {},
        "pyocd.core.exceptions": {"Error": PyocdError, "TargetSupportError": TargetSupportError},
        "pyocd.core.helpers": {
            "ConnectHelper": SimpleNamespace(get_all_connected_probes=get_all_connected_probes)
        },
        "pyocd.core.session": {"Session": Session},
        "pyocd.flash": {},
        "pyocd.flash.file_programmer": {"FileProgrammer": FileProgrammer},
    }
    for name, attributes in contents.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(flashing.importlib.util, "find_spec", lambda name: name == "pyocd")
    return state


@pytest.fixture
def no_pyocd(monkeypatch):
    monkeypatch.setattr(flashing.importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def firmware(tmp_path):
    for suffix in ("elf", "bin", "hex"):
        (tmp_path / f"firmware.{suffix}").write_text(suffix)
    return tmp_path / "firmware.elf"


def board(**fields):
    flashing = Flashing(**fields) if fields else None
    return load_target("nucleo-l4r5zi").model_copy(update={"flashing": flashing})


STM32 = {"pyocd_target": "stm32l4r5zitx", "pyocd_pack": "STM32L4xx_DFP"}


def test_pyocd_programs_and_resets(pyocd, firmware):
    flash(board(**STM32), firmware)
    expected = [("066FFF", "stm32l4r5zitx"), str(firmware.with_suffix(".hex")), "reset", "closed"]
    assert pyocd.log == expected


@pytest.mark.parametrize("wanted", ["00123", "123"])
def test_the_probe_is_that_of_the_port(pyocd, firmware, wanted):
    pyocd.probes = ["066FFF", "000123"]
    flash(board(**STM32), firmware, wanted)
    assert pyocd.log[0][0] == "000123"


def test_a_serial_adapter_is_no_probe(pyocd, firmware):
    flash(board(**STM32), firmware, "A9XYZ")
    assert pyocd.log[0][0] == "066FFF"


@pytest.mark.parametrize(
    ("probes", "told"),
    [([], "finds no debug probe; plug the board in"), (["1", "2"], r"probes are connected \(1, 2")],
)
def test_none_or_several_probes(pyocd, firmware, probes, told):
    pyocd.probes = probes
    with pytest.raises(QDeployError, match=told):
        flash(board(**STM32), firmware, "A9XYZ")
    assert pyocd.log == []


def test_pyocd_without_the_pack(pyocd, firmware):
    pyocd.unknown = True
    with pytest.raises(
        QDeployError, match=r"\(pack STM32L4xx_DFP\); .* pyocd pack install stm32l4r5zitx"
    ):
        flash(board(**STM32), firmware)
    with pytest.raises(QDeployError, match="pyocd pack install other"):
        flash(board(pyocd_target="other"), firmware)


@pytest.mark.parametrize("failure", [PyocdError("no ack\n from target"), PyocdError(), OSError(5)])
def test_pyocd_that_fails(pyocd, firmware, failure):
    pyocd.failure = failure
    with pytest.raises(QDeployError, match=r"could not flash .*firmware.hex \(.+\); look at"):
        flash(board(**STM32), firmware)
    assert pyocd.log[-1] == "closed"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes a program on the path that does what a few lines of shell say."""

    def make(name, script):
        folder = tmp_path / "programs"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return make


def test_the_command_gets_the_files(no_pyocd, program, firmware, tmp_path):
    program("flasher", f'printf "%s\\n" "$@" > {tmp_path}/arguments')
    words = ("flasher", "-x", "{elf}", "file={hex}", "{other}", "{bin},{}")
    flash(board(pyocd_target="rp2040", command=words), firmware)
    base = firmware.parent / "firmware"
    expected = ["-x", f"{base}.elf", f"file={base}.hex", "{other}", f"{base}.bin,{{}}"]
    assert (tmp_path / "arguments").read_text().splitlines() == expected


def test_pyocd_goes_before_the_command(pyocd, program, firmware):
    program("flasher", "exit 9")
    flash(board(pyocd_target="rp2040", command=("flasher", "{elf}")), firmware)
    assert pyocd.log[-1] == "closed"


def test_a_command_that_fails(no_pyocd, program, firmware):
    program("flasher", "echo connecting; echo 'no device in boot mode' >&2; echo; exit 3")
    told = r"'flasher .*firmware.elf' ended with status 3: no device in boot mode; look"
    with pytest.raises(QDeployError, match=told):
        flash(board(command=("flasher", "{elf}")), firmware)
    program("flasher", "exit 1")
    with pytest.raises(QDeployError, match="status 1: it said nothing"):
        flash(board(command=("flasher", "{elf}")), firmware)


def test_a_command_that_hangs(no_pyocd, program, firmware, monkeypatch):
    monkeypatch.setattr(flashing, "_COMMAND_SECONDS", 0.2)
    program("flasher", "exec sleep 10")
    with pytest.raises(QDeployError, match=r"did not end within 0\.2 s"):
        flash(board(command=("flasher", "{elf}")), firmware)


def test_a_program_that_cannot_be_run(no_pyocd, program, firmware, tmp_path):
    program("flasher", "")
    (tmp_path / "programs" / "flasher").write_bytes(b"\0\0")
    with pytest.raises(QDeployError, match="flasher cannot be run"):
        flash(board(command=("flasher", "{elf}")), firmware)


def test_firmware_that_was_not_built(pyocd, program, firmware):
    firmware.with_suffix(".hex").unlink()
    with pytest.raises(QDeployError, match=r"no firmware .*firmware.hex; compile"):
        flash(board(**STM32), firmware)
    firmware.with_suffix(".bin").unlink()
    program("flasher", "")
    with pytest.raises(QDeployError, match=r"no firmware .*firmware.bin"):
        flash(board(command=("flasher", "{bin}")), firmware)


def test_what_is_missing_is_told(no_pyocd, firmware):
    assert "add a [flashing] table" in flash_obstacle(board())
    told = flash_obstacle(board(pyocd_target="rp2040", command=("no-such-tool", "{elf}")))
    assert told.endswith("is flashed by pyocd (pip install pyocd) or no-such-tool; install it")
    with pytest.raises(QDeployError, match="pip install pyocd"):
        flash(board(**STM32), firmware)


def test_every_board_says_how_it_is_flashed():
    for name in ("nucleo-l4r5zi", "nucleo-h7a3zi-q", "nucleo-u575zi-q", "nucleo-f446re"):
        assert load_target(name).flashing.pyocd_target
    for name in ("nrf52840-dk", "raspberry-pi-pico", "raspberry-pi-pico-2"):
        assert load_target(name).flashing is not None


def test_the_simulated_pyocd_has_the_interface_of_the_real_one():
    pytest.importorskip("pyocd")
    from pyocd.core.exceptions import Error, TargetSupportError
    from pyocd.core.helpers import ConnectHelper
    from pyocd.core.session import Session
    from pyocd.flash.file_programmer import FileProgrammer
    from pyocd.probe.debug_probe import DebugProbe

    assert issubclass(TargetSupportError, Error)
    assert callable(ConnectHelper.get_all_connected_probes)
    assert {"__enter__", "__exit__", "target"} <= set(dir(Session))
    assert callable(FileProgrammer.program)
    probe = Mock(spec=DebugProbe)
    probe.create_associated_board.return_value = None
    options = {"target_override": "nrf52840", "hide_programming_progress": True}
    assert Session(probe, options=options).target
    with pytest.raises(TargetSupportError):
        Session(probe, options={"target_override": "no-such-chip"})
