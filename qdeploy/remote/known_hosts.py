"""The user's known_hosts: OpenSSH's rules, of which paramiko's own class keeps but a part.

That one takes one key of a kind for a host, knows neither patterns nor revoked keys, and rewrites
the whole file to add a line. Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from qdeploy.errors import QDeployError

__all__ = ["HostKeyCheck", "KnownHosts"]

_CERTIFICATES, _REVOKED = "@cert-authority", "@revoked"


@dataclass(frozen=True)
class _Line:
    """One entry.

    Attributes:
        marker: "" or a word that begins with @.
        names: names, patterns and hashes, as they stand there.
        key: the public key, in paramiko's class.
    """

    marker: str
    names: tuple[str, ...]
    key: Any


class KnownHosts:
    """Host keys that the user has accepted.

    Args:
        files: where they are looked for; new ones go to the end of the first.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)

    def keys(self, name: str) -> list[Any]:
        """Keys that a host may show.

        Args:
            name: as in the file: ``host``, or ``[host]:port`` where the port is not 22.
        """
        return [line.key for line in self._lines() if not line.marker and _names(line, name)]

    def is_revoked(self, name: str, key: Any) -> bool:
        """Whether a key must not be shown by a host."""
        shown = key.asbytes()
        return any(
            line.key.asbytes() == shown and _names(line, name)
            for line in self._lines()
            if line.marker == _REVOKED
        )

    def remember(self, name: str, key: Any) -> None:
        """Add a key, as OpenSSH does with ``StrictHostKeyChecking accept-new``.

        Raises:
            QDeployError: the file cannot be written.
        """
        file = self._files[0]
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file.open("a+b") as known:
                if known.tell():
                    known.seek(-1, 2)
                    if known.read(1) != b"\n":
                        known.write(b"\n")
                known.write(f"{name} {key.get_name()} {key.get_base64()}\n".encode("ascii"))
        except OSError as error:
            raise QDeployError(
                f"the host key of {name} cannot be remembered in {file} "
                f"({error.strerror or error}); make the file writable"
            ) from None

    def _lines(self) -> Iterator[_Line]:
        for file in self._files:
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            for line in text.splitlines():
                yield from _parsed(line)


class HostKeyCheck:
    """Decides on the key that a server shows; paramiko's client asks it, since it knows none.

    Attributes:
        passed: whether the key was taken.

    Args:
        title: the server, for messages.
        name: the server, as in known_hosts.
        known: what the user has accepted.
        accept_new: whether the key of an unknown server is taken and remembered.
    """

    def __init__(self, title: str, name: str, known: KnownHosts, accept_new: bool) -> None:
        self._title = title
        self._name = name
        self._known = known
        self._accept_new = accept_new
        self.passed = False

    def transport_factory(self, paramiko: ModuleType) -> Callable[..., Any]:
        """Makes transports that ask for the kinds of keys that are known, before any other."""
        kinds = {key.get_name() for key in self._known.keys(self._name)}
        if "ssh-rsa" in kinds:
            kinds |= {"rsa-sha2-256", "rsa-sha2-512"}

        def make(stream: Any, **options: Any) -> Any:
            transport = paramiko.Transport(stream, **options)
            security = transport.get_security_options()
            security.key_types = sorted(security.key_types, key=lambda kind: kind not in kinds)
            return transport

        return make

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        """Take the key or refuse it.

        Raises:
            QDeployError: it is refused.
        """
        shown = f"{key.get_name()} {key.fingerprint}"
        known = [each.asbytes() for each in self._known.keys(self._name)]
        if self._known.is_revoked(self._name, key):
            raise QDeployError(f"{self._title} shows a host key that is revoked ({shown})")
        if key.asbytes() not in known:
            if known:
                raise QDeployError(
                    f"the host key of {self._title} has changed ({shown}): it is another machine, "
                    "was set up anew, or somebody is in between; if it is right, remove the old "
                    f"key with: ssh-keygen -R '{self._name}'"
                )
            if not self._accept_new:
                raise QDeployError(
                    f"the host key of {self._title} is unknown ({shown}); compare it with the "
                    "board's and connect once by ssh, or accept it with --accept-new-host-key"
                )
            self._known.remember(self._name, key)
        self.passed = True


def _parsed(text: str) -> Iterator[_Line]:
    """The entry of a line, where it is one whose key paramiko knows."""
    from paramiko.hostkeys import HostKeyEntry, InvalidHostKey
    from paramiko.ssh_exception import SSHException

    words = text.split()
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#") or marker == _CERTIFICATES:
        return
    try:
        entry = HostKeyEntry.from_line(" ".join(words[:3]))
    except (InvalidHostKey, SSHException, ValueError):
        return
    if entry is not None:
        yield _Line(marker, tuple(words[0].split(",")), entry.key)


def _names(line: _Line, name: str) -> bool:
    """Whether an entry is about a host."""
    from paramiko.hostkeys import HostKeys

    found = False
    for pattern in line.names:
        if pattern.startswith("|1|"):
            try:
                found |= HostKeys.hash_host(name, pattern) == pattern
            except (ValueError, IndexError, AssertionError):
                continue  # a hash that was cut short
        elif pattern.startswith("!"):
            if _matches(pattern[1:], name):
                return False
        else:
            found |= _matches(pattern, name)
    return found


def _matches(pattern: str, name: str) -> bool:
    """OpenSSH's patterns: ``*`` and ``?`` alone are special, brackets are not."""
    parts = (
        ".*" if part == "*" else "." if part == "?" else re.escape(part)
        for part in re.split(r"([*?])", pattern.lower())
    )
    return re.fullmatch("".join(parts), name.lower()) is not None
