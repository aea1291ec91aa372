"""Progress as a terminal and as a log see it."""

import io

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


def test_a_log_gets_a_line_a_stage(shown):
    lines = shown(is_terminal=False).splitlines()
    assert lines == [
        "solving the relaxation of the first output",
        "column generation  25 %  gap 25.00 %, neurons 12",
        "enumeration  50 %",
        "qdeploy: warning: in between",
    ]


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
