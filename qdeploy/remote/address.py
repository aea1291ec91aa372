"""Addresses of boards as they are given on the command line."""

import re
from dataclasses import dataclass

from qdeploy.errors import QDeployError

__all__ = ["Address", "parse_address"]

# Names reach the shell of a ProxyCommand: nothing that means something to it may be in them, and
# no host may look like an option.
_ADDRESS = re.compile(
    r"(?:(?P<user>\w[\w.+-]*)@)?"
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>\w[\w.-]*))"
    r"(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)
_PORTS = 65535


@dataclass(frozen=True)
class Address:
    """Where an ssh server is.

    Attributes:
        host: name, alias of the user's ssh configuration, or number.
        user: None for that of the configuration.
        port: None for that of the configuration.
    """

    host: str
    user: str | None = None
    port: int | None = None


def parse_address(text: str) -> Address:
    """Read ``[user@]host[:port]``; an IPv6 address stands in brackets.

    Raises:
        QDeployError: it is none.
    """
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if not found or (port is not None and not 0 < port <= _PORTS):
        raise QDeployError(
            f"{text!r} is no address of a board; write user@host, user@host:port or "
            "user@[IPv6 address]:port"
        )
    return Address(found["literal"] or found["host"], found["user"], port)
