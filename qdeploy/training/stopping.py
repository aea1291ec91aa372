"""A request to end (Ctrl-C, or SIGTERM as batch systems send it) that reaches every process.

The first one leaves a file that the work looks for at each of its steps, so that all processes end
with the best that they have; the second one ends the program.
"""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from qdeploy.progress import Progress, ProgressEvent, silent

__all__ = ["Stop", "stop_on_interruption"]


@dataclass(frozen=True)
class Stop:
    """The request, as any process of the machine sees it.

    Attributes:
        path: a file that is there once it was made.
        owner: process that handles the signals.
    """

    path: Path
    owner: int

    @property
    def requested(self) -> bool:
        """Whether it was made."""
        return self.path.exists()

    def request(self) -> None:
        """Make it."""
        self.path.touch()

    def leave_signals_to_owner(self) -> None:
        """In another process: Ctrl-C, which reaches every process of a terminal, is not for it."""
        if os.getpid() != self.owner and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def heeded(self, progress: Progress = silent) -> Progress:
        """Progress that raises KeyboardInterrupt, once, after the request was made."""
        return _Heeding(self, progress)


@dataclass
class _Heeding:
    stop: Stop
    progress: Progress
    heeded: bool = False

    def __call__(self, event: ProgressEvent) -> None:
        if not self.heeded and self.stop.requested:
            self.heeded = True
            raise KeyboardInterrupt
        self.progress(event)


@contextmanager
def stop_on_interruption() -> Iterator[Stop]:
    """Within this context the first SIGINT or SIGTERM makes the request, the second interrupts.

    Outside the main thread there are no handlers: the program around us decides.
    """
    with tempfile.TemporaryDirectory(prefix="qdeploy-") as folder:
        stop = Stop(Path(folder) / "stop", os.getpid())

        def handle(_number: int, _frame: FrameType | None) -> None:
            if stop.requested:
                raise KeyboardInterrupt
            stop.request()

        handled = []
        if threading.current_thread() is threading.main_thread():
            handled = [
                (number, before)
                for number in (signal.SIGINT, signal.SIGTERM)
                # What nobody handles ends the program, or is ignored, as it did before.
                if callable(before := signal.getsignal(number))
            ]
        for number, _ in handled:
            signal.signal(number, handle)
        try:
            yield stop
        finally:
            for number, before in handled:
                signal.signal(number, before)
