"""The whole benchmark of a microcontroller on a small model."""

from collections import Counter

import pytest

from qdeploy.benchmark import Duty, bench
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.errors import QDeployError
from qdeploy.targets import load_target

BOARD = load_target("nucleo-l4r5zi")


def figure(report, metric, name="qdeploy"):
    (found,) = report.find(metric, implementation=name)
    return found


def test_every_named_peer_takes_part(mcu_report):
    assert set(mcu_report.titles) == {"qdeploy", "linear-int8", "tvm-default", "m2cgen-tree"}
    assert mcu_report.family == "mcu"
    assert mcu_report.target == "nucleo-l4r5zi"
    assert mcu_report.skipped == {}
    assert mcu_report.missing == {}


def test_each_figure_occurs_once_and_has_a_note(mcu_report):
    keys = Counter((f.implementation, f.metric) for f in mcu_report.results)
    assert max(keys.values()) == 1
    assert all(figure.note for figure in mcu_report.results)


@pytest.mark.parametrize("name", ["qdeploy", "linear-int8", "tvm-default", "m2cgen-tree"])
def test_figures_are_complete_and_tagged(mcu_report, name):
    own = [f for f in mcu_report.results if f.implementation == name]
    tags = {f.metric: f.obtained for f in own if not f.metric.startswith("instructions_")}
    assert tags == {
        "accuracy": "emulated",
        "flash": "measured",
        "flash_code": "measured",
        "flash_weights": "measured",
        "ram_static": "measured",
        "ram_buffers": "measured",
        "stack": "emulated",
        "ram": "emulated",
        "instructions": "emulated",
        "cycles": "estimated",
        "latency": "estimated",
        "energy": "estimated",
        "battery_life": "estimated",
    }


def test_classes_add_up(mcu_report):
    for name in mcu_report.titles:
        classes = [
            f.value
            for f in mcu_report.results
            if f.implementation == name and f.metric.startswith("instructions_")
        ]
        assert sum(classes) == pytest.approx(figure(mcu_report, "instructions", name).value)


def test_bytes_add_up(mcu_report, firmware):
    for name in mcu_report.titles:
        static, buffers, stack = (
            figure(mcu_report, metric, name).value
            for metric in ("ram_static", "ram_buffers", "stack")
        )
        assert figure(mcu_report, "ram", name).value == static + buffers + stack
    assert figure(mcu_report, "flash").value == firmware.flash_bytes


def test_energy_is_power_times_time_with_both_bands(mcu_report):
    power = BOARD.stated_power
    cycles, latency, energy = (
        figure(mcu_report, metric) for metric in ("cycles", "latency", "energy")
    )
    assert latency.value == pytest.approx(cycles.value / 120e6)
    assert energy.value == pytest.approx(power.typical * latency.value)
    assert energy.low == pytest.approx(power.low * latency.low)
    assert energy.high == pytest.approx(power.high * latency.high)
    assert "MLPerf Tiny" in energy.note


def test_the_model_that_made_the_labels_is_never_wrong(mcu_report):
    assert figure(mcu_report, "accuracy").value == 1.0
    assert figure(mcu_report, "accuracy", "tvm-default").value == 1.0


def test_ratios_belong_to_their_figures(mcu_report):
    for metric, batch in (("cycles", 1), ("instructions", 1), ("flash", None), ("ram", None)):
        ratios = {ratio.implementation: ratio for ratio in mcu_report.compare(metric, batch)}
        assert set(ratios) == set(mcu_report.titles) - {"qdeploy"}
        for name, ratio in ratios.items():
            own, other = figure(mcu_report, metric), figure(mcu_report, metric, name)
            assert ratio.ratio == pytest.approx(other.value / own.value)
            assert ratio.obtained == other.obtained
            assert ratio.low <= ratio.ratio <= ratio.high
            assert (ratio.low < ratio.high) == (metric == "cycles")


def test_the_interface_of_the_default_lowering_costs_more(mcu_report):
    assert figure(mcu_report, "instructions", "tvm-default").value > (
        2 * figure(mcu_report, "instructions").value
    )


def test_a_report_survives_the_way_through_its_file(mcu_report, tmp_path):
    assert BenchmarkReport.load(mcu_report.save(tmp_path / "benchmark.json")) == mcu_report


def test_a_battery_of_ones_own(firmware, tiny, mcu_report):
    report = bench(firmware, dataset=tiny[1], peers=[], duty=Duty(440, 1, 3.0))
    life = figure(report, "battery_life")
    assert life.value == pytest.approx(2 * figure(mcu_report, "battery_life").value)
    assert "440 mAh" in life.note


def test_a_rate_that_cannot_be_kept_has_no_battery_life(firmware, tiny):
    report = bench(firmware, dataset=tiny[1], peers=[], duty=Duty(rate=1e9))
    assert not report.find("battery_life")
    assert "it cannot give" in report.missing["battery life of qdeploy"]


def test_without_power_there_is_no_energy_and_a_reason(tiny):
    report = bench(tiny[0], target="cortex-m0plus", peers=[], optimize="size")
    assert not report.find("energy")
    assert not report.find("accuracy")
    assert figure(report, "cycles").value > 0
    assert "no power" in report.missing["energy and battery life"]


def test_peers_that_learn_sit_out_without_rows(firmware):
    with pytest.raises(QDeployError, match="linear-int8 cannot be benchmarked here"):
        bench(firmware, peers=["linear-int8"])


def test_an_unknown_peer_is_refused_with_those_that_exist(firmware):
    with pytest.raises(QDeployError, match="mlp-int8"):
        bench(firmware, peers=["onnxruntime"])


def test_an_artifact_is_measured_where_it_belongs(firmware, artifact):
    with pytest.raises(QDeployError, match="was compiled for target 'nucleo-l4r5zi', not for"):
        bench(firmware, target="cpu")
    with pytest.raises(QDeployError, match="a serial port means nothing for target 'cpu'"):
        bench(artifact, port="/dev/ttyACM0")


@pytest.mark.parametrize("number", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_batteries_are_refused(number):
    with pytest.raises(QDeployError, match="must be positive"):
        Duty(milliampere_hours=number)
