"""Firmware onto a board: by pyocd through its debug probe, or by the program its file names.

pyocd is preferred where the board names a target of it and the package is there, since one tool
serves every probe; both need the board plugged in by USB.
"""

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qdeploy.errors import QDeployError
from qdeploy.targets import Flashing, McuTarget

__all__ = ["flash", "flash_obstacle"]

_COMMAND_SECONDS = 300


def flash_obstacle(board: McuTarget) -> str | None:
    """Why firmware cannot be flashed from here; None when it can."""
    flashing = board.flashing
    if flashing is None:
        return f"target {board.name} does not say how it is flashed; add a [flashing] table"
    if _pyocd_takes(flashing) or _program(flashing) is not None:
        return None
    ways = []
    if flashing.pyocd_target is not None:
        ways.append("pyocd (pip install pyocd)")
    if flashing.command is not None:
        ways.append(flashing.command[0])
    return f"target {board.name} is flashed by {' or '.join(ways)}; install it"


def flash(board: McuTarget, firmware: Path, probe: str | None = None) -> None:
    """Write firmware and start it.

    Args:
        board: the target.
        firmware: the ELF file, with the BIN and HEX files beside it.
        probe: serial number of the debug probe, where several are connected.

    Raises:
        QDeployError: it cannot be done here, or fails.
    """
    if told := flash_obstacle(board):
        raise QDeployError(told)
    assert board.flashing is not None
    files = {suffix: firmware.with_suffix(f".{suffix}") for suffix in ("elf", "bin", "hex")}
    if _pyocd_takes(board.flashing):
        _require(files["hex"])
        _flash_by_pyocd(board.flashing, files["hex"], probe)
        return
    command = board.flashing.command or ()
    for suffix, file in files.items():
        if any(f"{{{suffix}}}" in word for word in command):
            _require(file)
    _flash_by_command([_filled(word, files) for word in command])


def _pyocd_takes(flashing: Flashing) -> bool:
    return flashing.pyocd_target is not None and importlib.util.find_spec("pyocd") is not None


def _program(flashing: Flashing) -> str | None:
    return None if flashing.command is None else shutil.which(flashing.command[0])


def _require(file: Path) -> None:
    if not file.is_file():
        raise QDeployError(f"there is no firmware {file}; compile the model again for the board")


def _filled(word: str, files: dict[str, Path]) -> str:
    # Not str.format: a command may have braces of its own.
    for suffix, file in files.items():
        word = word.replace(f"{{{suffix}}}", str(file))
    return word


def _flash_by_pyocd(flashing: Flashing, firmware: Path, probe: str | None) -> None:
    from pyocd.core.exceptions import Error, TargetSupportError
    from pyocd.core.helpers import ConnectHelper
    from pyocd.core.session import Session
    from pyocd.flash.file_programmer import FileProgrammer

    try:
        # All of them, not pyocd's own choice: that one asks at the terminal.
        chosen = _chosen(ConnectHelper.get_all_connected_probes(blocking=False), probe)
        options = {"target_override": flashing.pyocd_target, "hide_programming_progress": True}
        with Session(chosen, options=options) as session:
            FileProgrammer(session).program(str(firmware))
            session.target.reset()
    except TargetSupportError:
        target = flashing.pyocd_target
        pack = f" (pack {flashing.pyocd_pack})" if flashing.pyocd_pack else ""
        raise QDeployError(
            f"pyocd does not know the target {target}{pack}; "
            f"install its description with: pyocd pack install {target}"
        ) from None
    except (Error, OSError) as error:
        raise QDeployError(
            f"pyocd could not flash {firmware} ({_line(error)}); "
            "look at the board's supply and its debug connector, and plug it in again"
        ) from None


def _chosen(probes: Sequence[Any], wanted: str | None) -> Any:
    same = [probe for probe in probes if wanted is not None and _same(probe.unique_id, wanted)]
    # None is the same where the port is that of a serial adapter beside the probe.
    matching = same or list(probes)
    if not matching:
        raise QDeployError("pyocd finds no debug probe; plug the board in by USB")
    if len(matching) > 1:
        listed = ", ".join(probe.unique_id for probe in matching)
        raise QDeployError(
            f"several debug probes are connected ({listed}); name the port of the board"
        )
    return matching[0]


def _same(first: str, second: str) -> bool:
    """Whether two serial numbers are one; J-Link's are padded with zeros on USB."""
    return first.lstrip("0").casefold() == second.lstrip("0").casefold()


def _flash_by_command(command: list[str]) -> None:
    told = " ".join(command)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise QDeployError(
            f"{told!r} did not end within {_COMMAND_SECONDS} s; plug the board in again"
        ) from None
    except OSError as error:
        raise QDeployError(f"{command[0]} cannot be run ({error.strerror})") from None
    if done.returncode:
        lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "it said nothing")
        raise QDeployError(
            f"{told!r} ended with status {done.returncode}: {last}; look at the board's connection"
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
