"""The whole benchmark of an ARM board on a small model, without a board."""

from collections import Counter

import pytest

from qdeploy.benchmark import HostAccess, bench
from qdeploy.benchmark.kernel_counts import random_model
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.errors import QDeployError
from qdeploy.targets import load_benchmark, load_target

BOARD = load_target("raspberry-pi-5")
BATCHES = load_benchmark(BOARD).batches
NAMES = ["qdeploy", "tvm-default", "plain-c", "linear-int8", "emlearn-trees-3"]


def figure(report, metric, name="qdeploy", batch=1):
    (found,) = (
        each for each in report.find(metric, implementation=name) if each.batch in (None, batch)
    )
    return found


def test_every_named_peer_takes_part(arm_report):
    assert list(arm_report.titles) == NAMES
    assert (arm_report.family, arm_report.target) == ("arm", "raspberry-pi-5")
    assert arm_report.skipped == {}
    assert arm_report.missing == {}


def test_each_figure_occurs_once_and_has_a_note(arm_report):
    keys = Counter((f.implementation, f.metric, f.batch) for f in arm_report.results)
    assert max(keys.values()) == 1
    assert all(figure.note for figure in arm_report.results)


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_complete_and_tagged(arm_report, name):
    own = [f for f in arm_report.results if f.implementation == name]
    tags = {f.metric: f.obtained for f in own if not f.metric.startswith("instructions_")}
    assert tags == {
        "accuracy": "emulated",
        "flash": "measured",
        "flash_code": "measured",
        "flash_weights": "measured",
        "ram_static": "measured",
        "stack": "emulated",
        "instructions": "emulated",
        "cycles": "estimated",
        "latency": "estimated",
        "throughput": "estimated",
        "energy": "estimated",
    }
    for metric in ("instructions", "cycles", "throughput", "energy"):
        assert [f.batch for f in own if f.metric == metric] == list(BATCHES)


def test_classes_add_up(arm_report):
    for name in NAMES:
        classes = [
            f.value
            for f in arm_report.results
            if f.implementation == name and f.metric.startswith("instructions_")
        ]
        assert sum(classes) == pytest.approx(figure(arm_report, "instructions", name).value)


def test_instructions_are_those_that_the_compiler_counted(arm_report, linux_artifact):
    counted = linux_artifact.manifest.counted.instructions
    assert figure(arm_report, "instructions").value == counted


@pytest.mark.parametrize("batch", BATCHES)
def test_time_energy_and_throughput_belong_together(arm_report, batch):
    power, hertz = BOARD.stated_power, BOARD.clock_megahertz * 1e6
    cycles, rate, energy = (
        figure(arm_report, metric, batch=batch) for metric in ("cycles", "throughput", "energy")
    )
    assert rate.value == pytest.approx(hertz / cycles.value)
    assert rate.low == pytest.approx(hertz / cycles.high)
    assert energy.value == pytest.approx(power.typical * cycles.value / hertz)
    assert energy.low == pytest.approx(power.low * cycles.low / hertz)
    assert energy.high == pytest.approx(power.high * cycles.high / hertz)
    assert "what it takes idle included" in energy.note
    if batch == 1:
        assert figure(arm_report, "latency").value == pytest.approx(cycles.value / hertz)


def test_the_model_that_made_the_labels_is_never_wrong(arm_report):
    for name in ("qdeploy", "tvm-default", "plain-c"):
        assert figure(arm_report, "accuracy", name).value == 1.0


def test_ratios_belong_to_their_figures(arm_report):
    for batch in BATCHES:
        ratios = {each.implementation: each for each in arm_report.compare("instructions", batch)}
        assert set(ratios) == set(NAMES) - {"qdeploy"}
        for name, ratio in ratios.items():
            own, other = (figure(arm_report, "instructions", n, batch) for n in ("qdeploy", name))
            assert ratio.ratio == pytest.approx(other.value / own.value)


@pytest.mark.parametrize("target", ["raspberry-pi-4", "raspberry-pi-5"])
def test_goals_against_the_default_lowering(target, monkeypatch):
    definition = load_benchmark(BOARD).model_copy(update={"batches": (1, 32), "counted_rows": 2})
    monkeypatch.setattr("qdeploy.benchmark.suites.arm.load_benchmark", lambda _: definition)
    report = bench(random_model(64, 64), target=target, peers=["tvm-default"])
    for batch in (1, 32):
        (ratio,) = report.compare("instructions", batch)
        assert ratio.ratio >= (10 if batch == 1 else 1.5)
    (cycles,) = report.compare("cycles", 32)
    assert cycles.ratio >= 1.5


def test_a_report_survives_the_way_through_its_file(arm_report, tmp_path):
    assert BenchmarkReport.load(arm_report.save(tmp_path / "benchmark.json")) == arm_report


def test_what_needs_a_board_sits_out_without_one(linux_artifact):
    with pytest.raises(QDeployError, match="onnxruntime cannot be benchmarked here: it runs on a"):
        bench(linux_artifact, peers=["onnxruntime"])
    report = bench(linux_artifact)
    assert "--host" in report.skipped["onnxruntime"]
    assert report.skipped["linear-int8"] == "needs training rows"
    assert not report.find("accuracy")
    assert set(report.titles) == {"qdeploy", "tvm-default", "plain-c"}


def test_without_power_there_is_no_energy_and_a_reason(tiny):
    report = bench(tiny[0], target="aarch64-generic", peers=[])
    assert not report.find("energy")
    assert figure(report, "cycles").value > 0
    assert "no power" in report.missing["estimates of energy"]


def test_batches_that_are_too_long_are_left_out_and_told(linux_artifact, monkeypatch):
    monkeypatch.setattr("qdeploy.benchmark.arm.execution.MOST_INSTRUCTIONS", 500)
    report = bench(linux_artifact, peers=[])
    assert 512 not in {f.batch for f in report.find("instructions")}
    assert "too many" in report.missing["instructions of qdeploy at batch 512"]


def test_boards_mean_nothing_elsewhere(artifact, firmware):
    for other in (artifact, firmware):
        with pytest.raises(QDeployError, match="a board that is reached by ssh means nothing"):
            bench(other, host=HostAccess("pi@10.0.0.7"))
        with pytest.raises(QDeployError, match="a board that TVM's RPC reaches means nothing"):
            bench(other, rpc="10.0.0.7:9090")


def test_a_board_is_reached_in_one_way(linux_artifact):
    with pytest.raises(QDeployError, match="name one of the two"):
        bench(linux_artifact, host=HostAccess("pi@10.0.0.7"), rpc="10.0.0.7:9090")


def test_a_board_that_is_not_there_is_told_first(linux_artifact):
    # Nobody listens on the discard port.
    with pytest.raises(QDeployError, match="no ssh server answers"):
        bench(linux_artifact, host=HostAccess("nobody@127.0.0.1:9"))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_impossible_times(linux_artifact, seconds):
    with pytest.raises(QDeployError, match="must be positive"):
        bench(linux_artifact, seconds=seconds)
