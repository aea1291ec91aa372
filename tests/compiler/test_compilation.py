"""Artifacts: complete, self-describing, verified, never in the way of somebody's files."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from qdeploy.compiler import Artifact, compile_model, hosted_code
from qdeploy.compiler import library as library_sources
from qdeploy.compiler.artifact import MODEL_FILE
from qdeploy.compiler.hosted_artifact import ENTRY_FILE, KERNEL_FILE, MODULE_FILE
from qdeploy.compiler.manifest import MANIFEST, digest
from qdeploy.compiler.processor import native_processor, processor_for
from qdeploy.compiler.verify import trial_inputs
from qdeploy.errors import QDeployError
from qdeploy.progress import ProgressEvent
from qdeploy.targets import Codegen, CpuTarget, load_target


@pytest.fixture(scope="module")
def subject(model):
    return model(12, 9, 3)


@pytest.fixture(scope="module")
def artifact(subject, tmp_path_factory):
    return compile_model(subject, output=tmp_path_factory.mktemp("made") / "artifact")


@pytest.fixture
def copied(artifact, tmp_path):
    """A copy of the artifact folder, to be damaged."""
    return shutil.copytree(artifact.folder, tmp_path / "copy")


def random_inputs(rows, width, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (rows, width)).astype(np.int8)


def test_the_folder_describes_itself(artifact, subject):
    files = {path.name for path in artifact.folder.iterdir()}
    assert files == {
        MANIFEST,
        MODEL_FILE,
        MODULE_FILE,
        KERNEL_FILE,
        ENTRY_FILE,
        "toy.h",
        "libtoy.so",
    }
    manifest = artifact.manifest
    assert manifest.files == {
        name: digest(artifact.folder / name) for name in sorted(files - {MANIFEST})
    }
    assert (manifest.inputs, manifest.outputs, manifest.neurons) == (12, 3, 9)
    assert manifest.score_type == subject.network.score_dtype
    assert set(manifest.versions) == {"qdeploy", "tvm", "llvm", "compiler"}
    assert artifact.target == "cpu"
    assert artifact.verified > 300
    assert artifact.library.is_file()
    assert artifact.header.is_file()
    weights = manifest.plan.single.weight_bytes
    assert manifest.memory.constants >= weights
    assert artifact.flash_bytes == manifest.memory.code + manifest.memory.constants
    assert artifact.ram_bytes >= manifest.plan.single.scratch_bytes
    header = artifact.header.read_text(encoding="ascii")
    scratch = manifest.memory.scratch
    assert f"#define TOY_SCRATCH_BYTES {scratch}" in header


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 33, 130])
def test_every_way_to_run_gives_the_networks_bits(artifact, subject, rows):
    x = random_inputs(rows, 12)
    expected = subject.network.forward(x)
    for scores in (artifact.scores(x), artifact.vm_scores(x)):
        assert scores.dtype == expected.dtype
        np.testing.assert_array_equal(scores, expected)
    np.testing.assert_array_equal(artifact.run(x), subject.predict(x))


def test_an_artifact_opens_again_without_tvm(artifact):
    code = (
        "import sys, numpy as np\n"
        "from qdeploy.compiler import Artifact\n"
        f"artifact = Artifact.load({str(artifact.folder)!r})\n"
        "artifact.scores(np.zeros((3, 12), dtype=np.int8))\n"
        "assert 'tvm' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_raw_features_go_through_the_quantiser(artifact):
    with pytest.raises(QDeployError, match="no input quantiser"):
        artifact.scores(np.zeros((1, 12)))


def test_progress_is_told(subject):
    events: list[ProgressEvent] = []
    made = compile_model(subject, progress=events.append, samples=random_inputs(50, 12))
    stages = [event.stage for event in events]
    assert stages[0] == "compile: import"
    assert any("onnxruntime" in stage for stage in stages)
    assert made.verified == len(trial_inputs(subject.network)) + 50


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3"])
def test_named_processors(model, runnable, target):
    runnable(processor_for(load_target(target)))
    made = compile_model(model(9, 20, 1), target)
    assert made.manifest.processor == target
    expected = {"x86-64-v2": "ssse3", "x86-64-v3": "avx2"}[target]
    assert made.manifest.plan.instruction_set == expected


def test_code_that_cannot_be_verified_here_is_refused(subject, tmp_path):
    here = native_processor().architecture
    triple = "aarch64-unknown-linux-gnu" if here == "x86_64" else "x86_64-unknown-linux-gnu"
    cpu = "generic" if here == "x86_64" else "x86-64"
    target = CpuTarget(
        name="other",
        family="cpu",
        description="Another machine.",
        codegen=Codegen(triple=triple, cpu=cpu),
    )
    with pytest.raises(QDeployError, match="'other' has instructions that this machine lacks"):
        compile_model(subject, target, tmp_path / "artifact")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unasked(subject, copied):
    before = (copied / MANIFEST).read_bytes()
    with pytest.raises(QDeployError, match="exists and is not empty"):
        compile_model(subject, output=copied)
    assert (copied / MANIFEST).read_bytes() == before
    (copied / "old").write_text("left over")
    compile_model(subject, output=copied, overwrite=True)
    assert not (copied / "old").exists()
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]


def test_other_peoples_folders_are_never_replaced(subject, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(QDeployError, match="is not an artifact folder, so it is not replaced"):
        compile_model(subject, output=tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_a_file_in_the_way_is_refused(subject, tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(QDeployError, match="choose another output folder"):
            compile_model(subject, output=output, overwrite=True)


def test_an_empty_folder_is_used(subject, tmp_path):
    output = tmp_path / "new" / "folder"
    output.mkdir(parents=True)
    assert compile_model(subject, output=output).folder == output


def damage_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["libtoy.so", MODEL_FILE, MODULE_FILE, "toy.h"])
def test_damaged_files_are_noticed(copied, name):
    damage_byte(copied / name)
    with pytest.raises(QDeployError, match=f"{name} is not the file that was compiled"):
        Artifact.load(copied)


def test_lost_files_are_noticed(copied):
    (copied / "libtoy.so").unlink()
    with pytest.raises(QDeployError, match=r"libtoy\.so is missing"):
        Artifact.load(copied)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 99, "reads artifact format 2"),
        ("inputs", "many", "inputs"),
        ("files", {"../../etc/passwd": "0" * 64}, "damaged or not an artifact's manifest"),
        ("surprise", 1, "surprise"),
    ],
)
def test_foreign_manifests_are_refused(copied, key, value, message):
    content = json.loads((copied / MANIFEST).read_text())
    content[key] = value
    (copied / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(QDeployError, match=message):
        Artifact.load(copied)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_garbage_manifests_are_refused(copied, content):
    (copied / MANIFEST).write_bytes(content)
    with pytest.raises(QDeployError, match="damaged"):
        Artifact.load(copied)


def test_folders_without_manifest_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(QDeployError, match="is no artifact folder"):
            Artifact.load(folder)


def test_a_wrong_constant_in_the_c_library_is_caught(subject, tmp_path, monkeypatch):
    correct = library_sources.entry_source

    def corrupted(planned, symbols):
        text = correct(planned, symbols)
        position = text.index("{\n    ") + len("{\n    ")
        number = text[position : text.index(",", position)]
        return text[:position] + str(int(number) - 1) + text[position + len(number) :]

    monkeypatch.setattr(hosted_code, "entry_source", corrupted)
    message = "failed in the quadratic layer and its readout: the C library's batch function"
    with pytest.raises(QDeployError, match=message):
        compile_model(subject, output=tmp_path / "artifact")
    assert not list(tmp_path.iterdir())


def test_a_wrong_kernel_is_caught(subject, tmp_path, monkeypatch):
    correct = hosted_code.batch_function

    def corrupted(kernel, symbol, tile):
        bias = kernel.constants[-1].values
        bias.setflags(write=True)
        bias[-1] += 1
        return correct(kernel, symbol, tile)

    monkeypatch.setattr(hosted_code, "batch_function", corrupted)
    with pytest.raises(QDeployError, match="verification failed in the quadratic layer"):
        compile_model(subject, output=tmp_path / "artifact")
    assert not list(tmp_path.iterdir())
