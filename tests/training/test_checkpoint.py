"""Training that is killed and goes on: the same bits, or one sentence."""

import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from qdeploy import onnx
from qdeploy.checker import certify
from qdeploy.data import dataset_from_arrays
from qdeploy.errors import QDeployError
from qdeploy.training import blocks
from qdeploy.training.checkpoint import Checkpoint, Slot, open_checkpoint
from qdeploy.training.trainer import train


def rows(count=150, width=40, classes=3):
    generator = np.random.default_rng(4)
    x = generator.standard_normal((count, width))
    scores = np.stack([x[:, k] * x[:, k + 1] + x[:, k + 2] for k in range(classes)], axis=1)
    return x, scores.argmax(axis=1)


def same(one, other):
    """Whether two models are equal but for the times in their history."""
    mine, theirs = one.network.layers, other.network.layers
    layers = all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in zip(mine, theirs, strict=True)
        for name in (("left", "right") if a.kind == "quadratic" else ("weights", "bias"))
    )
    proofs = zip(one.certificate.outputs, other.certificate.outputs, strict=True)
    return (
        layers
        and one.scale == other.scale
        and all(
            np.array_equal(p.residual, q.residual)
            and (p.objective, p.bound, p.norm_bound) == (q.objective, q.bound, q.norm_bound)
            for p, q in proofs
        )
    )


class KilledError(Exception):
    """What stands for a kill between two steps."""


@pytest.mark.parametrize("classes", [2, 3])
def test_a_run_that_ends_after_any_step_goes_on_to_the_same_bits(tmp_path, monkeypatch, classes):
    x, y = rows(count=50, width=7, classes=classes)
    options = {"beta": 0.6, "jobs": 1, "scaling": "tensor"}
    whole = train(x, y, **options).model
    save, steps = Slot.save, []

    def counted(slot, value):
        save(slot, value)
        steps.append(slot)

    monkeypatch.setattr(Slot, "save", counted)
    assert same(train(x, y, checkpoint=tmp_path / "0", **options).model, whole)
    total = len(steps)
    assert total > 4 * (classes - 1 if classes == 2 else classes)

    def fatal(slot, value):
        counted(slot, value)
        if len(steps) % 3 == 0:
            raise KilledError

    monkeypatch.setattr(Slot, "save", fatal)
    folder, kills = tmp_path / "1", 0
    while True:
        try:
            result = train(x, y, checkpoint=folder, **options)
        except KilledError:
            kills += 1
            assert kills < total
            continue
        break
    assert kills > 1
    assert same(result.model, whole)
    result.save(tmp_path / "model.onnx")
    assert not folder.exists()


PROGRAM = """
import sys
import numpy as np
from qdeploy.training.trainer import train
data = np.load(sys.argv[1])
train(data["x"], data["y"], checkpoint=sys.argv[2], jobs=2, beta=0.6).save(sys.argv[3])
"""


@pytest.mark.slow
def test_killed_processes_go_on_to_the_same_bits(tmp_path):
    x, y = rows()
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    whole = train(x, y, beta=0.6, jobs=1).model
    generator = np.random.default_rng()
    path, kills = tmp_path / "model.onnx", 0
    command = [sys.executable, "-c", PROGRAM, tmp_path / "rows.npz", tmp_path / "kept", path]
    while not path.exists():
        process = subprocess.Popen(command, start_new_session=True)
        try:
            assert process.wait(5 + 4 * kills + 3 * generator.random()) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            kills += 1
        time.sleep(0.1)
    assert same(onnx.load(path), whole)
    assert not (tmp_path / "kept").exists()


LARGE_PROGRAM = """
import os, sys
import qdeploy.training.trainer
from qdeploy.training import blocks
from qdeploy.training.checkpoint import Slot
blocks.LARGE, blocks.BLOCK_ROWS = 1, 64
save, left = Slot.save, int(sys.argv[4])

def fatal(slot, value):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
    save(slot, value)

Slot.save = fatal
""" + PROGRAM.replace("jobs=2", "jobs=1")


def test_a_large_problem_goes_on_after_every_kill_to_the_same_bits(tmp_path, monkeypatch):
    """Killed at steps further and further on, each time before what was made is kept."""
    x, y = rows(count=100, width=9)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "LARGE", 1)
        patch.setattr(blocks, "BLOCK_ROWS", 64)
        whole = train(x, y, beta=0.6, jobs=1).model
    path, kept, kills = tmp_path / "model.onnx", tmp_path / "kept", 0
    command = [sys.executable, "-c", LARGE_PROGRAM, tmp_path / "rows.npz", kept, path]
    while not path.exists():
        ended = subprocess.run([*command, str(3 + 2 * kills)], check=False).returncode
        assert ended == (0 if path.exists() else -9)
        kills += ended != 0
    assert kills > 2
    assert same(onnx.load(path), whole)
    assert not kept.exists()


def test_other_data_and_other_options_are_refused(tmp_path, monkeypatch):
    x, y = rows(count=60, width=5)

    def fatal(slot, value):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Slot, "save", fatal)
        with pytest.raises(KilledError):
            train(x, y, beta=0.5, jobs=1, checkpoint=tmp_path)
    changed = x.copy()
    changed[3, 2] += 1
    with pytest.raises(QDeployError, match="another data set;"):
        train(changed, y, beta=0.5, jobs=1, checkpoint=tmp_path)
    with pytest.raises(QDeployError, match="another beta and another seed;"):
        train(x, y, beta=0.6, seed=1, jobs=1, checkpoint=tmp_path)
    assert train(x, y, beta=0.5, jobs=1, time_limit=60.0, checkpoint=tmp_path).certificate.gap < 1


def test_folders_that_are_no_checkpoint_are_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(QDeployError, match="holds no run"):
        open_checkpoint(tmp_path, {"beta": "1"})
    kept = open_checkpoint(tmp_path / "new", {"beta": "1"})
    kept.slot("step").save(3)
    assert kept.slot("step").load() == 3
    (tmp_path / "new" / "notes.txt").write_text("mine")
    Checkpoint(tmp_path / "new").remove()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["notes.txt"]


def test_a_damaged_step_is_one_sentence(tmp_path):
    kept = open_checkpoint(tmp_path / "new", {"beta": "1"})
    (tmp_path / "new" / "step.pickle").write_bytes(pickle.dumps(list(range(99)))[:20])
    with pytest.raises(QDeployError, match="remove its folder"):
        kept.slot("step").load()


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("stage", ["choosing beta by cross-validation", "training the outputs"])
def test_an_interruption_leaves_a_proven_model_and_the_checkpoint(tmp_path, stage, jobs):
    x, y = rows(count=60, width=6)

    def interrupt(event):
        if event.stage == stage:
            raise KeyboardInterrupt

    kept = tmp_path / "kept"
    result = train(x, y, scaling="tensor", jobs=jobs, checkpoint=kept, progress=interrupt)
    result.save(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert certify(model, dataset_from_arrays(x, y)).holds
    assert kept.exists()
    whole = train(x, y, scaling="tensor", jobs=jobs, checkpoint=kept)
    assert whole.certificate.gap < 0.01
    assert same(whole.model, train(x, y, scaling="tensor", jobs=1).model)


def test_what_keeps_no_checkpoint_says_so(tmp_path):
    x, y = rows(count=40, width=6)
    with pytest.raises(QDeployError, match="certified mode"):
        train(x, y, neurons=2, checkpoint=tmp_path / "kept")
