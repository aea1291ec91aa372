"""One command on an ssh connection: bytes in, bytes out, status, and dropped connections noticed.

Both directions run at once, so neither side waits for the other whatever the amounts.
"""

import contextlib
import shlex
import threading
import time
from dataclasses import dataclass
from typing import Any

from qdeploy.errors import QDeployError
from qdeploy.remote.connection import load_paramiko

__all__ = ["DroppedError", "Finished", "execute", "is_alive"]

_CHUNK = 32 * 1024
"""What a packet takes."""
_COMPLAINTS = 64 * 1024
"""Bytes of standard error that are kept: the last ones."""
_SLICE = 0.5
"""Seconds that one read waits."""


class DroppedError(Exception):
    """The connection is gone; whether the command ran is not known."""


@dataclass(frozen=True)
class Finished:
    """A command that has ended.

    Attributes:
        status: its exit status.
        output: standard output.
        complaints: standard error, its end where it is long.
    """

    status: int
    output: bytes
    complaints: str


def execute(
    transport: Any, script: str, data: bytes = b"", *, timeout: float | None, silence: float
) -> Finished:
    """Run a script of the POSIX shell.

    Args:
        transport: paramiko's, authenticated.
        script: the script.
        data: its standard input.
        timeout: seconds that it may take; None for any.
        silence: seconds without a word of the server before it is asked whether it is there, and
            that it has to answer.

    Raises:
        DroppedError: the connection broke.
        TimeoutError: it took too long.
        QDeployError: the server refuses to run commands.
    """
    paramiko = load_paramiko()
    channel = _open(transport, script, silence)
    deadline = None if timeout is None else time.monotonic() + timeout
    complaints = bytearray()
    try:
        channel.settimeout(_SLICE)
        threading.Thread(target=_send, args=(channel, data), daemon=True).start()
        listener = threading.Thread(target=_listen, args=(channel, complaints), daemon=True)
        listener.start()
        output = _receive(transport, channel, deadline, silence)
        status = _status(transport, channel, deadline, silence)
        listener.join(silence)
    except TimeoutError:
        raise
    except (paramiko.SSHException, OSError, EOFError) as error:
        # Receiving sends, too: it tells the server that there is room again.
        raise DroppedError from error
    finally:
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            channel.close()
    return Finished(status, output, complaints.decode("utf-8", "replace"))


def is_alive(transport: Any, silence: float) -> bool:
    """Whether the server answers within `silence` seconds; its transport is closed if not."""
    paramiko = load_paramiko()

    def ask() -> None:
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            # Every server answers this, though most answer that they do not know it.
            transport.global_request("keepalive@openssh.com", wait=True)

    question = threading.Thread(target=ask, daemon=True)
    question.start()
    question.join(silence)
    if question.is_alive():
        transport.close()
    return bool(transport.is_active())


def _open(transport: Any, script: str, silence: float) -> Any:
    paramiko = load_paramiko()
    try:
        channel = transport.open_session(timeout=silence)
        # The user's own shell may be any; this line means the same in all of them.
        channel.exec_command(f"exec /bin/sh -c {shlex.quote(script)}")
    except (paramiko.SSHException, EOFError, OSError) as error:
        if isinstance(error, paramiko.SSHException) and is_alive(transport, silence):
            raise QDeployError(
                f"the ssh server refuses to run commands ({error}); allow them for this user"
            ) from None
        raise DroppedError from error
    return channel


def _send(channel: Any, data: bytes) -> None:
    paramiko = load_paramiko()
    view = memoryview(data)
    # The command may have ended; if the connection has, the receiver notices.
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        while view:
            try:
                sent = channel.send(bytes(view[:_CHUNK]))
            except TimeoutError:
                continue  # the other end is not reading now
            if not sent:
                return
            view = view[sent:]
        channel.shutdown_write()


def _listen(channel: Any, complaints: bytearray) -> None:
    paramiko = load_paramiko()
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        while not channel.closed or channel.recv_stderr_ready():
            try:
                piece = channel.recv_stderr(_CHUNK)
            except TimeoutError:
                continue
            if not piece:
                return
            complaints += piece
            del complaints[:-_COMPLAINTS]


def _receive(transport: Any, channel: Any, deadline: float | None, silence: float) -> bytes:
    pieces: list[bytes] = []
    heard = time.monotonic()
    while True:
        try:
            piece = channel.recv(8 * _CHUNK)
        except TimeoutError:
            piece = None
        now = time.monotonic()
        if piece == b"":
            return b"".join(pieces)
        if piece:
            pieces.append(piece)
            heard = now
        if deadline is not None and now > deadline:
            raise TimeoutError
        if now - heard > silence:
            if not is_alive(transport, silence):
                raise DroppedError
            heard = time.monotonic()


def _status(transport: Any, channel: Any, deadline: float | None, silence: float) -> int:
    while not channel.exit_status_ready():
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.002)
    status = int(channel.recv_exit_status())
    if status < 0:
        # The server has ended the channel without a status: it or the connection was broken.
        if not is_alive(transport, silence):
            raise DroppedError
        raise QDeployError("the ssh server told no exit status; look whether it ends commands")
    return status
