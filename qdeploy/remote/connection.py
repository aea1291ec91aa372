"""A connection to an ssh server by paramiko, as the user's own ssh would make it.

Read are ~/.ssh/config (HostName, User, Port, IdentityFile, HostKeyAlias, UserKnownHostsFile,
ProxyJump, ProxyCommand), known_hosts, keys and agent; a password is never asked for.
"""

import getpass
import logging
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from qdeploy.errors import QDeployError
from qdeploy.remote.address import Address, parse_address
from qdeploy.remote.known_hosts import HostKeyCheck, KnownHosts

__all__ = ["Access", "Connection", "UnreachableError", "connect", "load_paramiko"]

_PORT = 22
_KEEPALIVE_SECONDS = 15
"""Routers forget connections that are silent for minutes."""
_MOST_JUMPS = 8
_SYSTEM_HOSTS = Path("/etc/ssh/ssh_known_hosts")


class UnreachableError(Exception):
    """Nobody answers, or not as an ssh server does; it may be different in a moment."""


@dataclass(frozen=True)
class Access:
    """How a board is reached.

    Attributes:
        address: where it is.
        identity: private key file; None for those of the configuration, the agent and ~/.ssh.
        accept_new_host_key: whether the key of an unknown host is taken and remembered.
        timeout: seconds that each step of connecting may take.
    """

    address: Address
    identity: Path | None = None
    accept_new_host_key: bool = False
    timeout: float = 10.0


class Connection:
    """An authenticated connection.

    Args:
        client: paramiko's client.
        title: user, host and port.
        below: what closes what it goes through.
    """

    def __init__(self, client: Any, title: str, below: Callable[[], None]) -> None:
        self._client = client
        self._below = below
        self.title = title
        self.transport = client.get_transport()
        self.transport.set_keepalive(_KEEPALIVE_SECONDS)

    def close(self) -> None:
        """End it."""
        self._client.close()
        self._below()


def load_paramiko() -> ModuleType:
    """The library.

    Raises:
        QDeployError: it is not installed.
    """
    try:
        import paramiko
    except ImportError:
        raise QDeployError(
            "boards over ssh need paramiko, which is not installed; "
            "add it with: pip install 'qdeploy[ssh]'"
        ) from None
    # Without a handler, its complaints would go to the terminal; they are in our errors.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    return paramiko


def connect(access: Access) -> Connection:
    """Connect and authenticate.

    Raises:
        UnreachableError: nobody answers.
        QDeployError: the host key is unknown or another one, no key of the user is accepted, or
            the user's configuration cannot be read.
    """
    return _connect(access, load_paramiko(), jumps=0)


def _connect(access: Access, paramiko: ModuleType, jumps: int) -> Connection:
    address = access.address
    options = _options(paramiko, address.host)
    host = options["hostname"]
    user = address.user or options.get("user") or getpass.getuser()
    port = address.port or int(options.get("port", _PORT))
    title = f"{user}@{host}" if port == _PORT else f"{user}@{_with_port(host, port)}"

    named = options.get("hostkeyalias") or (host if port == _PORT else f"[{host}]:{port}")
    files = options.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2").split()
    known = KnownHosts([*(Path(file).expanduser() for file in files), _SYSTEM_HOSTS])
    check = HostKeyCheck(title, named, known, access.accept_new_host_key)

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(check)
    below = _nothing
    try:
        stream, below = _stream(access, paramiko, options, host, port, jumps)
        client.connect(
            host,
            port,
            user,
            sock=stream,
            key_filename=_identities(access, options),
            look_for_keys=access.identity is None,
            timeout=access.timeout,
            banner_timeout=access.timeout,
            auth_timeout=access.timeout,
            channel_timeout=access.timeout,
            transport_factory=check.transport_factory(paramiko),
        )
    except BaseException as error:
        transport = client.get_transport()
        # A server that ends the connection after so many keys has judged them, too.
        judged = "authentication failures" in str(error)
        judged |= transport is not None and transport.is_active()
        client.close()
        below()
        if isinstance(error, paramiko.SSHException) and check.passed and judged:
            raise _rejected(title, error, access) from None
        if isinstance(error, (paramiko.SSHException, EOFError, OSError)):
            raise UnreachableError(f"{title}: {_words(error)}") from error
        raise
    return Connection(client, title, below)


def _options(paramiko: ModuleType, host: str) -> dict[str, Any]:
    file = Path("~/.ssh/config").expanduser()
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        text = ""
    try:
        return dict(paramiko.SSHConfig.from_text(text).lookup(host))
    # A condition of the file (Match exec) may need a library that is not there.
    except (paramiko.SSHException, ImportError, ValueError) as error:
        raise QDeployError(
            f"{file} cannot be understood ({error}); name the board as user@host:port"
        ) from None


def _identities(access: Access, options: dict[str, Any]) -> list[str]:
    if access.identity is not None:
        if not access.identity.is_file():
            raise QDeployError(f"there is no key file {access.identity}; name another one")
        return [str(access.identity)]
    files = (Path(file).expanduser() for file in options.get("identityfile", []))
    return [str(file) for file in files if file.is_file()]


def _stream(
    access: Access, paramiko: ModuleType, options: dict[str, Any], host: str, port: int, jumps: int
) -> tuple[Any, Callable[[], None]]:
    """What the connection goes through, and how that is closed."""
    jump, command = options.get("proxyjump"), options.get("proxycommand")
    if jump and jump.lower() != "none":
        if jumps == _MOST_JUMPS:
            raise QDeployError(
                "the ProxyJumps of ~/.ssh/config go through more than "
                f"{_MOST_JUMPS} hosts; look whether they go round in a circle"
            )
        return _jump(access, paramiko, jump.split(","), host, port, jumps)
    if command:
        return _proxy(command)
    stream = socket.create_connection((host, port), timeout=access.timeout)
    return stream, stream.close


def _jump(
    access: Access, paramiko: ModuleType, hosts: Sequence[str], host: str, port: int, jumps: int
) -> tuple[Any, Callable[[], None]]:
    if len(hosts) > 1:
        raise QDeployError(
            f"ProxyJump {','.join(hosts)} names several hosts; name the last one, and the others "
            "as its own ProxyJump in ~/.ssh/config"
        )
    address = parse_address(hosts[0].strip().removeprefix("ssh://"))
    through = Access(address, access.identity, access.accept_new_host_key, access.timeout)
    connection = _connect(through, paramiko, jumps + 1)
    try:
        channel = connection.transport.open_channel(
            "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=access.timeout
        )
    except BaseException:
        connection.close()
        raise
    return channel, connection.close


def _proxy(command: str) -> tuple[socket.socket, Callable[[], None]]:
    """A command's standard streams as a socket, which tells when the command has ended."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
        )

    def close() -> None:
        ours.close()
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)

    return ours, close


def _rejected(title: str, error: Exception, access: Access) -> QDeployError:
    tried = f"the key {access.identity}" if access.identity else "none of the keys here"
    verb = "is not accepted" if access.identity else "is accepted"
    return QDeployError(
        f"{tried} {verb} by {title} ({_words(error)}); look at the user's name, add the public "
        "key there with ssh-copy-id, and a key with a passphrase to ssh-agent"
    )


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _words(error: BaseException) -> str:
    """An error of the library as a part of a sentence."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).rstrip(".") or "the connection was closed"


def _nothing() -> None:
    pass
