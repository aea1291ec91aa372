"""64-bit ARM targets: their cores against LLVM, zig and QEMU, their power, and this machine's."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.errors import QDeployError
from qdeploy.targets import (
    ArmBenchmark,
    ArmCore,
    ArmTarget,
    arm_cores,
    core_of_parts,
    host_core,
    list_arm_cores,
    list_targets,
    load_arm_core,
    load_benchmark,
    load_target,
    power_of,
)

BOARDS = {
    "raspberry-pi-3": "cortex-a53",
    "raspberry-pi-4": "cortex-a72",
    "raspberry-pi-5": "cortex-a76",
    "jetson-orin-nano": "cortex-a78ae",
    "neoverse-n1": "neoverse-n1",
    "neoverse-v1": "neoverse-v1",
}
OTHERS = {"aarch64-generic": "generic", "host": "native"}
EXTENSIONS = {
    "cortex-a53": (),
    "cortex-a72": (),
    "cortex-a76": ("dotprod",),
    "cortex-a78ae": ("dotprod",),
    "generic": (),
    "neoverse-n1": ("dotprod",),
    "neoverse-v1": ("dotprod", "i8mm"),
}
TARGETS = [target for target in list_targets() if isinstance(target, ArmTarget)]
cores = pytest.mark.parametrize(
    "core", [*map(load_arm_core, list_arm_cores())], ids=list_arm_cores()
)

HEAD = """\
name = "board"
family = "arm"
description = "A board."
core = "cortex-a72"
clock_megahertz = 1500
processors = 4
"""
IDLE = '[idle_power]\nlow = 1\ntypical = 2\nhigh = 3\nkind = "measured"\nsource = "a meter"\n'
LOADED = '[loaded_power]\nlow = 5\ntypical = 6\nhigh = 8\nkind = "measured"\nsource = "a plug"\n'
WHOLE = HEAD + IDLE + LOADED


def arm(name: str | Path) -> ArmTarget:
    target = load_target(name)
    assert isinstance(target, ArmTarget)
    return target


def write(folder: Path, text: str) -> Path:
    path = folder / "board.toml"
    path.write_text(text)
    return path


def cpuinfo(*parts: int, features: str = "fp asimd", implementer: int = 0x41) -> str:
    """What Linux tells of processors with these parts."""
    return "\n".join(
        f"processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\n"
        f"CPU implementer\t: {implementer:#x}\nCPU architecture: 8\nCPU variant\t: 0x4\n"
        f"CPU part\t: {part:#x}\nCPU revision\t: 1\n"
        for number, part in enumerate(parts)
    )


def test_every_target_and_core_is_there() -> None:
    assert {target.name: target.core for target in TARGETS} == BOARDS | OTHERS
    assert {name: load_arm_core(name).extensions for name in list_arm_cores()} == EXTENSIONS


@cores
def test_llvm_has_the_core_and_exactly_its_extensions(core: ArmCore) -> None:
    tvm = pytest.importorskip("tvm")
    assert tvm.target.codegen.llvm_is_valid_cpu(core.cpu, core.triple)
    description = {"kind": "llvm", "mtriple": core.triple, "mcpu": core.cpu}
    target = tvm.target.Target(description | {"mattr": list(core.features)})
    known = {str(name) for name in tvm.target.codegen.llvm_get_cpu_features(target)}
    assert {name[1:] for name in core.features if name[0] == "+"} <= known
    assert known & {"dotprod", "i8mm"} == set(core.extensions)
    assert "neon" in known
    assert not known & {"sve", "sve2", "sme"}  # neither the kernels nor the emulator know them


@cores
def test_qemu_has_the_core(core: ArmCore) -> None:
    qemu = shutil.which("qemu-aarch64")
    if qemu is None:
        pytest.skip("qemu-aarch64 is not there")
    done = subprocess.run([qemu, "-cpu", "help"], capture_output=True, text=True)
    assert core.qemu_cpu in done.stdout.split()


@cores
def test_cores_are_known_by_their_parts(core: ArmCore) -> None:
    for part in core.parts:
        assert core_of_parts(cpuinfo(part.part, implementer=part.implementer)) == core.name
    assert bool(core.parts) == (core.name != "generic")
    assert core.first_level_kibibytes <= core.second_level_kibibytes


def test_the_commonest_known_core_counts() -> None:
    assert core_of_parts(cpuinfo(0xD05, 0xD05, 0xD0B)) == "cortex-a76"
    assert core_of_parts(cpuinfo(0xD03, 0xD08, 0xD08)) == "cortex-a72"
    assert core_of_parts(cpuinfo(0xD08, implementer=0x51)) is None
    assert core_of_parts(cpuinfo(0x123)) is None
    assert core_of_parts("processor : 0\nvendor_id : GenuineIntel\n") is None


@given(text=st.text(alphabet="CPU implementer:part\t\n x0d8Features"))
def test_no_text_of_a_kernel_fails(text: str) -> None:
    assert core_of_parts(text) in (None, *list_arm_cores())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes this machine look like a 64-bit ARM whose kernel tells a text."""

    def become(text: str) -> None:
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(arm_cores, "_CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.setattr("platform.machine", lambda: "aarch64")

    return become


def test_the_host_is_its_core(machine) -> None:
    machine(cpuinfo(*[0xD0B] * 4, features="fp asimd aes asimddp"))
    assert host_core() == load_arm_core("cortex-a76")
    assert arm("host").compiled_core.name == "cortex-a76"
    assert "cortex-a76" in dict(arm("host").facts())["core"]


def test_what_a_hypervisor_hides_is_not_used(machine) -> None:
    machine(cpuinfo(0xD40, features="fp asimd asimddp"))
    core = host_core()
    assert (core.name, core.extensions) == ("neoverse-v1", ("dotprod",))
    assert core.features == ("-sve", "+dotprod", "-i8mm")
    assert core.zig_cpu == "neoverse_v1-sve+dotprod-i8mm"
    assert core.gcc == ("-mcpu=neoverse-v1+nosve+dotprod+noi8mm",)


def test_a_core_without_a_file_is_generic_with_its_extensions(machine) -> None:
    machine(cpuinfo(0xD4F, features="fp asimd asimddp i8mm sve"))
    core = host_core()
    assert (core.name, core.extensions, core.qemu_cpu) == ("generic", ("dotprod", "i8mm"), "max")
    machine(cpuinfo(0xD05, features="fp asimd") + "\n" + cpuinfo(0xD0B, features="fp asimddp"))
    assert host_core().extensions == ()


@pytest.mark.parametrize("features", ["fp", "fp asimddp", "fp asimddp i8mm"])
@pytest.mark.parametrize("part", [0xD03, 0xD0B, 0xD40, 0xD4F])
def test_llvm_agrees_with_what_the_kernel_tells(machine, part: int, features: str) -> None:
    tvm = pytest.importorskip("tvm")
    machine(cpuinfo(part, features=features))
    core = host_core()
    description = {"kind": "llvm", "mtriple": core.triple, "mcpu": core.cpu}
    target = tvm.target.Target(description | {"mattr": list(core.features)})
    known = {str(name) for name in tvm.target.codegen.llvm_get_cpu_features(target)}
    assert known & {"dotprod", "i8mm"} == set(core.extensions)


def test_other_machines_are_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(QDeployError, match=r"64-bit ARM machines .* take the target 'cpu' here"):
        _ = arm("host").compiled_core
    assert "take the target 'cpu'" in dict(arm("host").facts())["core"]
    assert arm("host").details()["core_details"] is None


@pytest.mark.parametrize("name", BOARDS)
def test_boards_hold_together(name: str) -> None:
    board = arm(name)
    assert board.compiled_core.name == BOARDS[name]
    assert board.clock_megahertz is not None
    assert board.processors is not None
    assert 1000 <= board.clock_megahertz <= 4000
    assert board.stated_power is not None or any("No power" in note for note in board.notes)
    if name.startswith("raspberry-pi"):
        assert board.idle_power is not None
        assert board.idle_power.kind == "measured"


def test_one_busy_core_takes_its_share_of_the_load(tmp_path: Path) -> None:
    power = power_of(load_target(write(tmp_path, WHOLE)))
    assert (power.low, power.typical, power.high) == (1, 3, 8)
    assert power.kind == "bound"
    assert "idle: a meter; loaded: a plug" in power.source


def test_stated_power_of_a_busy_core_is_taken_as_it_is(tmp_path: Path) -> None:
    text = HEAD + IDLE.replace("idle_power", "busy_power")
    power = power_of(load_target(write(tmp_path, text)))
    assert (power.low, power.typical, power.kind) == (1, 2, "measured")


def test_power_that_nobody_knows() -> None:
    for name in ("neoverse-v1", "host", "aarch64-generic"):
        with pytest.raises(QDeployError, match=r"states no power; add a \[loaded_power\] table"):
            power_of(load_target(name))
        assert dict(arm(name).facts())["power"] == "not known"


def test_facts() -> None:
    told = dict(arm("raspberry-pi-5").facts())
    assert "kernels may use NEON and dotprod" in told["core"]
    assert "-cpu cortex-a76" in told["core"]
    assert told["data caches"].startswith("64 KiB, then 512 KiB\nsource: ")
    assert "times the estimate [estimated]\nsource: " in told["cycle model"]
    assert told["clock"] == "2400 MHz"
    assert "[measured]\nsource: " in told["power, all cores busy"]
    assert "[bound]\nsource: the idle board" in told["power, one core busy"]


def test_the_benchmark_of_boards() -> None:
    for target in TARGETS:
        definition = load_benchmark(target)
        assert isinstance(definition, ArmBenchmark)
    assert definition.peers[0] == "qdeploy"
    assert {"tvm-default", "plain-c", "onnxruntime"} <= set(definition.peers)
    assert {50, 95, 99} <= set(definition.percentiles)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('core = "cortex-a72"', 'core = "cortex-a27"', "no ARM core 'cortex-a27'; perhaps 'cortex"),
        ('core = "cortex-a72"', 'core = "z80"', "there is no ARM core 'z80'; known are cortex-a53"),
        ('core = "cortex-a72"\n', "", "the key 'core' is missing; it is the name of an ARM core"),
        ("clock_megahertz = 1500\n", "", "clock_megahertz and processors must be there unless"),
        ("processors = 4\n", "", "clock_megahertz and processors must be there unless"),
        ("processors = 4", "processors = 0", "'processors' is 0, but must be a positive number of"),
        ("processors = 4", "cores = 4", "the key 'cores' is not known; "),
        ("= 1500", "= -1", "'clock_megahertz' is -1, but must be a positive number of megahertz"),
        (LOADED, "", "idle_power and loaded_power must be there together, or neither"),
        ("low = 1\ntypical = 2\nhigh = 3", "low = 1\ntypical = 7\nhigh = 9", "not be above loaded"),
        ("typical = 2", "typical = 4", "table 'idle_power': low, typical and high must be in this"),
        ('"a plug"', '""', "'loaded_power.source' is '', but must be the document or instrument"),
        (
            LOADED,
            LOADED + LOADED.replace("loaded", "busy"),
            "busy_power must not be there beside idle_power and loaded_power",
        ),
        (
            'core = "cortex-a72"\nclock_megahertz = 1500\nprocessors = 4',
            'core = "native"',
            "idle_power and loaded_power need processors",
        ),
    ],
)
def test_faults_are_one_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in WHOLE
    with pytest.raises(QDeployError) as caught:
        load_target(write(tmp_path, WHOLE.replace(old, new, 1)))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("board.toml: ")
    assert "\n" not in str(caught.value)


def test_unknown_cores() -> None:
    with pytest.raises(QDeployError, match=r"no ARM core 'cortex-a75'; perhaps 'cortex-a7.*known"):
        load_arm_core("cortex-a75")


def test_manifests_keep_targets_and_cores_whole() -> None:
    for target in TARGETS:
        assert ArmTarget.model_validate_json(target.model_dump_json(by_alias=True)) == target
    for name in list_arm_cores():
        core = load_arm_core(name)
        assert ArmCore.model_validate_json(core.model_dump_json(by_alias=True)) == core
