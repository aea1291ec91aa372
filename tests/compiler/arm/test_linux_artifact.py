"""Artifact folders of ARM boards: what is in them, what they promise, what is refused."""

import json
import re
import shutil

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from qdeploy import onnx
from qdeploy.cli.app import run
from qdeploy.compiler import Artifact, compile_model
from qdeploy.compiler.arm.artifact import LinuxArtifact
from qdeploy.compiler.manifest import MANIFEST, digests
from qdeploy.errors import QDeployError
from qdeploy.runners import RUNNERS
from qdeploy.targets import list_targets, load_arm_core, load_target
from qdeploy.toolchains import TOOLCHAINS
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS
from qdeploy.tuning import tune

BOARD = "raspberry-pi-5"

USER = """\
#include "toy.h"
int use(const int8_t *x, toy_score_t *scores);
int use(const int8_t *x, toy_score_t *scores)
{
    return toy_predict(x, scores) + (TOY_SCALE > 0.0) + TOY_INPUTS + TOY_SCRATCH_BYTES;
}
"""


@pytest.fixture(scope="module")
def subject(model):
    return model(21, 12, 3)


@pytest.fixture(scope="module")
def made(subject, tmp_path_factory):
    return compile_model(subject, BOARD, tmp_path_factory.mktemp("made") / "toy")


@pytest.fixture
def inputs():
    return np.random.default_rng(1).integers(-128, 128, (40, 21)).astype(np.int8)


def elf(path):
    return ELFFile(path.open("rb"))


def test_the_folder_holds_what_an_engineer_needs(made):
    names = {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*")}
    assert {
        "toy.h",
        "libtoy.a",
        "libtoy.so",
        "toy-run",
        "toy-bench",
        "module.so",
        "model.onnx",
        "entry.c",
        "kernels.o",
        MANIFEST,
    } <= names


def test_it_says_all_of_itself(made):
    assert isinstance(made, LinuxArtifact)
    manifest = made.manifest
    assert (made.target, made.board.name, made.core.name) == (BOARD, BOARD, "cortex-a76")
    assert sum(manifest.counted.classes.values()) == manifest.counted.instructions
    assert manifest.counted.low <= manifest.counted.cycles <= manifest.counted.high
    assert made.flash_bytes == manifest.memory.code + manifest.memory.constants
    assert made.tuning_log is None
    assert Artifact.load(made.folder).manifest == manifest


@pytest.mark.parametrize("use", ["single", "batch"])
def test_the_plan_is_what_the_model_of_the_core_finds_best(made, use):
    """One form for both uses may cost up to 15 % more than the best of each."""
    weighed = [each for each in made.manifest.candidates if each.use == use]
    chosen = getattr(made.manifest.plan, use)
    assert weighed == sorted(weighed, key=lambda each: each.cycles)
    assert chosen.pick in {each.pick for each in weighed}
    assert chosen.cycles <= 1.15 * weighed[0].cycles


def test_everything_is_code_for_64_bit_arm(made):
    for path in (made.library, made.run_program, made.bench_program, made.module):
        assert elf(path).get_machine_arch() == "AArch64", path.name


def test_the_shared_library_needs_nothing_and_shows_two_functions(made):
    library = elf(made.library)
    tags = [tag.entry.d_tag for tag in library.get_section_by_name(".dynamic").iter_tags()]
    assert "DT_NEEDED" not in tags
    defined = {
        symbol.name
        for symbol in library.get_section_by_name(".dynsym").iter_symbols()
        if symbol.name and symbol["st_shndx"] != "SHN_UNDEF"
    }
    undefined = {
        symbol.name
        for symbol in library.get_section_by_name(".dynsym").iter_symbols()
        if symbol.name and symbol["st_shndx"] == "SHN_UNDEF"
    }
    assert defined == {"toy_predict", "toy_predict_batch"}
    assert undefined == set()


def test_the_programs_are_static(made):
    for path in (made.run_program, made.bench_program):
        assert not any(segment["p_type"] == "PT_INTERP" for segment in elf(path).iter_segments())
        assert path.stat().st_mode & 0o111


def test_scores_are_the_networks(made, subject, inputs):
    np.testing.assert_array_equal(made.scores(inputs), subject.network.forward(inputs))


def test_the_program_gives_the_networks_bits(made, subject, inputs):
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    session = RUNNERS["qemu-aarch64"].open(made)
    np.testing.assert_array_equal(session(inputs), subject.network.forward(inputs))


def test_equal_models_give_equal_bytes(made, subject, tmp_path):
    again = compile_model(subject, BOARD, tmp_path / "toy")
    assert digests(again.folder) == digests(made.folder)


def test_a_program_moves_between_families_unchanged(made, subject, tmp_path):
    """The same C file against the artifact of a microcontroller and that of a board."""
    controller = compile_model(subject, "cortex-m4", tmp_path / "controller")
    source = tmp_path / "user.c"
    source.write_text(USER)
    flags = ("-Wall", "-Wextra", "-Werror")
    LINUX_TOOLCHAINS["zig"].compile(
        made.core, [source], tmp_path / "arm", include=[made.folder], flags=flags
    )
    TOOLCHAINS["zig"].compile(
        controller.core, [source], tmp_path / "mcu", include=[controller.folder], flags=flags
    )


@pytest.mark.parametrize("core", ["cortex-a53", "neoverse-v1"])
def test_cores_get_the_instructions_that_they_have(subject, inputs, core, tmp_path):
    """The emulator refuses an instruction that a core lacks, so scores prove that none is there."""
    target = load_target("aarch64-generic").model_copy(update={"core": core, "name": core})
    artifact = compile_model(subject, target, tmp_path / "toy")
    assert artifact.core == load_arm_core(core)
    np.testing.assert_array_equal(artifact.scores(inputs), subject.network.forward(inputs))


def test_gcc_links_where_it_is_asked_for(subject, inputs, tmp_path):
    obstacle = LINUX_TOOLCHAINS["gcc"].obstacle(load_arm_core("cortex-a76"))
    if obstacle is not None:
        pytest.skip(obstacle)
    artifact = compile_model(subject, BOARD, tmp_path / "toy", toolchain="gcc")
    assert artifact.manifest.toolchain == "gcc"
    np.testing.assert_array_equal(artifact.scores(inputs), subject.network.forward(inputs))


def test_a_tuned_plan_is_no_slower_by_the_model(made, subject, tmp_path):
    """Without a board the model of the core decides, among every size of block."""
    log = tune(subject, made.board)
    assert (log.obtained, log.unit) == ("estimated", "cycles")
    artifact = compile_model(subject, BOARD, tmp_path / "toy", selection=log.selection())
    assert artifact.tuning_log is not None
    assert artifact.manifest.plan.single.cycles <= made.manifest.plan.single.cycles
    assert artifact.manifest.plan.batch.cycles <= made.manifest.plan.batch.cycles


def test_options_of_microcontrollers_are_refused(subject, tmp_path):
    for option in ({"optimize": "speed"}, {"max_ram": 100}, {"front": True}):
        with pytest.raises(QDeployError, match="'raspberry-pi-5' is a Linux board: optimisation"):
            compile_model(subject, BOARD, tmp_path / "toy", **option)
    assert not (tmp_path / "toy").exists()


def test_an_unknown_toolchain_is_refused(subject, tmp_path):
    with pytest.raises(QDeployError, match="unknown toolchain for Linux 'turbo'"):
        compile_model(subject, BOARD, tmp_path / "toy", toolchain="turbo")


def test_a_changed_file_is_found(made, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(made.folder, folder)
    with (folder / "toy-run").open("r+b") as file:
        file.seek(100)
        file.write(b"\x55")
    with pytest.raises(QDeployError, match="toy-run is not the file that was compiled"):
        Artifact.load(folder)


def test_a_wrong_kernel_is_found(subject, tmp_path, monkeypatch):
    """Verification fails, and nothing is written, when the library computes something else."""
    from qdeploy.compiler import hosted_code

    correct = hosted_code.entry_source

    def corrupted(planned, symbols):
        """The first bias has another sign."""
        text = correct(planned, symbols)
        bias = r"(\w*(?:bias|constant_term)\[\d+\] ALIGNED = \{\n    (?:INT64_C\()?)(-?)(?=[1-9])"
        changed = re.sub(bias, flipped, text)
        assert changed != text
        return changed

    def flipped(found):
        return found[1] + ("" if found[2] else "-")

    monkeypatch.setattr(hosted_code, "entry_source", corrupted)
    with pytest.raises(QDeployError, match="verification failed"):
        compile_model(subject, BOARD, tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def test_every_target_of_the_family_can_be_compiled_for(subject):
    """But this machine's, where it is no ARM."""
    for target in list_targets():
        if target.family == "arm" and target.name != "host":
            assert target.compiled_core.name


def test_the_command_line_tells_all_of_it(subject, tmp_path, capsys):
    file = onnx.save(subject, tmp_path / "toy.onnx")
    command = ["compile", str(file), "--target", BOARD, "-o"]
    assert run([*command, str(tmp_path / "one"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counted"]["instructions"] > 0
    assert told["run_program"].endswith("toy-run")
    assert told["tuning"] is None
    assert run([*command, str(tmp_path / "two")]) == 0
    out = capsys.readouterr().out
    assert "instructions (emulated)" in out
    assert "cycles (estimated" in out


def test_nothing_tells_where_it_was_compiled(made):
    for path in made.folder.rglob("*"):
        assert str(made.folder.parent).encode() not in path.read_bytes(), path.name
