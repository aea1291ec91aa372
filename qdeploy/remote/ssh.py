"""Programs on a board, over ssh.

They lie in a private folder of the board while the place is open, each copied once. A dropped
connection is made anew and the program run again: programs are functions of their input alone.
"""

import contextlib
import hashlib
import itertools
import shlex
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from qdeploy.errors import QDeployError
from qdeploy.remote.address import parse_address
from qdeploy.remote.board import Board
from qdeploy.remote.connection import Access, UnreachableError
from qdeploy.remote.execution import DroppedError, Finished
from qdeploy.remote.place import failure, overtime

__all__ = ["SshPlace"]

T = TypeVar("T")

_PAUSE = 0.2
"""Seconds before the first attempt to connect anew; later ones wait longer."""
_LONGEST_PAUSE = 2.0


class SshPlace:
    """A board that an ssh server runs on.

    Args:
        address: ``[user@]host[:port]``; the host may be an alias of ~/.ssh/config.
        identity: private key file; by default those that ssh would take.
        accept_new_host_key: whether the key of an unknown host is taken and remembered. A host
            key that has changed is refused always.
        timeout: seconds for each step of connecting, and of silence after which the board is asked
            whether it is there.
        attempts: how often a command is begun at most when connections drop.
        patience: seconds that the board may stay away after a connection has dropped.
        machine: what ``uname -m`` must tell there.

    Raises:
        QDeployError: it cannot be reached, its host key or the user's keys are refused, or it is
            another kind of machine.
    """

    name = "ssh"
    native = True

    def __init__(
        self,
        address: str,
        *,
        identity: str | Path | None = None,
        accept_new_host_key: bool = False,
        timeout: float = 10.0,
        attempts: int = 3,
        patience: float = 30.0,
        machine: str = "aarch64",
    ) -> None:
        key = None if identity is None else Path(identity).expanduser()
        access = Access(parse_address(address), key, accept_new_host_key, timeout)
        self._attempts = attempts
        self._patience = patience
        self._runs = itertools.count()
        self._board = board = Board(access)
        self._tidy = weakref.finalize(self, board.tidy)
        try:
            self.title = board.connect().title
        except UnreachableError as error:
            raise QDeployError(
                f"no ssh server answers at {error}; look at its address, power and network"
            ) from None
        try:
            told = self._insist(lambda: board.execute("uname -m"))
            found = told.output.decode("utf-8", "replace").strip()
            if found != machine:
                raise QDeployError(
                    f"{self.title} is a machine of the kind {found!r}, not {machine!r}; name a "
                    "board that the program was compiled for"
                )
        except BaseException:
            self.close()
            raise

    def run(
        self,
        program: Path,
        arguments: Sequence[str] = (),
        data: bytes = b"",
        timeout: float | None = None,
    ) -> bytes:
        """Run a program to its end, see `qdeploy.remote.Place.run`."""

        def once() -> Finished:
            path = self._copied(program)
            return self._run([path, *arguments], program.name, data, timeout)

        return self._succeeded(program.name, self._insist(once))

    def put(self, file: Path) -> str:
        """Copy a file to the board, see `qdeploy.remote.Place.put`."""
        return self._insist(lambda: self._copied(file))

    def read(self, path: str) -> str | None:
        """A text file of the board, see `qdeploy.remote.Place.read`."""
        done = self._insist(lambda: self._board.execute(f"cat {shlex.quote(path)}"))
        return None if done.status else done.output.decode("utf-8", "replace")

    def command(self, words: Sequence[str], timeout: float | None = None) -> str:
        """Run a command of the board, see `qdeploy.remote.Place.command`."""
        done = self._insist(lambda: self._run(words, words[0], b"", timeout))
        return self._succeeded(words[0], done).decode("utf-8", "replace")

    def close(self) -> None:
        """Remove the folder and disconnect."""
        self._tidy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _insist(self, action: Callable[[], T]) -> T:
        """Do something on the board, and again when the connection drops on the way."""
        if not self._tidy.alive:
            raise QDeployError(f"the connection to {self.title} was closed; connect again")
        for _ in range(self._attempts):
            try:
                if not self._board.alive:
                    self._reconnect()
                return action()
            except DroppedError:
                self._board.disconnect()
        raise QDeployError(
            f"the connection to {self.title} dropped {self._attempts} times in a row; look at the "
            "board's power, network and memory"
        )

    def _reconnect(self) -> None:
        """Wait for the board to come back, and look whether its folder is still there."""
        until, pause = time.monotonic() + self._patience, _PAUSE
        while True:
            try:
                self._board.connect()
                return
            except UnreachableError as error:
                if time.monotonic() + pause > until:
                    raise QDeployError(
                        f"the connection to {self.title} dropped and the board stayed away for "
                        f"{self._patience:g} s ({error}); look at its power and network"
                    ) from None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _copied(self, file: Path) -> str:
        """Path on the board of a file, named by its content and complete if it is there."""
        try:
            content = file.read_bytes()
        except OSError as error:
            raise QDeployError(f"{file} cannot be read ({error.strerror or error})") from None
        name = f"{hashlib.sha256(content).hexdigest()[:16]}-{file.name}"
        return self._board.copied(name, content)

    def _run(self, words: Sequence[str], name: str, data: bytes, timeout: float | None) -> Finished:
        """Run a program whose number is known, so that it can be stopped."""
        folder = self._board.folder()
        mark = f"{shlex.quote(folder)}/{next(self._runs)}.pid"
        # The shell stays, to tell a status when a signal ends the program. What it starts in the
        # background would read nothing, were the input not given to it as a copy.
        script = (
            f"exec 3<&0; {shlex.join(words)} <&3 3<&- & echo $! > {mark}; exec 3<&- </dev/null; "
            f"wait $!; status=$?; rm -f {mark}; exit $status"
        )
        try:
            return self._board.execute(script, data, timeout)
        except TimeoutError:
            with contextlib.suppress(DroppedError):
                self._board.stop_programs()
            raise overtime(name, self.title, timeout or 0.0) from None

    def _succeeded(self, name: str, done: Finished) -> bytes:
        if done.status:
            raise failure(name, self.title, done.status, done.complaints)
        return done.output
