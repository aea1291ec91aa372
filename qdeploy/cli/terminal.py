"""Where a command's words go: results to standard output, everything else to standard error."""

import json
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from qdeploy.cli.figures import jsonable, percent_gap
from qdeploy.progress import Progress as ProgressCallable
from qdeploy.progress import ProgressEvent, silent

__all__ = ["Terminal", "flat", "own_warnings", "pairs", "say"]

_PLAIN_WIDTH = 120
_LINE_SECONDS = 30.0
"""Between two lines of progress in a log, and before the first."""

_messages = Console(stderr=True, highlight=False)


def say(kind: str, sentence: str) -> None:
    """One line on standard error: ``qdeploy: error: …``, on a terminal with the kind in colour."""
    line = Text("qdeploy: ")
    line.append(f"{kind}: ", style={"error": "bold red", "warning": "yellow"}.get(kind, ""))
    line.append(" ".join(sentence.split()))
    _messages.print(line, soft_wrap=not _messages.is_terminal)


def pairs(*rows: tuple[str, str]) -> Table:
    """A table of names and values, without rules."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, Text(text))
    return table


def flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as lines of dotted key and text; empty ones are left out."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            if value:
                lines.append((prefix + key, ", ".join(map(str, value))))
        elif value is not None and value != "":
            lines.append((prefix + key, str(value)))
    return lines


@contextmanager
def own_warnings() -> Iterator[None]:
    """Print qdeploy's own warnings as one line each; those of other packages are not shown."""

    def show(
        message: Warning | str, category: type[Warning], *_place: object, **_more: object
    ) -> None:
        if category.__module__.partition(".")[0] == "qdeploy":
            say("warning", str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


class Terminal:
    """What one command prints.

    Args:
        json_output: print one JSON object instead of text.
        quiet: no progress and no notes.
    """

    def __init__(self, *, json_output: bool, quiet: bool) -> None:
        self._json = json_output
        self._quiet = quiet

    def result(self, values: Mapping[str, Any], *lines: RenderableType) -> None:
        """The command's result: `values` as the JSON object, or `lines` for people."""
        if self._json:
            print(json.dumps(jsonable(values), ensure_ascii=False))
            return
        console = Console(highlight=False, markup=False, emoji=False)
        if console.is_terminal:
            console.print(*lines, sep="\n")
            return
        plain = Console(highlight=False, markup=False, emoji=False, width=_PLAIN_WIDTH)
        with plain.capture() as captured:
            plain.print(*lines, sep="\n")
        # Tables are padded to their width; a file or a pipe has no use for that.
        print("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def note(self, sentence: str) -> None:
        """A remark that is not the result, on standard error."""
        if not self._quiet:
            _messages.print(Text(sentence), soft_wrap=not _messages.is_terminal)

    @contextmanager
    def progress(self) -> Iterator[ProgressCallable]:
        """A progress callable: a bar on a terminal, else a line now and then."""
        if self._quiet:
            yield silent
        elif _messages.is_terminal:
            with _Bar() as bar:
                yield bar
        else:
            with _Lines() as lines:
                yield lines


class _Bar:
    """The stage at hand as one live line: name, bar, share, time gone and left, figures."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[share]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            # Only the figures give way when the terminal is narrow.
            TextColumn(
                "{task.fields[detail]}",
                markup=False,
                style="dim",
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=_messages,
            transient=True,
            expand=True,
        )
        self._stage: str | None = None
        self._task = self._progress.add_task("", total=None, visible=False, share="", detail="")

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: ProgressEvent) -> None:
        with self._lock:
            if event.stage != self._stage:
                self._stage = event.stage
                self._progress.reset(self._task, total=event.total)
            self._progress.update(
                self._task,
                description=_clipped(event.stage, 30),
                completed=event.completed,
                total=event.total,
                visible=True,
                share=_share(event),
                detail=_detail(event),
            )


class _Lines:
    """What a log gets: now and then the stage at hand, its figures, and the time gone and left.

    The lines come from another thread, so that they also come while nothing is told.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._over = Event()
        self._thread = Thread(target=self._tell, daemon=True)
        self._began = self._stage_began = time.monotonic()
        self._event: ProgressEvent | None = None

    def __enter__(self) -> "_Lines":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def __call__(self, event: ProgressEvent) -> None:
        with self._lock:
            if self._event is None or event.stage != self._event.stage:
                self._stage_began = time.monotonic()
            self._event = event

    def _tell(self) -> None:
        while not self._over.wait(_LINE_SECONDS):
            now = time.monotonic()
            with self._lock:
                event, gone, of_stage = self._event, now - self._began, now - self._stage_began
            if event is not None:
                _messages.print(Text(_line(event, gone, of_stage)), soft_wrap=True)


def _line(event: ProgressEvent, gone: float, of_stage: float) -> str:
    """A line of a log.

    Args:
        event: the latest one.
        gone: seconds since the command began.
        of_stage: seconds since the stage began, from which the time left is extrapolated.
    """
    left = ""
    if event.total and 0 < event.completed < event.total:
        seconds = of_stage * (event.total - event.completed) / event.completed
        left = f"about {_clock(seconds)} left"
    parts = (_clock(gone), event.stage, _share(event), left, _detail(event))
    return "  ".join(part for part in parts if part)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _share(event: ProgressEvent) -> str:
    if not event.total or not event.completed:
        return ""
    return f"{100 * min(event.completed / event.total, 1):.0f} %"


def _detail(event: ProgressEvent) -> str:
    def shown(name: str, value: float | str) -> str:
        if name == "gap" and isinstance(value, float):
            return percent_gap(value)
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name} {shown(name, value)}" for name, value in event.detail.items())


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
