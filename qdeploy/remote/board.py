"""A board behind an ssh connection: its private folder, and the files that were copied there."""

import contextlib
import re
import shlex
from typing import Any

from qdeploy.errors import QDeployError
from qdeploy.remote.connection import (
    Access,
    Connection,
    UnreachableError,
    connect,
    load_paramiko,
)
from qdeploy.remote.execution import DroppedError, Finished, execute, is_alive

__all__ = ["Board"]

# /tmp may forbid programs (noexec): then the next place is taken.
_MAKE_FOLDER = r"""
umask 077
for place in "${TMPDIR:-/tmp}" "$HOME" /var/tmp; do
    folder=$(mktemp -d "$place/qdeploy-XXXXXXXXXX") || continue
    printf '#!/bin/sh\n' > "$folder/try" && chmod 700 "$folder/try" && "$folder/try" &&
        rm "$folder/try" && echo "$folder" && exit 0
    rm -rf "$folder"
done
exit 1
"""
_FOLDER = re.compile(r"/(?:.*/)?qdeploy-\w{10}")


class Board:
    """What there is of a board; it can be tidied up when nothing else refers to it.

    Attributes:
        connection: None while there is none.

    Args:
        access: how it is reached.
    """

    def __init__(self, access: Access) -> None:
        self.connection: Connection | None = None
        self._access = access
        self._folder: str | None = None
        self._files: set[str] = set()
        self._speaks_sftp = True

    @property
    def alive(self) -> bool:
        """Whether it is connected, as far as is known."""
        return self.connection is not None and bool(self.connection.transport.is_active())

    def connect(self) -> Connection:
        """Connect, or connect anew; what ran when a connection dropped is stopped.

        Raises:
            UnreachableError: nobody answers.
            QDeployError: see `qdeploy.remote.connection.connect`.
        """
        self.disconnect()
        self.connection = connect(self._access)
        # It would disturb the next measurement. The folder may be gone, after a start anew.
        if self._folder is not None and self.stop_programs().status:
            self._folder = None
            self._files.clear()
        return self.connection

    def disconnect(self) -> None:
        """End the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def execute(self, script: str, data: bytes = b"", timeout: float | None = None) -> Finished:
        """Run a script, see `qdeploy.remote.execution.execute`."""
        silence = self._access.timeout
        return execute(self._transport(), script, data, timeout=timeout, silence=silence)

    def folder(self) -> str:
        """The private folder, made when first asked for.

        Raises:
            DroppedError: the connection broke.
            QDeployError: there is no place for it.
        """
        if self._folder is None:
            done = self.execute(_MAKE_FOLDER)
            # What a shell's start-up files print comes before it.
            lines = done.output.decode("utf-8", "replace").splitlines() or [""]
            if done.status or not _FOLDER.fullmatch(lines[-1]):
                raise QDeployError(
                    f"no folder for programs can be made on {self._title()} in $TMPDIR, /tmp, the "
                    "home folder or /var/tmp; make one of them writable, with room, and not noexec"
                )
            self._folder = lines[-1]
        return self._folder

    def copied(self, name: str, content: bytes) -> str:
        """Path there of an executable file, which is complete if it has its name.

        Args:
            name: of the file, different for different contents.
            content: what is in it.

        Raises:
            DroppedError: the connection broke.
            QDeployError: there is no room.
        """
        path = f"{self.folder()}/{name}"
        if name not in self._files:
            self._copy(content, path)
            self._files.add(name)
        return path

    def stop_programs(self) -> Finished:
        """End what runs, by the files that name its processes; fails where the folder is gone."""
        folder = shlex.quote(self.folder())
        return self.execute(
            f'test -d {folder} && for mark in {folder}/*.pid; do if test -f "$mark"; then '
            'kill -9 "$(cat "$mark")" 2>/dev/null; rm -f "$mark"; fi; done'
        )

    def tidy(self) -> None:
        """Remove the folder and disconnect; a board that is away keeps it."""
        with contextlib.suppress(DroppedError, UnreachableError, QDeployError):
            if self._folder is not None and not self.alive:
                self.connect()
            if self._folder is not None:
                self.stop_programs()
                self.execute(f"rm -rf {shlex.quote(self._folder)}")
        self._folder = None
        self.disconnect()

    def _transport(self) -> Any:
        if self.connection is None:
            raise DroppedError
        return self.connection.transport

    def _title(self) -> str:
        return "the board" if self.connection is None else self.connection.title

    def _copy(self, content: bytes, path: str) -> None:
        part, whole = shlex.quote(f"{path}.part"), shlex.quote(path)
        arrived = f"test $(wc -c < {part}) -eq {len(content)}"
        finish = f"{arrived} && chmod 700 {part} && mv {part} {whole}"
        if self._by_sftp(content, f"{path}.part"):
            done = self.execute(finish)
        else:
            done = self.execute(f"cat > {part} && {finish}", content)
        if done.status:
            reason = done.complaints.strip() or "it did not arrive whole"
            raise QDeployError(
                f"{len(content)} bytes cannot be copied to {self._title()} ({reason}); make room "
                f"in {self._folder}"
            )

    def _by_sftp(self, content: bytes, path: str) -> bool:
        """Write a file; False where the server has no sftp, or shows it other folders."""
        paramiko = load_paramiko()
        if not self._speaks_sftp:
            return False
        transport = self._transport()
        try:
            with transport.open_sftp_client() as client:
                client.get_channel().settimeout(self._access.timeout)
                with client.open(path, "wb") as file:
                    file.set_pipelined(True)
                    file.write(content)
        except (paramiko.SSHException, EOFError, OSError) as error:
            # A server without sftp ends the channel and goes on; a broken connection does not.
            if not is_alive(transport, self._access.timeout):
                raise DroppedError from error
            self._speaks_sftp = False
            return False
        return True
