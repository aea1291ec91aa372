"""Which implementations take part: those that were named must, others sit out with a reason."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from qdeploy.errors import QDeployError
from qdeploy.progress import Progress, ProgressEvent

__all__ = ["take_part"]

Done = TypeVar("Done")


def take_part(
    names: Sequence[str],
    obstacle: Callable[[str], str | None],
    execute: Callable[[str], Done],
    insist: bool,
    progress: Progress,
) -> tuple[list[Done], dict[str, str]]:
    """Peers that can take part; and why others cannot.

    A peer that does not fit the target or fails its own check sits out, unless it was named.

    Args:
        names: of the peers, in order; qdeploy itself comes before them.
        obstacle: why one cannot take part, or None.
        execute: lets one run, by its name.
        insist: whether a peer that cannot take part is an error.
        progress: told about each peer.

    Raises:
        QDeployError: a peer cannot take part and should.
    """
    executions, skipped = [], {}
    for done, name in enumerate(names):
        progress(ProgressEvent(f"emulating {name}", done + 1, 1 + len(names)))
        reason = obstacle(name)
        if reason is None:
            try:
                executions.append(execute(name))
            except QDeployError as error:
                reason = str(error)
        if reason is not None:
            if insist:
                raise QDeployError(f"{name} cannot be benchmarked here: {reason}")
            skipped[name] = reason
    return executions, skipped
