from collections import Counter

import numpy as np
import pytest

from qdeploy.benchmark import METRICS, bench
from qdeploy.benchmark.peers import PEERS
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.errors import QDeployError

QUICK = 0.006


def test_every_peer_of_the_target_takes_part(report):
    assert set(report.titles) | set(report.skipped) >= {
        "qdeploy",
        "qdeploy-vm",
        "onnxruntime",
        "tvm-default",
        "sklearn-linear",
        "sklearn-rbf-svm",
        "sklearn-mlp",
    }
    assert {figure.implementation for figure in report.results} == set(report.titles)


def test_each_figure_occurs_once_and_has_a_note(report):
    keys = Counter((f.implementation, f.metric, f.batch) for f in report.results)
    assert max(keys.values()) == 1
    assert all(figure.note for figure in report.results)


def test_own_figures_are_complete(report):
    own = {figure.metric for figure in report.results if figure.implementation == "qdeploy"}
    assert own == {
        "latency_min",
        "latency_median",
        "latency_p95",
        "latency_p99",
        "latency_python_median",
        "latency_pipeline_median",
        "throughput",
        "energy",
        "flash_code",
        "flash_weights",
        "ram_scratch",
        "accuracy",
    }
    assert own < set(METRICS)


def test_samples_are_positive_and_quantiles_grow(report):
    for name in ("qdeploy", "onnxruntime", "tvm-default"):
        quantiles = [
            report.find(metric, implementation=name, batch=1)[0].value
            for metric in ("latency_min", "latency_median", "latency_p95", "latency_p99")
        ]
        assert quantiles[0] > 0
        assert quantiles == sorted(quantiles)


def test_the_model_that_made_the_labels_is_never_wrong(report):
    (accuracy,) = report.find("accuracy", implementation="qdeploy")
    assert accuracy.value == accuracy.high == 1.0
    assert accuracy.low < 1.0


def test_ratios_belong_to_their_figures(report):
    ratios = {ratio.implementation: ratio for ratio in report.compare()}
    assert set(ratios) == {f.implementation for f in report.find("latency_median")} - {"qdeploy"}
    (own,) = report.find("latency_median", implementation="qdeploy")
    (other,) = report.find("latency_median", implementation="onnxruntime")
    assert ratios["onnxruntime"].ratio == pytest.approx(other.value / own.value)
    assert all(ratio.low <= ratio.ratio <= ratio.high for ratio in ratios.values())


def test_machine_and_versions_are_described(report):
    assert report.machine["cpu"]
    assert report.machine["threads"] >= 1
    assert {"qdeploy", "python", "onnxruntime", "apache-tvm"} <= set(report.versions)
    assert report.started <= report.finished


def test_a_model_is_compiled_and_the_report_is_written(tiny, tmp_path):
    events = []
    report = bench(tiny[0], peers=[], seconds=QUICK, output=tmp_path, progress=events.append)
    assert set(report.titles) == {"qdeploy"}
    assert not report.find("accuracy")
    assert BenchmarkReport.load(tmp_path / "benchmark.json") == report
    assert events


def test_an_existing_report_stops_it_before_any_work(artifact, tmp_path):
    (tmp_path / "benchmark.json").write_text("mine")
    with pytest.raises(QDeployError, match="exists"):
        bench(artifact, output=tmp_path, seconds=QUICK)


def test_float_models_sit_out_without_rows(artifact):
    with pytest.raises(QDeployError, match="sklearn-mlp cannot be benchmarked here"):
        bench(artifact, peers=["sklearn-mlp"], seconds=QUICK)


def test_an_unknown_peer_is_refused_with_those_that_exist(artifact):
    with pytest.raises(QDeployError, match="tvm-default"):
        bench(artifact, peers=["tensorrt"], seconds=QUICK)


def test_wrong_bits_are_never_timed(artifact, monkeypatch):
    class Wrong(type(PEERS["qdeploy"])):
        def prepare(self, context):
            prepared = super().prepare(context)
            right = prepared.run
            prepared.run = lambda x: right(x) + (np.arange(len(x)) == 0)[:, None]
            return prepared

    monkeypatch.setitem(PEERS._entries, "qdeploy", Wrong())
    with pytest.raises(QDeployError, match="other scores than the model for 1 of 1 inputs"):
        bench(artifact, peers=[], seconds=QUICK)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_run_without_time_is_refused(artifact, seconds):
    with pytest.raises(QDeployError, match="seconds"):
        bench(artifact, peers=[], seconds=seconds)
