"""What parallel processes tell: written now and then, read while they work, gone at their end."""

from threading import Event

import numpy as np

from qdeploy.progress import ProgressEvent
from qdeploy.training import reports
from qdeploy.training.reports import Report, read_reports, repeated
from qdeploy.training.trainer import train

EVENT = ProgressEvent("column generation", 3.0, None, {"objective": "2.5", "gap": 0.25})


def test_reports_are_read_until_they_end(tmp_path):
    first, second = Report(tmp_path, 0), Report(tmp_path, 11)
    for report in (second, first):
        report(EVENT)
    text = "column generation, objective 2.5, gap 0.25"
    assert list(read_reports(tmp_path).items()) == [(0, text), (11, text)]
    first.end()
    assert list(read_reports(tmp_path)) == [11]


def test_a_report_is_written_now_and_then_only(tmp_path, monkeypatch):
    monkeypatch.setattr(reports, "EVERY", 1000.0)
    report = Report(tmp_path, 0, -np.inf)
    report(EVENT)
    report(ProgressEvent("later", 0))
    assert read_reports(tmp_path)[0].startswith("column generation")


def test_without_a_folder_nothing_is_told(tmp_path):
    report = Report(tmp_path / "elsewhere", 0)
    report(EVENT)
    report.end()
    assert not any(tmp_path.iterdir())


def test_repetition_ends_with_its_context(monkeypatch):
    monkeypatch.setattr(reports, "EVERY", 0.01)
    enough, count = Event(), 0

    def action():
        nonlocal count
        count += 1
        if count == 3:
            enough.set()

    with repeated(action):
        assert enough.wait(60)
    before = count
    assert not Event().wait(0.05)
    assert count == before


def test_training_tells_of_outputs_under_way(monkeypatch):
    """Every report is there for whoever waits, and none is left of an output that is done."""
    seen, told, original = [], [], Report.__call__
    monkeypatch.setattr(reports, "EVERY", 1e-6)

    def noted(report, event):
        original(report, event)
        seen.append((report.number, read_reports(report.folder)))

    monkeypatch.setattr(Report, "__call__", noted)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((60, 5))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    train(x, y, beta=0.5, scaling="tensor", jobs=1, progress=told.append)
    assert {number for number, _ in seen} == {0, 1, 2}
    assert all(list(found) == [number] for number, found in seen)
    assert any("column generation, objective" in found[number] for number, found in seen)
    last = [event for event in told if event.stage == "training the outputs"][-1]
    assert last.completed == last.total == 3
    assert set(last.detail) == {"objective", "gap so far"}
