"""Knowing of an interruption (Ctrl-C) that a step of training has already made the best of."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["noted_interruptions"]


@contextmanager
def noted_interruptions() -> Iterator[Callable[[], bool]]:
    """Within this context interruptions go their way; the function given tells of any so far.

    Outside the main thread there are no handlers, and it tells of none.
    """
    noted = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: noted
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal noted
        noted = True
        handler = before[signal.Signals(number)]
        assert callable(handler)
        handler(number, frame)

    # What nobody handles ends the program, or is ignored, as it did before.
    handled = [number for number, handler in before.items() if callable(handler)]
    for number in handled:
        signal.signal(number, note)
    try:
        yield lambda: noted
    finally:
        for number in handled:
            signal.signal(number, before[number])
