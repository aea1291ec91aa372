"""Artifact folders of microcontrollers: what is in them, what they promise, what is refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from qdeploy.compiler import Artifact, compile_model
from qdeploy.compiler.manifest import MANIFEST
from qdeploy.compiler.mcu.artifact import FirmwareArtifact
from qdeploy.compiler.mcu.front_check import front_trials
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model
from qdeploy.native import compiler_command
from qdeploy.runners import RUNNERS
from qdeploy.targets import Region, load_target

BOARD = "nucleo-l4r5zi"


@pytest.fixture(scope="module")
def subject(network):
    rng = np.random.default_rng(5)
    features = np.concatenate([rng.normal(size=(60, 9)) * 7, np.zeros((60, 1))], axis=1)
    quantizer = InputQuantizer.fit(features, tuple(f"x{k}" for k in range(10)))
    return Model("toy", network(9, 6, 3), 0.5, Classes(("a", "b", "c")), quantizer)


@pytest.fixture(scope="module")
def made(subject, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "toy"
    return compile_model(subject, BOARD, folder, front=True)


@pytest.fixture
def inputs():
    return np.random.default_rng(1).integers(-128, 128, (40, 9)).astype(np.int8)


def test_the_folder_holds_what_an_engineer_needs(made):
    names = {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*")}
    assert {
        "toy.h",
        "toy.c",
        "libtoy.a",
        "libtoy-c.a",
        "libtoy-llvm.a",
        "README.md",
        "CMakeLists.txt",
        "zephyr/module.yml",
        "zephyr/CMakeLists.txt",
        "zephyr/Kconfig",
        "arduino/toy/library.properties",
        "arduino/toy/src/toy.c",
        "arduino/toy/src/toy.h",
        "arduino/toy/examples/predict/predict.ino",
        "firmware/performance/firmware.elf",
        "firmware/performance/firmware.bin",
        "firmware/performance/firmware.hex",
        "firmware/energy/firmware.elf",
        "model.onnx",
        "image.elf",
        MANIFEST,
    } <= names


def test_it_says_all_of_itself(made, subject):
    assert isinstance(made, FirmwareArtifact)
    manifest = made.manifest
    assert (made.target, made.board.name, made.core.name) == (BOARD, BOARD, "cortex-m4")
    assert manifest.candidates[0].form == made.form
    assert sum(manifest.instructions.values()) == manifest.candidates[0].instructions
    assert made.flash_bytes == manifest.memory.code + manifest.memory.constants
    assert manifest.memory.input == 9
    assert manifest.memory.output == 3 * np.dtype(subject.network.score_dtype).itemsize
    assert manifest.memory.writable >= manifest.memory.scratch > 0
    assert manifest.memory.stack > 0
    assert {each.generator for each in manifest.candidates} == {"llvm", "c"}
    assert Artifact.load(made.folder).manifest == manifest


def test_the_real_image_gives_the_networks_bits(made, subject, inputs):
    np.testing.assert_array_equal(made.scores(inputs), subject.network.forward(inputs))
    features = front_trials(subject)
    np.testing.assert_array_equal(made.run(features), subject.predict(features))


def test_qemu_boots_its_firmware(subject, inputs, tmp_path):
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    artifact = compile_model(subject, "mps2-an386", tmp_path / "toy")
    session = RUNNERS["qemu"].open(artifact)
    np.testing.assert_array_equal(session(inputs[:6]), subject.network.forward(inputs[:6]))


def test_the_c_files_are_strict_c99_and_the_header_is_cpp(made, tmp_path):
    strict = ("-Wall", "-Wextra", "-Wshadow", "-Werror", "-pedantic")
    command = [*compiler_command(), "-std=c99", *strict, "-Wmissing-prototypes", "-c"]
    command += [made.source, "-o", tmp_path / "o"]
    subprocess.run(command, check=True)
    (tmp_path / "user.cpp").write_text(
        '#include "toy.h"\nint use(const int8_t *x, const float *f, toy_score_t *s);\n'
        "int use(const int8_t *x, const float *f, toy_score_t *s)\n"
        "{ return toy_predict(x, s) + toy_predict_features(f, s) + TOY_FEATURES; }\n"
    )
    user = [*compiler_command(), "-std=c++11", *strict, "-I", made.folder, "-c"]
    subprocess.run([*user, tmp_path / "user.cpp", "-o", tmp_path / "u"], check=True)


def test_it_includes_nothing_but_stdint(made):
    for path in (made.source, made.header):
        included = [line for line in path.read_text().splitlines() if line.startswith("#include")]
        assert set(included) <= {"#include <stdint.h>", '#include "toy.h"'}


def test_weights_are_constants_and_nothing_is_allocated(made):
    text = made.source.read_text()
    assert "malloc" not in text
    assert "memcpy" not in text
    assert "static const" in text or made.form == "straight-line"


def test_the_certificate_stands_in_the_header(made):
    assert "No certificate of optimality." in made.header.read_text()


def test_the_header_is_plain_text(made):
    assert "\\x" not in made.header.read_text(encoding="ascii")


def cmake_build(source, build):
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed")
    environment = {"CC": compiler_command()[0], "PATH": "/usr/bin:/bin:/usr/local/bin"}
    for words in (["-S", source, "-B", build], ["--build", build]):
        subprocess.run([cmake, *words], check=True, capture_output=True, env=environment)


def test_cmake_builds_it(made, tmp_path):
    cmake_build(made.folder, tmp_path)
    assert list(tmp_path.rglob("libtoy.a"))


def test_cmake_projects_take_it_in_whatever_its_name_is(subject, tmp_path):
    """The project speaks C++ alone; "test" is a name that CMake keeps for itself."""
    compile_model(replace(subject, name="test"), "cortex-m4", tmp_path / "model")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(app CXX)\nenable_testing()\n"
        "add_subdirectory(model)\nadd_executable(app app.cpp)\n"
        "target_link_libraries(app PRIVATE qdeploy_test)\n"
    )
    (tmp_path / "app.cpp").write_text(
        '#include "test.h"\nint main() { return test_predict(nullptr, nullptr) + 1; }\n'
    )
    cmake_build(tmp_path, tmp_path / "build")
    subprocess.run([tmp_path / "build" / "app"], check=True)


def test_equal_models_give_equal_files(made, subject, tmp_path):
    again = compile_model(subject, BOARD, tmp_path / "again", front=True)
    assert again.manifest.files == made.manifest.files


@pytest.mark.parametrize("goal", ["speed", "size"])
def test_goals_are_kept(goal, subject):
    manifest = compile_model(subject, "cortex-m4", optimize=goal).manifest
    chosen, *others = [each for each in manifest.candidates if each.form == manifest.form]
    for other in others:
        if goal == "speed":
            assert chosen.instructions <= other.instructions
        else:
            assert chosen.flash <= other.flash


def test_a_bare_core_has_no_firmware(subject):
    artifact = compile_model(subject, "cortex-m0plus")
    assert artifact.firmware_elf is None
    assert not artifact.manifest.firmware
    assert artifact.image_elf.name == "image.elf"


def test_what_does_not_fit_says_what_would_have_to_shrink(subject, tmp_path):
    output = tmp_path / "toy"
    with pytest.raises(QDeployError, match=r"flash: \d+ bytes \(code \d+, weights \d+\) are more"):
        compile_model(subject, BOARD, output, max_flash=100)
    with pytest.raises(QDeployError, match=r"RAM: \d+ bytes .* are more than the 20 allowed"):
        compile_model(subject, BOARD, output, max_ram=20)
    assert not output.exists()


def test_limits_choose_a_form_that_fits(model):
    subject = model(60, 24, 1, constant=0)
    free = compile_model(subject, "cortex-m4", optimize="speed")
    limit = free.flash_bytes // 2
    tight = compile_model(subject, "cortex-m4", optimize="speed", max_flash=limit)
    assert tight.flash_bytes <= limit
    assert tight.form != free.form


def test_hosts_take_none_of_these_options(subject):
    with pytest.raises(QDeployError, match=r"'cpu' is a host: .* leave them out"):
        compile_model(subject, optimize="size")


def test_a_missing_compiler_is_one_sentence(subject, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(QDeployError, match=r"cannot be compiled for: .*arm-none-eabi-gcc"):
        compile_model(subject, BOARD, toolchain="gcc")
    with pytest.raises(QDeployError, match="unknown toolchain 'tcc'; choose one of gcc, zig"):
        compile_model(subject, BOARD, toolchain="tcc")


@pytest.mark.parametrize("library", ["unicorn", "capstone"])
def test_a_missing_emulator_is_one_sentence(library, subject, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(QDeployError, match=r"^the emulator is not installed; add it with: pip"):
        compile_model(subject, "cortex-m4")


def test_small_flash_brings_forms_into_view_that_are_slow(model):
    """Where the fast forms do not fit, the slower ones are not compared with them."""
    subject, board = model(90, 24, 1, constant=0), load_target("cortex-m4")
    fast = compile_model(subject, board, optimize="speed")
    small = board.model_copy(update={"flash": Region(origin=0, kibibytes=1.25)})
    assert fast.flash_bytes > small.flash.bytes
    artifact = compile_model(subject, small, optimize="speed")
    assert artifact.flash_bytes <= small.flash.bytes


def test_a_flash_too_small_for_all_is_told_once(subject):
    tiny = load_target("cortex-m4").model_copy(update={"flash": Region(origin=0, kibibytes=0.125)})
    with pytest.raises(QDeployError, match=r"the flash is \d+ bytes too small") as refused:
        compile_model(subject, tiny)
    assert "by a first count" not in str(refused.value)


def test_models_without_quantiser_have_no_front(model):
    with pytest.raises(QDeployError, match=r"no input quantiser.*without --front"):
        compile_model(model(4, 3, 1), "cortex-m4", front=True)


def test_a_wrong_constant_is_caught(subject, monkeypatch, tmp_path):
    from qdeploy.compiler.mcu import sources

    correct = sources.array_source
    monkeypatch.setattr(
        sources, "array_source", lambda name, values, *rest: correct(name, values + 1, *rest)
    )
    with pytest.raises(QDeployError, match=r"differs from the network's\s+exact meaning"):
        compile_model(subject, BOARD, tmp_path / "toy", optimize="size")
    assert not list(tmp_path.iterdir())


def test_damage_is_noticed(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made.folder, copy)
    (copy / "zephyr" / "Kconfig").write_text("changed")
    with pytest.raises(QDeployError, match="zephyr/Kconfig is not the file that was compiled"):
        Artifact.load(copy)


def test_files_outside_the_folder_are_never_read(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made.folder, copy)
    content = json.loads((copy / MANIFEST).read_text())
    for name in ("../x", "/etc/passwd", "a/../../x", "a//b"):
        content["files"] = {name: "0" * 64}
        (copy / MANIFEST).write_text(json.dumps(content))
        with pytest.raises(QDeployError, match="damaged or not an artifact's manifest"):
            Artifact.load(copy)


def test_a_board_of_ones_own(subject, made, tmp_path):
    from qdeploy.targets.tables import folder

    text = (folder() / "mcu" / f"{BOARD}.toml").read_text()
    own = tmp_path / "myboard.toml"
    own.write_text(text.replace(f'name = "{BOARD}"', 'name = "myboard"'))
    artifact = compile_model(subject, str(own), tmp_path / "toy")
    assert Artifact.load(artifact.folder).board.name == "myboard"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimize": "fast"}, "optimize is 'fast', but must be one of speed, size, balanced"),
        ({"max_flash": 0}, "max_flash is 0, but must be a positive number of bytes"),
        ({"max_ram": -5}, "max_ram is -5, but must be a positive number of bytes"),
    ],
)
def test_impossible_options(options, message, subject):
    with pytest.raises(QDeployError, match=message):
        compile_model(subject, BOARD, **options)
