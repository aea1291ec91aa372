import dataclasses
import html
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from qdeploy.benchmark.report import CompileSummary, ReportSection, write_report
from qdeploy.benchmark.wording import quantity
from qdeploy.certificate import Certificate, OutputCertificate
from qdeploy.errors import QDeployError
from qdeploy.training.result import HistoryPoint


@pytest.fixture(scope="module")
def section(report, tiny, artifact):
    output = OutputCertificate(30.0, 29.9, 5, np.zeros(3, np.int32), None)
    certificate = Certificate("enumeration", "squared", 0.1, 0.7, 2**-5, 32, "0" * 64, (output,))
    history = [HistoryPoint(float(t), 30 + 20 / t, 29.9 - 9 / t, 3 * t) for t in range(1, 6)]
    return ReportSection(
        model=dataclasses.replace(tiny[0], certificate=certificate),
        title="A tiny <b>model</b> & its “proof”",
        history=history,
        scores={"train": 0.991, "test": 0.972},
        benchmark=report,
        compiled=CompileSummary.of(artifact),
    )


@pytest.fixture(scope="module")
def page(section, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    other = dataclasses.replace(section, title="Another", history=[])
    return write_report(path, [section, other]).read_text(encoding="utf-8")


class Loads(HTMLParser):
    """Collects what a browser would fetch, and what it would run."""

    def __init__(self):
        super().__init__()
        self.fetched, self.tags, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in {"src", "srcset", "data", "action", "poster", "background"}:
                self.fetched.append(value)
            if name.endswith("href") and not value.startswith("#"):
                self.fetched.append(value)
            assert not name.startswith("on"), "no script in attributes"


def test_nothing_is_fetched_and_nothing_runs(page):
    parser = Loads()
    parser.feed(page)
    assert parser.fetched == []
    assert not {"script", "iframe", "object", "embed", "link", "img"} & set(parser.tags)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_every_figure_is_there_with_its_tag(page, report):
    rows = re.findall(r"<tr><td>.*?</tr>", page, re.DOTALL)
    assert len(rows) == 2 * len(report.results)
    for row, figure in zip(rows, report.results, strict=False):
        assert f"<code>{figure.implementation}</code>" in row
        assert f">{figure.metric}<" in row
        assert html.escape(quantity(figure.value, figure.unit)) in row
        assert f'<span class="tag {figure.obtained}">{figure.obtained}</span>' in row
        assert html.escape(figure.note, quote=False) in html.unescape(row).replace(
            "&", "&amp;"
        ) or figure.note in html.unescape(row)


def test_every_card_has_a_tag(page):
    cards = re.findall(r'<div class="card">.*?</div>', page)
    assert len(cards) >= 10
    for card in cards:
        assert re.search(r'class="tag (measured|estimated|emulated|proven)"', card)


def test_text_is_escaped(page):
    assert "<b>model</b>" not in page
    assert "A tiny &lt;b&gt;model&lt;/b&gt; &amp; its" in page


def test_drawings_are_well_formed_and_take_the_pages_colours(page):
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 7 + 6, "no training curve without a history"
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert "var(--ink)" in drawing or "var(--muted)" in drawing
        assert not re.search(r"#0000\d\d|#0001\d\d", drawing), "stand-in colours are all replaced"
        assert "mathdefault" not in drawing


def test_references_inside_drawings_are_met(page):
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        wanted = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawing)
        for name in {first or second for first, second in wanted}:
            assert f'id="{name}"' in drawing


def test_the_proof_is_in_words(page):
    assert "by more than 0.34\u00a0%" in page
    assert "every sign pattern" in page


def test_bars_say_how_they_were_obtained(page):
    assert "· measured</text>" in page
    assert "· estimated</text>" in page


def test_nothing_is_overwritten_unasked(section, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(QDeployError, match="exists"):
        write_report(path, [section])
    assert path.read_text() == "mine"
    write_report(path, [section], overwrite=True)
    assert path.read_text().startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]
