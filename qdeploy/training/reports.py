"""What processes tell of their work while it lasts: a small file each, read by the one that waits.

On a cluster the files of other machines are not seen, and nothing is told of them until they end.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from qdeploy.files import write_text
from qdeploy.progress import ProgressEvent

__all__ = ["Report", "read_reports", "repeated"]

EVERY = 1.0
"""Seconds between two looks, and between two reports."""
PREFIX, SUFFIX = "report-", ".json"


@dataclass
class Report:
    """Progress into a file, for whoever reads it.

    Attributes:
        folder: where reports lie; where it is missing, nothing is told.
        number: of the work, from 0.
        told: when the last report was written, by the clock of `time.monotonic`.
    """

    folder: Path
    number: int
    told: float = -EVERY

    def __call__(self, event: ProgressEvent) -> None:
        """Write the event, if the last one is old enough."""
        now = time.monotonic()
        if now - self.told < EVERY or not self.folder.is_dir():
            return
        self.told = now
        figures = [event.stage, *(f"{name} {_text(value)}" for name, value in event.detail.items())]
        write_text(self._path, json.dumps(", ".join(figures)), overwrite=True)

    def end(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.folder / f"{PREFIX}{self.number}{SUFFIX}"


def read_reports(folder: Path) -> Mapping[int, str]:
    """The latest report of each work that is under way, by its number."""
    found = {}
    for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
        # Whoever ends removes its file.
        with suppress(FileNotFoundError):
            number = int(path.name.removeprefix(PREFIX).removesuffix(SUFFIX))
            found[number] = str(json.loads(path.read_text(encoding="utf-8")))
    return dict(sorted(found.items()))


@contextmanager
def repeated(action: Callable[[], None]) -> Iterator[None]:
    """Within this context another thread does this now and then."""
    over = Event()

    def repeat() -> None:
        while not over.wait(EVERY):
            action()

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _text(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
