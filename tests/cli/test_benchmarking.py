"""``bench`` on microcontrollers and ARM boards, and ``kernels``, as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest

from qdeploy import onnx
from qdeploy.benchmark import HostAccess, Metering
from qdeploy.benchmark.wording import span
from qdeploy.cli.app import run
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model file with random signs."""
    generator = np.random.default_rng(0)
    signs = generator.choice(np.array([-1, 1], dtype=np.int8), (2, 3, 5))
    none = np.zeros(3, dtype=np.int32)
    network = QuantizedNetwork(
        [
            QuadraticLayer(signs[0], signs[1], none, none),
            ReadoutLayer(np.array([[3], [-2], [5]], dtype=np.int32), np.array([7])),
        ]
    )
    features = generator.normal(size=(30, 5))
    quantizer = InputQuantizer.fit(features, tuple("abcde"))
    made = Model("tiny", network, 1e-3, Classes(("no", "yes")), quantizer)
    return onnx.save(made, tmp_path_factory.mktemp("model") / "tiny.onnx")


def json_of(capsys, words):
    capsys.readouterr()
    assert run([*words, "--json", "-q"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def test_bench_on_a_microcontroller(model, tmp_path, capsys):
    folder = tmp_path / "bench"
    words = ["bench", str(model), "--target", "nucleo-l4r5zi", "--peers", "tvm-default"]
    options = ["--battery-mah", "1000", "--rate", "10", "--optimize", "size", "-o", str(folder)]
    values = json_of(capsys, [*words, *options])
    assert values["family"] == "mcu"
    figures = {
        (f["implementation"], f["metric"]): f for f in values["results"] if f["metric"] != "cycles"
    }
    assert figures["qdeploy", "battery_life"]["obtained"] == "estimated"
    assert "1000 mAh" in figures["qdeploy", "battery_life"]["note"]
    assert ("tvm-default", "instructions") in figures
    assert {"benchmark.json", "report.html", "artifact"} <= {p.name for p in folder.iterdir()}
    # The artifact knows its own target.
    again = json_of(capsys, ["bench", str(folder / "artifact"), "--peers", "tvm-default"])
    assert again["target"] == "nucleo-l4r5zi"


def test_the_table_says_how_figures_were_obtained(model, capsys):
    words = ["bench", str(model), "--target", "cortex-m0plus", "--peers", "tvm-default", "-q"]
    assert run(words) == 0
    printed = capsys.readouterr().out
    for word in ("emulated", "estimated", "measured", "flash", "stack", "cycles", "tvm-default"):
        assert word in printed
    assert "energy and battery life: left out, for no power of the busy board" in printed


def test_what_means_nothing_for_a_target_is_refused(model, capsys):
    assert run(["bench", str(model), "--port", "auto"]) == 1
    assert "a serial port means nothing for target 'cpu'" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["cpu", "nucleo-l4r5zi", "raspberry-pi-5"])
@pytest.mark.parametrize("written", [True, False])
def test_a_peer_that_does_not_exist_is_refused_before_anything_is_compiled(
    model, target, written, tmp_path, monkeypatch, capsys
):
    def compiled(*_, **__):
        raise AssertionError("the peers were to be looked at first")

    monkeypatch.setattr("qdeploy.compiler.compile_model", compiled)
    folder = tmp_path / "bench"
    words = ["bench", str(model), "--target", target, "--peers", "tvm-default,tvm-defualt"]
    assert run([*words, *(["-o", str(folder)] if written else [])]) == 1
    error = capsys.readouterr().err
    assert "peer 'tvm-defualt'; choose one of " in error
    assert "tvm-default" in error.split("choose one of")[1]
    assert not folder.exists()


METER = ("--meter", "ppk2")
WIRING = ("--meter-volts", "3.3", "--meter-supplies", "--meter-input", "5", "--meter-device", "M1")


def test_options_of_the_meter_reach_the_suite(model, monkeypatch, capsys):
    asked = []

    def stop(self, request):
        asked.append(request.metering)
        raise QDeployError("that is all")

    monkeypatch.setattr("qdeploy.benchmark.suites.mcu.McuSuite.measure", stop)
    words = ["bench", str(model), "--target", "nucleo-l4r5zi", "--port", "auto"]
    for options in ((*METER, *WIRING), (), ("--no-meter-supplies",), ("--meter-input", "0")):
        assert run([*words, *options]) == 1
    assert asked == [Metering("ppk2", 3.3, True, 5, "M1"), None, Metering(), Metering()]


@pytest.mark.parametrize(
    "options",
    [METER, WIRING[:2], WIRING[2:3], ("--no-meter-supplies",), WIRING[3:5], WIRING[5:]],
    ids=lambda options: options[0],
)
def test_options_of_the_meter_need_a_board(model, options, capsys):
    assert run(["bench", str(model), *options]) == 1
    assert "measures energy means nothing for target 'cpu'" in capsys.readouterr().err
    assert run(["bench", str(model), "--target", "nucleo-l4r5zi", *options]) == 1
    assert "means nothing without a board; name the serial port" in capsys.readouterr().err


def test_impossible_meters(model, capsys):
    words = ["bench", str(model), "--target", "nucleo-l4r5zi", "--port", "auto"]
    assert run([*words, "--meter", "ammeter"]) == 1
    assert "choose one of joulescope, otii, ppk2" in capsys.readouterr().err
    assert run([*words, "--meter-volts", "0"]) == 2
    assert "must be a number above 0" in capsys.readouterr().err
    assert run([*words, "--meter-input", "1.5"]) == 2
    assert "must be a whole number of at least 0" in capsys.readouterr().err


def test_impossible_batteries_are_wrong_usage(model, capsys):
    words = ["bench", str(model), "--target", "nucleo-l4r5zi", "--battery-mah", "-3"]
    assert run(words) == 2
    assert "must be a number above 0" in capsys.readouterr().err


def test_kernels(capsys):
    words = ["kernels", "--core", "cortex-m4", "--inputs", "16,24", "--neurons", "8"]
    values = json_of(capsys, [*words, "--optimize", "size"])
    assert [(each["inputs"], each["neurons"]) for each in values["counts"]] == [(16, 8), (24, 8)]
    for count in values["counts"]:
        assert count["met"] is True
        assert count["instructions"] > 0
    assert run([*words, "--optimize", "speed", "-q"]) == 0
    printed = capsys.readouterr().out
    assert "emulated" in printed
    assert "24" in printed


def test_wrong_sizes_are_wrong_usage(capsys):
    assert run(["kernels", "--inputs", "16,none"]) == 2
    assert "none" in capsys.readouterr().err


ARM = ("--target", "raspberry-pi-5", "--peers", "plain-c")


def test_bench_for_an_arm_board_without_one(model, tmp_path, capsys):
    folder = tmp_path / "bench"
    values = json_of(capsys, ["bench", str(model), *ARM, "-o", str(folder)])
    assert values["family"] == "arm"
    figures = {(f["implementation"], f["metric"], f["batch"]): f for f in values["results"]}
    assert figures["qdeploy", "instructions", 1]["obtained"] == "emulated"
    assert figures["plain-c", "throughput", 64]["obtained"] == "estimated"
    assert {"benchmark.json", "report.html", "artifact"} <= {p.name for p in folder.iterdir()}
    assert run(["bench", str(folder / "artifact"), "--peers", "plain-c", "-q"]) == 0
    printed = capsys.readouterr().out
    for word in ("emulated", "estimated", "measured", "plain-c", "the whole board"):
        assert word in printed
    # The band is that of the figure that is shown: of the best batch size.
    own = [f for key, f in figures.items() if key[:2] == ("qdeploy", "throughput")]
    best = max(own, key=lambda figure: figure["value"])
    whose = "qdeploy" if best["batch"] == 1 else f"qdeploy in batches of {best['batch']}"
    told = f"{span(best['low'], best['high'], 'samples/s')} for {whose} ("
    assert told in " ".join(printed.split())


def test_the_board_reaches_the_suite(model, monkeypatch, capsys):
    asked = []

    def stop(self, request):
        asked.append((request.host, request.rpc))
        raise QDeployError("that is all")

    monkeypatch.setattr("qdeploy.benchmark.suites.arm.ArmSuite.measure", stop)
    words = ["bench", str(model), *ARM]
    host = ["--host", "pi@10.0.0.7:2222"]
    for options in ([], host, [*host, "--identity", "key", "--accept-new-host-key"]):
        assert run([*words, *options]) == 1
    assert run([*words, "--rpc", "farm:9190/pi"]) == 1
    assert asked == [
        (None, None),
        (HostAccess("pi@10.0.0.7:2222"), None),
        (HostAccess("pi@10.0.0.7:2222", Path("key"), True), None),
        (None, "farm:9190/pi"),
    ]


def test_boards_that_mean_nothing(model, capsys):
    assert run(["bench", str(model), "--host", "pi@10.0.0.7"]) == 1
    assert "reached by ssh means nothing for target 'cpu'" in capsys.readouterr().err
    assert run(["bench", str(model), *ARM, "--port", "auto"]) == 1
    assert "a serial port means nothing for target 'raspberry-pi-5'" in capsys.readouterr().err
    assert run(["bench", str(model), *ARM, "--host", "pi@a", "--rpc", "b:1"]) == 1
    assert "name one of the two" in capsys.readouterr().err
    for address in ("pi@ten zero", ""):
        assert run(["bench", str(model), *ARM, "--host", address]) == 1
        assert "is no address of a board" in capsys.readouterr().err
    for option in (["--identity", "key"], ["--accept-new-host-key"]):
        assert run(["bench", str(model), *ARM, *option]) == 1
        assert "a key means nothing without a board" in capsys.readouterr().err
