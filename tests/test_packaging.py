"""The wheel holds all that an installed qdeploy needs, and importing it stays cheap."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import qdeploy

ROOT = Path(__file__).parents[1]
HEAVY = ("tvm", "cvxpy", "sklearn", "onnx", "onnxruntime", "matplotlib", "polars", "scipy")


def loaded_after(statement):
    code = f"{statement}\nimport sys\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_wheel_holds_targets_and_recipes(wheel):
    assert "qdeploy/_targets/cpu/cpu.toml" in wheel
    assert "qdeploy/_targets/mcu/nucleo-l4r5zi.toml" in wheel
    assert "qdeploy/_targets/mcu/cores/cortex-m4.toml" in wheel
    assert "qdeploy/_models/breast-cancer/recipe.toml" in wheel
    assert "qdeploy/_models/digits/recipe.toml" in wheel


def test_wheel_holds_every_source_file(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "qdeploy"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    present = [path for path in tracked if (ROOT / path).exists()]
    kinds = (".py", ".c", ".h", ".j2", ".html", ".css", ".typed")
    expected = present or [
        str(path.relative_to(ROOT)) for path in ROOT.glob("qdeploy/**/*") if path.suffix in kinds
    ]
    assert any(path.endswith(".c") for path in expected)
    assert [path for path in expected if path not in wheel] == []


def test_wheel_holds_every_file_of_the_targets(wheel):
    expected = [path for path in (ROOT / "targets").rglob("*") if path.is_file()]
    assert {path.suffix for path in expected} >= {".toml", ".c", ".ld"}
    packed = [f"qdeploy/_{path.relative_to(ROOT)}" for path in expected]
    assert [path for path in packed if path not in wheel] == []


def test_wheel_has_licence_and_no_tests(wheel):
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
    assert not any("test" in Path(name).name for name in wheel)


def test_import_is_lazy():
    assert loaded_after("import qdeploy") == []


def test_command_line_help_is_lazy():
    help_printed = "from qdeploy.cli.app import run\nassert run(['train', '--help']) == 0"
    assert loaded_after(help_printed) == []


@pytest.mark.parametrize("name", [name for name in qdeploy.__all__ if name != "__version__"])
def test_public_names_resolve(name):
    assert callable(getattr(qdeploy, name))


def test_unknown_names_are_refused():
    assert not hasattr(qdeploy, "transmogrify")
