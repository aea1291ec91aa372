import importlib
import stat
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from qdeploy.doctor import Finding, boards, diagnose, libraries, machine, tools
from qdeploy.errors import QDeployError

ROOT = Path(__file__).parents[2]


def named(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture(scope="module")
def findings() -> tuple[Finding, ...]:
    return diagnose()


def test_what_is_required_is_here_and_comes_first(findings: tuple[Finding, ...]) -> None:
    required = [finding.required for finding in findings]
    assert required == sorted(required, reverse=True)
    assert [finding.name for finding in findings if finding.required and not finding.found] == []
    assert len(named(findings)) == len(findings)


def test_every_finding_tells_what_it_adds_and_how_to_get_it(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        assert finding.adds
        assert finding.get
        assert finding.version or not finding.found


def test_llvm_and_optional_tools_are_covered(findings: tuple[Finding, ...]) -> None:
    known = named(findings)
    assert "x86_64" in (known["LLVM in TVM"].version or "")
    optional = {"valgrind", "qemu-system-arm", "qemu-system-riscv32", "qemu-aarch64"}
    optional |= {"arm-none-eabi-gcc", "aarch64-linux-gnu-gcc", "connected boards"}
    optional |= {*libraries.EXTRAS}
    assert optional | {"energy counter", "cores and memory", "linear algebra"} <= set(known)
    assert not any(known[name].required for name in optional)


def test_libraries_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {line.split(">")[0].split("<")[0].split("=")[0] for line in project["dependencies"]}
    assert set(libraries.LIBRARIES) == names


def test_a_missing_library_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(libraries.metadata, "version", version)
    finding = libraries.library("polars")
    assert (finding.found, finding.version, finding.required) == (False, None, True)
    assert "pip install" in finding.get
    finding = libraries.library("pyocd")
    assert (finding.found, finding.required) == (False, False)


@pytest.mark.parametrize("fault", [ImportError("no libgomp.so"), OSError("x"), RuntimeError("y")])
def test_a_library_that_does_not_load_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def load(name: str) -> None:
        raise fault

    monkeypatch.setattr(importlib, "import_module", load)
    finding = libraries.library("polars")
    assert not finding.found
    assert f"cannot be loaded: {fault}" in (finding.version or "")


def test_an_old_library_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries.metadata, "version", lambda name: "0.9.0")
    monkeypatch.setattr(libraries, "requirement", lambda name: f"{name}>=1.30")
    finding = libraries.library("polars")
    assert not finding.found
    assert finding.version == "0.9.0, older than 1.30"


def test_no_compiler_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[str, ...]:
        raise QDeployError("no C compiler was found")

    monkeypatch.setattr("qdeploy.native.compiler_command", none)
    finding = machine.compiler()
    assert (finding.found, finding.version) == (False, "no C compiler was found")


def test_energy_counters(tmp_path: Path) -> None:
    assert machine.energy_counter(tmp_path).found is False
    assert machine.energy_counter(tmp_path).version is None
    for number, text in enumerate(("12345\n", "not a number")):
        folder = tmp_path / f"intel-rapl:{number}"
        folder.mkdir()
        (folder / "energy_uj").write_text(text)
    finding = machine.energy_counter(tmp_path)
    assert finding.found
    assert finding.version == "RAPL, 1 of 2 counters readable"
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("")
    finding = machine.energy_counter(tmp_path)
    assert not finding.found
    assert "chmod a+r" in finding.get


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    assert machine.cache(tmp_path / "cache").found
    blocked = tmp_path / "file"
    blocked.write_text("")
    finding = machine.cache(blocked / "cache")
    assert not finding.found
    assert finding.required


@pytest.mark.parametrize(
    ("script", "version"), [("echo tool 1.2; echo more", "tool 1.2"), ("exit 3", None)]
)
def test_tools_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, version: str | None
) -> None:
    tool = tmp_path / "valgrind"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    finding = tools.tool(tools.TOOLS[0])
    assert (finding.found, finding.version) == (version is not None, version)


def test_a_tool_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = tools.tool(tools.TOOLS[0])
    assert not finding.found
    assert not finding.required


def test_progress_is_told() -> None:
    told = []
    diagnose(progress=told.append)
    assert told[0].stage == "looking for Python"
    assert told[-1].completed == len(told) - 1


class Port:
    """What pyserial tells of a port."""

    def __init__(self, device: str, product: str | None, vid: int | None) -> None:
        self.device, self.product, self.description = device, product, "n/a"
        self.vid, self.pid = vid, 0x374B

    def __lt__(self, other: "Port") -> bool:
        return self.device < other.device


def test_connected_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [
        Port("/dev/ttyACM1", "STM32 STLink", 0x0483),
        Port("/dev/ttyACM0", None, 0x1366),
        Port("/dev/ttyS0", None, None),
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    finding = boards.boards()
    assert finding.found
    assert not finding.required
    assert finding.version == (
        "/dev/ttyACM0 (n/a, 1366:374b); /dev/ttyACM1 (STM32 STLink, 0483:374b)"
    )
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports[2:])
    assert not boards.boards().found


def test_extras_are_not_requirements() -> None:
    assert not set(libraries.EXTRAS) & set(libraries.LIBRARIES)
