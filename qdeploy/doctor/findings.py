"""What a look at one thing yields, and how programs are asked for their version."""

import subprocess
from dataclasses import dataclass

__all__ = ["TOOL_SECONDS", "Finding", "first_line"]

TOOL_SECONDS = 20
"""A tool that does not tell its version by then is taken for broken."""


@dataclass(frozen=True)
class Finding:
    """One thing that qdeploy uses.

    Attributes:
        name: what was looked for.
        found: whether it is there and works.
        version: version or extent when found; what went wrong when it is there but fails.
        adds: what it is for.
        get: how to get it.
        required: whether qdeploy cannot do without it.
    """

    name: str
    found: bool
    version: str | None
    adds: str
    get: str
    required: bool


def first_line(command: list[str]) -> str | None:
    """The first line that a command prints, or None when it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None
