"""The measured path: on a simulated board, and in QEMU where it is installed."""

import shutil
import subprocess
import sys

import pytest

from qdeploy.benchmark import HostAccess, bench
from qdeploy.benchmark.suites import Request
from qdeploy.benchmark.suites.arm import _place
from qdeploy.errors import QDeployError
from qdeploy.remote import QemuPlace
from qdeploy.targets import load_benchmark, load_target

BOARD = load_target("raspberry-pi-5")
BATCHES = load_benchmark(BOARD).batches


@pytest.fixture
def measured(linux_artifact, monkeypatch):
    """Benchmarks the tiny model on a place."""

    def run(place, peers=("plain-c",), **options):
        monkeypatch.setattr(HostAccess, "open", lambda _: place)
        options = {"seconds": 1e-3, **options}
        return bench(linux_artifact, peers=list(peers), host=HostAccess("pi@simulated"), **options)

    return run


@pytest.fixture
def unbuilt(monkeypatch):
    """Programs of peers are not linked: the simulated board does not look into them."""
    built = []

    def build(core, objects, glue, output, toolchain):
        built.append(glue)
        output.write_bytes(b"")

    monkeypatch.setattr("qdeploy.benchmark.arm.board.build_bench", build)
    return built


@pytest.fixture
def few_batches(monkeypatch):
    """As few measurements as there can be."""
    definition = load_benchmark(BOARD).model_copy(update={"batches": (1, 8), "rounds": 6})
    monkeypatch.setattr("qdeploy.benchmark.suites.arm.load_benchmark", lambda _: definition)


def figure(report, metric, name="qdeploy", batch=1, obtained="measured"):
    (found,) = (
        each
        for each in report.find(metric, implementation=name)
        if each.batch in (None, batch) and each.obtained == obtained
    )
    return found


def test_times_on_a_board(measured, unbuilt, meanings, simulated_board):
    place = simulated_board(meanings)
    report = measured(place, ("plain-c", "tvm-default"))
    assert place.closed
    own = [figure(report, f"latency_{metric}") for metric in ("min", "median", "p95", "p99")]
    values = [each.value for each in own]
    assert values == sorted(values)
    assert values[0] == pytest.approx(1e-7)
    for batch in BATCHES:
        rate = figure(report, "throughput", batch=batch)
        assert rate.low <= rate.value <= rate.high <= 1e7 * (1 + 1e-9)
        assert figure(report, "throughput", batch=batch, obtained="estimated").value > 0
        (ratio,) = (c for c in report.compare(batch=batch) if c.implementation == "plain-c")
        assert ratio.ratio == pytest.approx(3, rel=0.05)
    assert figure(report, "resident").value == 512 * 1024
    # The artifact brings its own program; TVM's function needs one for each batch size.
    of_tvm = [(each.entry, each.kind, each.rows) for each in unbuilt if "tvm" in each.entry]
    assert of_tvm == [(f"tvm_default_{batch}", "rows", batch) for batch in BATCHES]
    assert {(each.entry, each.kind) for each in unbuilt} - {each[:2] for each in of_tvm} == {
        ("plain_c", "model")
    }


def test_the_board_is_described_before_and_after(measured, unbuilt, meanings, simulated_board):
    report = measured(simulated_board(meanings))
    assert report.machine["board"] == "pi@simulated"
    assert report.machine["model"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert report.machine["governor"] == report.machine["governor_after"] == "ondemand"
    assert report.machine["frequency_megahertz"] == 2400
    (warning,) = report.warnings
    assert "the governor was 'ondemand'" in warning


def test_throttling_is_noticed(measured, unbuilt, meanings, simulated_board):
    report = measured(simulated_board(meanings, throttled=("0x0", "0x40000")))
    assert any("slowed during it: throttled" in warning for warning in report.warnings)


def test_another_board_than_the_target_is_told(
    measured, unbuilt, meanings, simulated_board, monkeypatch
):
    files = {"/proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n"}
    monkeypatch.setattr(simulated_board, "read", lambda _, path: files.get(path))
    report = measured(simulated_board(meanings))
    assert any("cortex-a72" in each and "for cortex-a76" in each for each in report.warnings)


def test_energy_without_sensors_is_power_times_measured_time(
    measured, unbuilt, meanings, simulated_board
):
    report = measured(simulated_board(meanings))
    (energy,) = report.find("energy", implementation="qdeploy")
    latency = figure(report, "latency_median")
    assert energy.obtained == "estimated"
    assert energy.value == pytest.approx(BOARD.stated_power.typical * latency.value)
    assert energy.high == pytest.approx(BOARD.stated_power.high * latency.high)
    assert any("no power sensor was found" in note for note in report.notes)


def test_energy_by_a_sensor_is_gross_and_states_the_idle_power(
    measured, unbuilt, meanings, simulated_board
):
    place = simulated_board(meanings, watts=lambda t: 2.5 if t < 2 else 4.0)
    report = measured(place)
    energy, latency = figure(report, "energy"), figure(report, "latency_median")
    assert energy.value == pytest.approx(4.0 * latency.value)
    assert "idle power 2.5 W is not subtracted" in energy.note
    assert len(report.find("energy")) == 2


def test_other_bits_on_the_board_are_refused(measured, unbuilt, meanings, simulated_board):
    seconds, scores = meanings["plain_c"]
    wrong = meanings | {"plain_c": (seconds, lambda data: scores(data) + 1)}
    with pytest.raises(QDeployError, match="plain-c gives other scores on pi@simulated"):
        measured(simulated_board(wrong))


def test_onnxruntime_sits_out_where_the_board_lacks_it(
    measured, unbuilt, meanings, simulated_board
):
    with pytest.raises(QDeployError, match="python3 on pi@simulated has no onnxruntime; add it"):
        measured(simulated_board(meanings), ["onnxruntime"])


def test_onnxruntime_on_a_board_is_called_from_python(
    measured, unbuilt, meanings, simulated_board, few_batches
):
    class WithOnnxruntime(simulated_board):
        """A board whose Python has onnxruntime: this machine's, in truth."""

        def command(self, words, timeout=None):
            return "9.9\n" if words[0] == "python3" else super().command(words, timeout)

        def run(self, program, arguments=(), data=b"", timeout=None):
            if program.suffix != ".py":
                return super().run(program, arguments, data, timeout)
            words = [sys.executable, str(program), *arguments]
            return subprocess.run(words, input=data, capture_output=True, check=True).stdout

    report = measured(WithOnnxruntime(meanings), ["onnxruntime"])
    assert "9.9" in figure(report, "latency_python_median", "onnxruntime").note
    assert figure(report, "throughput", "onnxruntime", batch=8).value > 0
    assert not report.find("instructions", implementation="onnxruntime")
    ratios = report.compare("latency_python_median", batch=8)
    assert [ratio.implementation for ratio in ratios] == ["onnxruntime"]
    assert report.titles["onnxruntime"] == "onnxruntime, from Python"


class QemuBoard(QemuPlace):
    """Claims to be native, so that the times mean nothing and the bits everything."""

    native = True

    def command(self, words, timeout=None):
        return "" if words[0] == "sh" else super().command(words, timeout)


@pytest.mark.skipif(not shutil.which("qemu-aarch64"), reason="qemu-aarch64 is not installed")
def test_real_programs_give_their_bits(measured, few_batches):
    report = measured(QemuBoard(BOARD.compiled_core), ("plain-c", "tvm-default"))
    for name in ("qdeploy", "plain-c", "tvm-default"):
        assert figure(report, "latency_median", name).value > 0
        assert figure(report, "throughput", name, batch=8).value > 0
        assert figure(report, "resident", name).value > 0


def test_the_target_host_is_measured_here(tiny, monkeypatch):
    place = object()
    monkeypatch.setattr("qdeploy.remote.LocalPlace", lambda: place)
    host = load_target("host")
    assert _place(Request(tiny[0], host), host) is place
    assert _place(Request(tiny[0], BOARD), BOARD) is None
