import json

import pytest

from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.errors import QDeployError


def test_a_report_survives_the_way_through_its_file(report, tmp_path):
    path = report.save(tmp_path / "deep" / "benchmark.json")
    assert BenchmarkReport.load(path) == report
    assert list(path.parent.iterdir()) == [path]


def test_results_are_plain_json(report):
    stored = json.loads(report.to_json())
    assert {"results", "machine", "versions", "started", "finished"} <= set(stored)
    assert {figure["obtained"] for figure in stored["results"]} <= {
        "measured",
        "emulated",
        "estimated",
    }


def test_nothing_is_overwritten_unasked(report, tmp_path):
    path = tmp_path / "benchmark.json"
    path.write_text("mine")
    with pytest.raises(QDeployError, match="exists"):
        report.save(path)
    assert path.read_text() == "mine"
    report.save(path, overwrite=True)
    assert BenchmarkReport.load(path) == report


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"results": 3}', b"\xff\xfe", b'{"results": [{"value": 1}]}']
)
def test_other_files_are_refused_in_one_sentence(content, tmp_path):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(QDeployError, match="is not a benchmark report") as caught:
        BenchmarkReport.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(QDeployError, match=r"nowhere\.json"):
        BenchmarkReport.load(tmp_path / "nowhere.json")


def test_an_untagged_figure_does_not_load(report, tmp_path):
    stored = json.loads(report.to_json())
    del stored["results"][0]["obtained"]
    path = tmp_path / "untagged.json"
    path.write_text(json.dumps(stored))
    with pytest.raises(QDeployError, match="obtained"):
        BenchmarkReport.load(path)


def test_figures_are_found_by_metric_implementation_and_batch(report):
    (figure,) = report.find("throughput", implementation="qdeploy", batch=8)
    assert (figure.metric, figure.implementation, figure.batch) == ("throughput", "qdeploy", 8)
    assert report.find("throughput", implementation="nobody") == ()
