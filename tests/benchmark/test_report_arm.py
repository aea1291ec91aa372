"""The report of an ARM board: cards, tables, one plot, throughput, classes."""

from xml.etree import ElementTree

import pytest

from qdeploy.benchmark import bench
from qdeploy.benchmark.figures import METRICS
from qdeploy.benchmark.report import CompileSummary, ReportSection, write_report
from qdeploy.benchmark.report.boards import GROUPS
from qdeploy.benchmark.suites import SUITES
from qdeploy.targets.pipeline import PIPELINE_CLASSES


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
def section(linux_artifact, arm_report):
    return section_of(linux_artifact, arm_report)


@pytest.fixture(scope="module")
def shown(section):
    return SUITES["arm"].present(section)


def test_cards_are_tagged_and_say_what_matters(shown):
    cards = {card.label: card for card in shown.cards}
    assert list(cards) == [
        "test accuracy",
        "library",
        "instructions",
        "latency",
        "samples a second",
        "energy",
        "tvm-default takes",
        "plain-c takes",
    ]
    assert cards["latency"].tag == cards["energy"].tag == "estimated"
    assert cards["instructions"].tag == "emulated"
    assert cards["plain-c takes"].remark == "the instructions, row by row"


def test_one_table_for_rows_and_one_for_batches(shown, arm_report):
    single, batches = shown.tables
    for table in (single, batches):
        assert [row[0] for row in table.rows] == list(arm_report.titles)
        for column in range(len(table.columns)):
            assert any(row[3][column].best for row in table.rows)
    assert batches.heading == "In batches of 512"
    headings = [name for name, _ in batches.columns]
    assert headings == ["instructions", "cycles", "samples a second", "energy"]
    (own,) = arm_report.find("instructions", implementation="qdeploy", batch=512)
    assert batches.rows[0][3][0].value == f"{own.value:.0f}"


def test_the_plot_comes_in_two_widths(shown, arm_report):
    plot = shown.charts[0]
    assert plot.heading == "Accuracy against energy"
    assert "(estimated)" in plot.caption
    for drawing in (plot.svg, plot.wide):
        texts = {element.text for element in ElementTree.fromstring(str(drawing)).iter("text")}
        assert set(arm_report.titles) <= texts


def test_every_class_is_drawn_once():
    drawn = [name for names in GROUPS.values() for name in names]
    assert sorted(drawn) == sorted(PIPELINE_CLASSES)
    assert all(f"instructions_{name}" in METRICS for name in drawn)


def test_the_page_holds_it_all_and_loads_nothing(section, arm_report, tmp_path):
    page = write_report(tmp_path / "report.html", [section]).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('<table class="compare">') == 2
    assert "BCM2712" in page
    for figure in arm_report.results:
        assert f">{figure.metric}<" in page


def test_warnings_stand_before_the_table(linux_artifact, arm_report, tmp_path):
    report = arm_report.model_copy(update={"warnings": ("the board was slowed",)})
    section = section_of(linux_artifact, report)
    page = write_report(tmp_path / "report.html", [section]).read_text(encoding="utf-8")
    assert page.index("the board was slowed") < page.index("<table")


def test_without_power_accuracy_stands_against_latency(tiny, tmp_path):
    from qdeploy.compiler import compile_model

    artifact = compile_model(tiny[0], "aarch64-generic", tmp_path / "artifact")
    report = bench(artifact, dataset=tiny[1], peers=["plain-c"])
    shown = SUITES["arm"].present(section_of(artifact, report))
    assert shown.charts[0].heading == "Accuracy against latency by the model"
    assert "energy" not in {card.label for card in shown.cards}
