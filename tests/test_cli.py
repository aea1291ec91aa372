"""The command line from outside: results, JSON, errors, exit statuses, output files."""

import json
import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import typer

from qdeploy.cli.app import app, run
from qdeploy.data import DataWarning
from qdeploy.errors import QDeployError

COMMANDS = typer.main.get_command(app).commands
ONE_SENTENCE = "qdeploy: error: "


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A small table that a quadratic network separates."""
    random = np.random.default_rng(5)
    features = random.normal(size=(120, 4)).round(3)
    label = np.where(features[:, 0] * features[:, 1] > 0, "yes", "no")
    path = tmp_path_factory.mktemp("data") / "table.csv"
    rows = [",".join([*map(str, row), name]) for row, name in zip(features, label, strict=True)]
    path.write_text("\n".join(["a,b,c,d,answer", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def model(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    assert run(["train", str(table), "--label", "answer", "-o", str(path), "-q"]) == 0
    return path


@pytest.fixture(scope="module")
def artifact(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifact") / "small-cpu"
    assert run(["compile", str(model), "-o", str(folder), "-q"]) == 0
    return folder


def error_of(capsys, words, status):
    """The one line on standard error; nothing may be on standard output."""
    assert run(words) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if line.startswith("qdeploy: ")]
    assert len(lines) == 1
    assert lines[0].startswith(ONE_SENTENCE)
    assert "Traceback" not in printed.err
    return lines[0].removeprefix(ONE_SENTENCE)


def json_of(capsys, words, status=0):
    """The one object on standard output."""
    capsys.readouterr()
    assert run([*words, "--json"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0], parse_constant=pytest.fail)


class TestHelp:
    @pytest.mark.parametrize("name", [*COMMANDS, "targets list", "targets show"])
    def test_every_command_has_help_with_an_example(self, name, capsys):
        assert run([*name.split(), "--help"]) == 0
        assert f"Example:  qdeploy {name.split()[0]}" in capsys.readouterr().out

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_json(self, name):
        assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)

    def test_version(self, capsys):
        assert run(["--version"]) == 0
        assert capsys.readouterr().out.startswith("qdeploy 0.")

    def test_no_words_print_the_help(self, capsys):
        assert run([]) == 2
        assert "Usage: qdeploy" in capsys.readouterr().out


class TestUsage:
    @pytest.mark.parametrize(
        ("option", "value", "allowed"),
        [
            ("--gap", "-1", "from 0 up to but not including 1"),
            ("--gap", "1", "from 0 up to but not including 1"),
            ("--gap", "nan", "from 0 up to but not including 1"),
            ("--neurons", "0", "a whole number of at least 1"),
            ("--neurons", "2.5", "a whole number of at least 1"),
            ("--inputs", "0", "a whole number of at least 1"),
            ("--mode", "small", "compact"),
            ("--test-size", "1.5", "from 0 up to but not including 1"),
            ("--beta", "nan", "'auto' or a number above 0"),
            ("--beta", "0", "'auto' or a number above 0"),
            ("--beta", "inf", "'auto' or a number above 0"),
            ("--time-limit", "0", "a number above 0"),
            ("--seed", "-3", "a whole number from 0"),
            ("--task", "cluster", "classify"),
            ("--scaling", "none", "feature"),
        ],
    )
    def test_values_out_of_range(self, option, value, allowed, capsys):
        sentence = error_of(capsys, ["train", "x.csv", option, value], 2)
        assert option in sentence
        assert allowed in sentence
        assert value in sentence

    @pytest.mark.parametrize(
        "words", [["train"], ["fly"], ["train", "x", "--gapp", "1"], ["compile", "model.onnx"]]
    )
    def test_wrong_words(self, words, capsys):
        assert "--help" in error_of(capsys, words, 2)

    def test_with_json_an_error_is_one_object_too(self, capsys):
        assert "--gap" in json_of(capsys, ["train", "x.csv", "--gap", "7"], 2)["error"]


class TestErrors:
    @pytest.mark.parametrize("name", ["certify", "inspect", "export", "compile", "run", "bench"])
    def test_missing_model(self, name, tmp_path, capsys):
        rest = {
            "certify": ["sklearn:iris"],
            "export": ["-o", str(tmp_path / "x.onnx")],
            "compile": ["-o", str(tmp_path / "x")],
            "run": ["--data", "x.csv"],
        }
        words = [name, str(tmp_path / "absent.onnx"), *rest.get(name, [])]
        assert "absent.onnx" in error_of(capsys, words, 1)

    def test_missing_data(self, tmp_path, capsys):
        words = ["train", str(tmp_path / "absent.csv"), "--label", "y"]
        words += ["-o", str(tmp_path / "m.onnx")]
        assert "absent.csv" in error_of(capsys, words, 1)

    def test_existing_output_is_refused_before_data_are_read(self, tmp_path, capsys):
        output = tmp_path / "model.onnx"
        output.write_text("mine")
        sentence = error_of(capsys, ["train", "absent.csv", "-o", str(output)], 1)
        assert "exists already" in sentence
        assert output.read_text() == "mine"

    def test_output_below_a_file_is_refused(self, table, capsys):
        sentence = error_of(capsys, ["train", str(table), "-o", str(table / "m.onnx")], 1)
        assert "not a folder" in sentence

    def test_unwritable_folder_is_refused(self, table, tmp_path, capsys, monkeypatch):
        # The superuser may write everywhere, so the permission is taken away in the question.
        monkeypatch.setattr(os, "access", lambda *_: False)
        words = ["train", str(table), "-o", str(tmp_path / "m.onnx")]
        assert "no permission" in error_of(capsys, words, 1)

    def test_unknown_target(self, capsys):
        assert "'toaster'" in error_of(capsys, ["targets", "show", "toaster"], 1)

    @pytest.mark.parametrize(
        ("raised", "status", "expected"),
        [
            (QDeployError("two\nlines"), 1, "two lines"),
            (PermissionError(13, "Permission denied", "there"), 1, "there: Permission denied"),
            (MemoryError(), 1, "not enough memory"),
            (ZeroDivisionError("oops"), 70, "unexpected ZeroDivisionError: oops"),
            (KeyboardInterrupt(), 130, "interrupted"),
        ],
    )
    def test_what_escapes_becomes_one_sentence(self, raised, status, expected, capsys, monkeypatch):
        def fail(*args, **options):
            raise raised

        monkeypatch.setattr("qdeploy.targets.list_targets", fail)
        assert expected in error_of(capsys, ["targets"], status)

    def test_traceback_on_request(self, capsys, monkeypatch):
        monkeypatch.setattr("qdeploy.targets.list_targets", lambda: 1 / 0)
        monkeypatch.setenv("QDEPLOY_TRACEBACK", "1")
        assert run(["targets"]) == 70
        assert "Traceback" in capsys.readouterr().err

    def test_own_warnings_are_one_line_and_others_are_silent(self, capsys, monkeypatch):
        def warn():
            warnings.warn("column 'a' is\nconstant", DataWarning, stacklevel=1)
            warnings.warn("use something else", DeprecationWarning, stacklevel=1)
            return ()

        monkeypatch.setattr("qdeploy.targets.list_targets", warn)
        assert run(["targets"]) == 0
        assert capsys.readouterr().err == "qdeploy: warning: column 'a' is constant\n"


class TestTrain:
    def test_json_keys(self, table, tmp_path, capsys):
        output = tmp_path / "m.onnx"
        words = ["train", str(table), "--label", "answer", "-o", str(output), "--seed", "1"]
        values = json_of(capsys, words)
        assert values["model"] == str(output)
        assert values["bytes"] == output.stat().st_size
        assert values["bound"] <= values["objective"]
        exact = (values["objective"] - values["bound"]) / values["objective"]
        assert values["gap"] == pytest.approx(exact, abs=1e-12)
        assert values["method"] in ("enumeration", "sdp")
        assert values["neurons"] >= 1
        assert 0.5 < values["test_score"] <= 1
        assert 0.5 < values["train_score"] <= 1
        assert values["seconds"] > 0

    def test_summary_says_the_guessed_task_and_the_proof(self, table, tmp_path, capsys):
        words = ["train", str(table), "--label", "answer", "-o", str(tmp_path / "m.onnx")]
        assert run([*words, "--test-size", "0"]) == 0
        printed = capsys.readouterr()
        for word in ("classify", "proven bound", "gap", "neurons", "train accuracy"):
            assert word in printed.out
        assert "test accuracy" not in printed.out

    def test_a_budget_is_compact_and_says_what_is_not_proven(self, table, tmp_path, capsys):
        words = ["train", str(table), "--label", "answer", "-o", str(tmp_path / "m.onnx")]
        words += ["--neurons", "2", "--inputs", "2", "--scaling", "feature"]
        assert run(words) == 0
        printed = capsys.readouterr().out
        assert "not proven" in printed
        assert "on 2 inputs" in printed
        values = json_of(capsys, [*words, "--force"])
        assert values["mode"] == "compact"
        assert values["neurons"] <= 2
        assert values["inputs"] == 2
        assert run(["certify", str(tmp_path / "m.onnx"), str(table), "--label", "answer"]) == 0

    def test_quiet(self, table, tmp_path, capsys):
        words = ["train", str(table), "--label", "answer", "-o", str(tmp_path / "m.onnx"), "-q"]
        assert run(words) == 0
        assert capsys.readouterr().err == ""

    def test_force_replaces(self, table, tmp_path):
        output = tmp_path / "m.onnx"
        output.write_text("old")
        words = ["train", str(table), "--label", "answer", "-o", str(output), "--force"]
        assert run(words) == 0
        assert output.read_bytes()[:3] != b"old"

    def test_separate_test_data(self, table, tmp_path, capsys):
        words = ["train", str(table), "--label", "answer", "-o", str(tmp_path / "m.onnx")]
        values = json_of(capsys, [*words, "--test-data", str(table)])
        assert values["test_score"] == values["train_score"]

    def test_interrupt_leaves_no_file(self, table, tmp_path, monkeypatch, capsys):
        def interrupted(*args, **options):
            raise KeyboardInterrupt

        monkeypatch.setattr("qdeploy.recipes.train_recipe", interrupted)
        words = ["train", str(table), "--label", "answer", "-o", str(tmp_path / "m.onnx")]
        assert run(words) == 130
        assert list(tmp_path.iterdir()) == []


class TestCertify:
    def test_holds(self, model, table, capsys):
        values = json_of(capsys, ["certify", str(model), str(table)])
        assert values["holds"] is True
        assert values["bound"] <= values["objective"]
        assert set(values) >= {"holds", "objective", "bound", "gap", "method"}

    def test_other_data_do_not_hold(self, model, table, tmp_path, capsys):
        lines = table.read_text().splitlines()
        changed = tmp_path / "changed.csv"
        changed.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
        values = json_of(capsys, ["certify", str(model), str(changed)], status=1)
        assert values["holds"] is False
        assert "does not hold" in error_of_printed(capsys, ["certify", str(model), str(changed)])

    def test_the_loss_alone_is_held_against_the_penalty_that_was_paid(
        self, table, tmp_path, capsys
    ):
        """Under the size penalty Σ|α| alone bounds nothing: 3u, 3v and α/9 are the same neuron."""
        path = str(tmp_path / "sized.onnx")
        words = ["train", str(table), "--label", "answer", "-o", path]
        assert run([*words, "--weights", "2-bit", "--penalty", "size", "--beta", "0.1"]) == 0
        assert run(["certify", path, str(table)]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert "no network whose penalty is for no output larger" in printed
        assert "sum of |alpha|" not in printed.split("The certificate holds")[1]


def error_of_printed(capsys, words):
    assert run(words) == 1
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith(ONE_SENTENCE)
    ]
    return line


class TestModelFiles:
    def test_inspect(self, model, capsys):
        values = json_of(capsys, ["inspect", str(model)])
        assert values["layers"]
        assert run(["inspect", str(model)]) == 0
        assert "certificate" in capsys.readouterr().out.lower()

    def test_export_runs_in_onnxruntime(self, model, tmp_path, capsys):
        import onnxruntime

        output = tmp_path / "complete.onnx"
        words = ["export", str(model), "--front", "--tail", "-o", str(output)]
        assert json_of(capsys, words)["bytes"] == output.stat().st_size
        session = onnxruntime.InferenceSession(output)
        (features,) = session.get_inputs()
        results = session.run(None, {features.name: np.zeros((2, 4), np.float32)})
        assert any(value.tolist() in (["no"] * 2, ["yes"] * 2) for value in results)

    def test_export_in_another_form(self, model, tmp_path, capsys):
        from qdeploy import load

        output = tmp_path / "squares.onnx"
        words = ["export", str(model), "--form", "squares", "-o", str(output)]
        assert json_of(capsys, words)["form"] == "squares"
        squares, pairs = load(output), load(model)
        x = np.random.default_rng(0).integers(-128, 128, (50, pairs.network.inputs), np.int8)
        assert np.array_equal(squares.network.layers[0].left, squares.network.layers[0].right)
        assert np.array_equal(squares.network.forward(x), pairs.network.forward(x))
        assert squares.certificate is None


class TestDeploy:
    def test_compile_json(self, model, tmp_path, capsys):
        folder = tmp_path / "artifact"
        values = json_of(capsys, ["compile", str(model), "--target", "cpu", "-o", str(folder)])
        assert values["target"] == "cpu"
        assert values["verified"] > 0
        assert values["flash_bytes"] > 0
        assert values["ram_bytes"] >= 0
        assert values["form"]
        for key in ("artifact", "header", "library"):
            assert Path(values[key]).exists()

    def test_inspect_tells_what_an_artifact_is(self, model, artifact, capsys):
        values = json_of(capsys, ["inspect", str(artifact)])
        of_model = json_of(capsys, ["inspect", str(model)])
        compiled = values.pop("artifact")
        assert values["layers"] == of_model["layers"]
        assert values["certificate"] == of_model["certificate"]
        assert compiled["folder"] == str(artifact)
        assert (compiled["family"], compiled["target"]) == ("cpu", "cpu")
        assert compiled["verified"] > 0
        assert compiled["flash_bytes"] > 0
        assert run(["inspect", str(artifact)]) == 0
        printed = capsys.readouterr().out
        assert compiled["triple"] in printed
        assert f"tvm {compiled['versions']['tvm']}" in printed
        assert "certificate" in printed

    def test_compile_refuses_an_existing_folder(self, model, artifact, capsys):
        words = ["compile", str(model), "-o", str(artifact)]
        assert "exists" in error_of(capsys, words, 1)

    def test_run_agrees_between_artifact_and_model(self, model, artifact, table, capsys):
        by_file = json_of(capsys, ["run", str(model), "--data", str(table)])
        by_library = json_of(capsys, ["run", str(artifact), "--data", str(table)])
        assert by_file == by_library
        assert len(by_file["predictions"]) == len(by_file["scores"]) == 120
        assert set(by_file["predictions"]) == {"yes", "no"}

    def test_run_writes_csv_once(self, model, table, tmp_path, capsys):
        output = tmp_path / "predictions.csv"
        words = ["run", str(model), "--data", str(table), "-o", str(output)]
        assert run(words) == 0
        lines = output.read_text().splitlines()
        assert lines[0] == "prediction,score_yes"
        assert len(lines) == 121
        capsys.readouterr()
        assert "exists already" in error_of(capsys, words, 1)
        assert run([*words, "--force"]) == 0

    def test_run_prints_csv(self, model, table, capsys):
        assert run(["run", str(model), "--data", str(table), "-q"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 121


class TestBench:
    def test_json_and_files(self, model, table, tmp_path, capsys):
        folder = tmp_path / "bench"
        words = ["bench", str(model), "--data", str(table), "-o", str(folder)]
        words += ["--seconds", "0.02", "--peers", "onnxruntime,sklearn-linear"]
        values = json_of(capsys, words)
        keys = {"target", "implementation", "batch", "metric", "unit", "value", "low", "high"}
        for figure in values["results"]:
            assert set(figure) >= keys
            assert figure["obtained"] in ("measured", "emulated", "estimated")
        named = {figure["implementation"] for figure in values["results"]}
        assert named == {"qdeploy", "onnxruntime", "sklearn-linear"}
        assert "<html" in (folder / "report.html").read_text()
        capsys.readouterr()
        assert "exists already" in error_of(capsys, words, 1)

    def test_table_tags_every_figure(self, artifact, capsys):
        words = ["bench", str(artifact), "--seconds", "0.02", "--peers", "onnxruntime", "-q"]
        assert run(words) == 0
        printed = capsys.readouterr().out
        assert "measured" in printed
        assert "onnxruntime" in printed

    def test_unknown_peer(self, artifact, capsys):
        assert "abacus" in error_of(capsys, ["bench", str(artifact), "--peers", "abacus"], 1)


class TestDemo:
    @pytest.fixture
    def small_zoo(self, table, tmp_path, monkeypatch):
        """A zoo of one model that trains in a moment."""
        folder = tmp_path / "zoo" / "small"
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text(f'data = "{table}"\nlabel = "answer"\nbeta = 0.1\n')
        monkeypatch.setattr("qdeploy.demo.zoo", lambda: {"small": folder})
        monkeypatch.setattr("qdeploy.demo._BENCHMARK_SECONDS", 0.02)

    def test_one_model_end_to_end(self, small_zoo, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr("qdeploy.demo.DEMO_MODELS", ("small",))
        output = tmp_path / "report"
        assert run(["demo", "-o", str(output)]) == 0
        printed = capsys.readouterr().out
        for word in ("Small", "proven", "gap", "compiled", "onnxruntime", "report.html"):
            assert word in printed
        assert (output / "report.html").exists()
        assert (output / "small" / "small.onnx").exists()
        assert "exists already" in error_of(capsys, ["demo", "-o", str(output)], 1)

    def test_missing_recipe(self, small_zoo, tmp_path, capsys):
        words = ["demo", "-o", str(tmp_path / "report")]
        assert "breast-cancer" in error_of(capsys, words, 1)

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_the_whole_demo(self, tmp_path, capsys):
        values = json_of(capsys, ["demo", "-o", str(tmp_path / "report")])
        by_name = {model["name"]: model for model in values["models"]}
        assert by_name["breast-cancer"]["gap"] <= 0.015
        assert by_name["digits"]["test_score"] >= 0.97
        assert by_name["breast-cancer-mcu"]["target"] == "nucleo-l4r5zi"
        assert all(model["holds"] for model in by_name.values())


class TestMachine:
    def test_targets(self, capsys):
        names = [target["name"] for target in json_of(capsys, ["targets"])["targets"]]
        assert "cpu" in names
        assert json_of(capsys, ["targets", "list"])["targets"]
        assert json_of(capsys, ["targets", "show", "cpu"])["name"] == "cpu"

    def test_doctor(self, capsys):
        values = json_of(capsys, ["doctor"])
        assert values["healthy"] is True
        assert {finding["name"] for finding in values["findings"]} >= {"numpy", "C compiler"}
        assert all(finding["adds"] and finding["get"] for finding in values["findings"])

    def test_doctor_names_what_is_missing(self, capsys, monkeypatch):
        def absent():
            raise QDeployError("no C compiler was found")

        monkeypatch.setattr("qdeploy.native.compiler_command", absent)
        assert run(["doctor"]) == 1
        printed = capsys.readouterr().out
        assert "no C compiler was found" in printed
        assert "get it: " in printed


class TestProcess:
    def test_a_closed_pipe_is_quiet(self):
        command = f"{shlex.quote(sys.executable)} -m qdeploy --help | head -n 1 >/dev/null"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        assert done.stderr == ""

    def test_module_exit_status(self):
        done = subprocess.run(
            [sys.executable, "-m", "qdeploy", "fly"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stderr.startswith(ONE_SENTENCE)
        assert done.stdout == ""
