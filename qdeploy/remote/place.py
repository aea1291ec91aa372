"""A place where a compiled program runs: one small interface, and its errors in one wording."""

import re
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from qdeploy.errors import QDeployError

__all__ = ["Place", "failure", "overtime"]

_SHELL_SIGNAL = 128
"""A shell adds this to the number of the signal that ended a program."""


class Place(Protocol):
    """Where programs run; a context manager.

    Attributes:
        name: kind of place.
        title: which one, in words, for messages and tables.
        native: whether time there is that of a processor, and not of an emulator.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (described above, as the others)
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def native(self) -> bool: ...  # noqa: D102

    def run(
        self,
        program: Path,
        arguments: Sequence[str] = (),
        data: bytes = b"",
        timeout: float | None = None,
    ) -> bytes:
        """Run a program to its end; it may run anew when a connection drops.

        Args:
            program: file on this machine.
            arguments: its arguments.
            data: its standard input.
            timeout: seconds that it may take; None for any.

        Returns:
            Its standard output.

        Raises:
            QDeployError: it fails, takes too long, or the place cannot be reached.
        """
        ...

    def put(self, file: Path) -> str:
        """Path there of a file of this machine, copied unless it is there already.

        Raises:
            QDeployError: it cannot be copied.
        """
        ...

    def read(self, path: str) -> str | None:
        """A text file of the place; None where there is none or it cannot be read."""
        ...

    def command(self, words: Sequence[str], timeout: float | None = None) -> str:
        """Run a command of the place and give what it prints.

        Raises:
            QDeployError: it fails, takes too long, or the place has no commands.
        """
        ...

    def close(self) -> None:
        """Remove what was left there; the place cannot be used any more."""
        ...

    def __enter__(self) -> "Place": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def failure(program: str, title: str, status: int, complaints: str) -> QDeployError:
    """The error of a program that ended with a status that is not 0.

    Args:
        program: its name.
        title: where it ran.
        status: as a shell tells it, or -N for signal N as Python does.
        complaints: its standard error.
    """
    number = -status if status < 0 else status - _SHELL_SIGNAL
    if status < 0 or number > 0:
        return QDeployError(f"{program} was ended on {title} by {_signal(number)}")
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    # Programs begin their complaints with their own name, some with its path.
    reason = re.sub(rf"^\S*{re.escape(program)}:\s*", "", lines[-1]) if lines else "it said nothing"
    return QDeployError(f"{program} failed on {title} with status {status}: {reason}")


def overtime(program: str, title: str, timeout: float) -> QDeployError:
    """The error of a program that took too long."""
    return QDeployError(
        f"{program} did not end within {timeout:g} s on {title} and was stopped; "
        "give it more time or less to do"
    )


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    if name == "SIGILL":
        return f"{name}: the processor lacks one of its instructions; compile it for its core"
    return name
