"""The report of a microcontroller: cards, one table, one plot, classes."""

import re
from xml.etree import ElementTree

import pytest

from qdeploy.benchmark import bench
from qdeploy.benchmark.report import CompileSummary, ReportSection, write_report
from qdeploy.benchmark.suites import SUITES


def section_of(artifact, report):
    return ReportSection(
        model=artifact.model,
        title="Tiny",
        history=(),
        scores={},
        benchmark=report,
        compiled=CompileSummary.of(artifact),
    )


@pytest.fixture(scope="module")
def section(firmware, mcu_report):
    return section_of(firmware, mcu_report)


@pytest.fixture(scope="module")
def shown(section):
    return SUITES["mcu"].present(section)


@pytest.fixture(scope="module")
def page(section, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write_report(path, [section]).read_text(encoding="utf-8")


def test_cards_are_tagged_and_say_what_matters(shown):
    cards = {card.label: card for card in shown.cards}
    assert list(cards) == [
        "test accuracy",
        "flash",
        "RAM",
        "stack",
        "instructions",
        "latency",
        "energy",
        "battery life",
    ]
    assert cards["energy"].tag == "estimated"
    assert cards["instructions"].tag == "emulated"
    assert "120 MHz" in cards["latency"].remark


def test_the_table_has_every_implementation_and_the_best_of_each_column(shown, mcu_report):
    (table,) = shown.tables
    assert [row[0] for row in table.rows] == list(mcu_report.titles)
    assert [row[2] for row in table.rows] == [True, False, False, False]
    headings = [name for name, _ in table.columns]
    assert headings[:3] == ["accuracy", "flash", "RAM"]
    for column in range(len(headings)):
        assert any(row[3][column].best for row in table.rows)
    cycles = headings.index("cycles")
    assert table.rows[0][3][cycles].remark == ""
    assert table.rows[1][3][cycles].remark.endswith("×")


def test_the_plot_comes_in_two_widths(shown):
    plot = shown.charts[0]
    assert plot.heading == "Accuracy against energy"
    assert plot.wide is not None
    for drawing in (plot.svg, plot.wide):
        texts = {element.text for element in ElementTree.fromstring(str(drawing)).iter("text")}
        assert {"qdeploy", "linear-int8", "tvm-default", "m2cgen-tree"} <= texts


def test_the_page_holds_it_all_and_loads_nothing(page, mcu_report):
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('<table class="compare">') == 1
    assert page.count('<tr class="own">') == 1
    assert "narrow-screen" in page
    assert len(re.findall(r"<svg", page)) == 2 + 3
    assert "STM32L4R5ZI" in page
    for figure in mcu_report.results:
        assert f">{figure.metric}<" in page


def test_without_power_accuracy_stands_against_cycles(tiny, tmp_path):
    from qdeploy.compiler import compile_model

    artifact = compile_model(tiny[0], "cortex-m3", tmp_path / "artifact")
    report = bench(artifact, dataset=tiny[1], peers=["linear-int8"])
    shown = SUITES["mcu"].present(section_of(artifact, report))
    assert shown.charts[0].heading == "Accuracy against cycles"
    assert "energy" not in {card.label for card in shown.cards}


def test_without_rows_there_is_no_plot(firmware):
    shown = SUITES["mcu"].present(section_of(firmware, bench(firmware, peers=[])))
    assert all(chart.wide is None for chart in shown.charts)
    assert "test accuracy" not in {card.label for card in shown.cards}
