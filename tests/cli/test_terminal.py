"""Progress as a terminal and as a log see it."""

import io
import re
import time

import pytest
from rich.console import Console

from qdeploy.cli import terminal
from qdeploy.cli.terminal import Terminal, say
from qdeploy.progress import ProgressEvent

EVENTS = [
    ProgressEvent("solving the relaxation of the first output", 0),
    ProgressEvent("column generation", 1, 4, {"gap": 0.25, "neurons": 12}),
    ProgressEvent("column generation", 2, 4, {"gap": 0.01, "neurons": 14}),
    ProgressEvent("enumeration", 5, 10),
]


@pytest.fixture
def shown(monkeypatch):
    """Run the events under a console of the given kind; returns what was written."""

    def run(*, is_terminal, quiet=False):
        stream = io.StringIO()
        console = Console(
            file=stream, force_terminal=is_terminal, width=80, highlight=False, color_system=None
        )
        monkeypatch.setattr(terminal, "_messages", console)
        with Terminal(json_output=False, quiet=quiet).progress() as progress:
            for event in EVENTS:
                progress(event)
            say("warning", "in between")
        return stream.getvalue()

    return run


def test_a_short_run_leaves_nothing_in_a_log(shown):
    assert shown(is_terminal=False) == "qdeploy: warning: in between\n"


@pytest.mark.parametrize(
    ("event", "gone", "of_stage", "line"),
    [
        (EVENTS[0], 31.2, 31.2, "0:31  solving the relaxation of the first output"),
        (
            EVENTS[1],
            90,
            60,
            "1:30  column generation  25 %  about 3:00 left  gap 25.00 %, neurons 12",
        ),
        (EVENTS[3], 3725, 1800, "1:02:05  enumeration  50 %  about 30:00 left"),
        (ProgressEvent("proof", 4, 4), 40, 9, "0:40  proof  100 %"),
    ],
)
def test_a_line_of_a_log_has_time_stage_share_and_figures(event, gone, of_stage, line):
    assert terminal._line(event, gone, of_stage) == line


def test_a_log_gets_the_latest_event_now_and_then(monkeypatch):
    stream = io.StringIO()
    console = Console(file=stream, width=80, highlight=False)
    monkeypatch.setattr(terminal, "_messages", console)
    monkeypatch.setattr(terminal, "_LINE_SECONDS", 0.01)
    with Terminal(json_output=False, quiet=False).progress() as progress:
        for event in EVENTS[:3]:
            progress(event)
        for _ in range(1000):
            if stream.getvalue().count("\n") > 1:
                break
            time.sleep(0.02)
    lines = stream.getvalue().splitlines()
    assert len(lines) > 1
    line = r"\d:\d\d  column generation  50 %  about \d:\d\d left  gap 1.01 %, neurons 14"
    assert re.fullmatch(line, lines[-1])


def test_a_terminal_gets_a_bar_that_leaves_no_trace(shown):
    text = shown(is_terminal=True)
    assert "enumeration" in text
    assert "50 %" in text
    # The last thing written clears the line of the bar.
    assert text.rstrip().endswith("\x1b[2K")


def test_quiet_shows_no_progress(shown):
    assert shown(is_terminal=True, quiet=True) == "qdeploy: warning: in between\n"


def test_markup_in_names_is_not_interpreted(capsys):
    Terminal(json_output=False, quiet=False).result({}, "[bold]file[/bold].onnx :smile:")
    assert capsys.readouterr().out == "[bold]file[/bold].onnx :smile:\n"
